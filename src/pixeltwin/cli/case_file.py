"""A file of cases, read as a config file is: what is wrong with it is said with its place."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node

from pixeltwin.cli.case import Case
from pixeltwin.config.document import Document, Fault, Reader, UnreadableError
from pixeltwin.config.problems import Explainer, dress
from pixeltwin.config.shape import places
from pixeltwin.errors import ConfigError
from pixeltwin.kinds import FROZEN


class Cases(BaseModel):
    """A file of cases. `env` has the variables that the config needs."""

    model_config = FROZEN

    env: Mapping[str, str] = {}
    cases: tuple[Case, ...]


def read_cases(file: Path) -> Cases:
    """The cases of a file. Raises `ConfigError` with everything that is wrong with it, or `OSError`."""
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        document = Reader(os.environ, file.absolute().parent).read(_composed(text))
    except UnreadableError as unreadable:
        _refuse([unreadable.fault], file, text)
    explainer = Explainer(document, list(places(Cases, document.data)))
    if document.faults:
        _refuse(document.faults, file, text)
    return _validated(document, explainer, file, text)


def _validated(document: Document, explainer: Explainer, file: Path, text: str) -> Cases:
    try:
        return Cases.model_validate(document.data)
    except ValidationError as error:
        faults = [explainer.explain(detail) for detail in error.errors(include_url=False, include_input=False)]
        _refuse(faults, file, text)


def _composed(text: str) -> Node | None:
    try:
        node: Node | None = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        spot = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        found = f"this is no YAML: {getattr(error, 'problem', None) or error}"
        raise UnreadableError(
            Fault((), spot, found, "look for an open quote or bracket, or a wrong indentation")
        ) from None
    return node


def _refuse(faults: list[Fault], file: Path, text: str) -> NoReturn:
    """Raise with all of them, in the order of the file; of several about one option the first."""
    lines, known = text.split("\n"), {fault.loc: fault for fault in reversed(faults)}
    in_order = sorted(known.values(), key=lambda fault: fault.spot)
    raise ConfigError([dress(fault, str(file), lines, {}) for fault in in_order])
