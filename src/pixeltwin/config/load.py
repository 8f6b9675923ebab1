"""From a file to a `Config`, or to one `ConfigError` with everything that is wrong with the file."""

import os
import re
import warnings
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, NoReturn

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import Node

from pixeltwin.config.checks import check, doubts
from pixeltwin.config.document import Document, Fault, Loc, Reader, Spot, UnreadableError
from pixeltwin.config.fixed import fixed
from pixeltwin.config.model import Config
from pixeltwin.config.problems import HINTS, Explainer, dress, element_keys
from pixeltwin.config.references import fill_references
from pixeltwin.config.rule_checks import check_rules, doubts_about_rules
from pixeltwin.config.shape import places
from pixeltwin.errors import ConfigError, Problem

MAX_FILE: Final = 1 << 20  # bytes; reading YAML takes seconds a megabyte
EMPTY: Final = Fault((), (0, 0), "it is empty", f"{HINTS['pixels']}, see config/minimal.yaml")
SYNTAX: Final = "look for an open quote or bracket, a missing `: `, a tab or a wrong indentation"

_LINES: Final = re.compile(r"\r\n|\r|\n")


def load_config(path: Path | str, env: Mapping[str, str] = os.environ, *, running: Config | None = None) -> Config:
    """Read a config file. Raises `ConfigError` with every problem, in the order of the file.

    Where it is to replace a `running` config, what only a restart could change is a problem too.
    """
    path = Path(path)
    return read_text(_text(path), base=path.absolute().parent, env=env, file=str(path), running=running)


def read_text(text: str, *, base: Path, env: Mapping[str, str], file: str, running: Config | None = None) -> Config:
    """Read the text of a config file that lies in `base`; `file` is what errors call it."""
    lines = _LINES.split(text)
    try:
        document = Reader(env, base).read(_compose(text))
    except UnreadableError as unreadable:
        fault = unreadable.fault
        raise ConfigError([dress(fault, file, lines, {})]) from None
    if document.data is None:
        raise ConfigError([dress(EMPTY, file, lines, {})])
    document.faults += fill_references(document, env)
    explainer = Explainer(document, list(places(Config, document.data)))
    config, faults = _validate(document, explainer, env)
    if config and running:
        faults += fixed(config, running, document)
    covers, harmless = explainer.covers(), element_keys(document)
    if faults or not config:
        raise ConfigError([dress(fault, file, lines, covers, harmless) for fault in _in_order(faults)])
    doubtful = [*doubts(document), *doubts_about_rules(config, document)]
    config._warnings = tuple(dress(doubt, file, lines, covers, harmless) for doubt in _in_order(doubtful))
    config._base, config._text, config._digest = base.absolute(), text, sha256(text.encode()).hexdigest()[:12]
    return config


def _validate(document: Document, explainer: Explainer, env: Mapping[str, str]) -> tuple[Config | None, list[Fault]]:
    faults = [*explainer.literal_secrets(), *check(document)]
    config = None
    try:
        config = Config.model_validate(document.data, context={"env": env})
        faults += check_rules(config, document)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        faults += [explainer.explain(detail) for detail in details]
    unread = {fault.loc for fault in document.faults if fault.spot == document.values.get(fault.loc)}
    return config, document.faults + [fault for fault in faults if fault.loc not in unread]


def _in_order(faults: list[Fault]) -> list[Fault]:
    """By place in the file; of several about one option the first, which knows more."""
    known: dict[tuple[Loc, Spot], Fault] = {}
    for fault in faults:
        known.setdefault((fault.loc, fault.spot), fault)
    return sorted(known.values(), key=lambda fault: fault.spot)


def _compose(text: str) -> Node | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # an anchor that is used again is no mistake
            node: Node | None = YAML(typ="safe", pure=True).compose(text)
            return node
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        _unreadable(f"this is no YAML: {error.problem or error.context}", spot, _syntax_remedy(text, spot))
    except RecursionError:
        _unreadable("nested too deep", (0, 0))
    except Exception:  # ruamel raises its builtin errors too on text that is odd enough
        _unreadable("this is no YAML", (0, 0))


def _syntax_remedy(text: str, spot: Spot) -> str:
    """YAML's commonest trap here: inside `{ }` an unquoted `${NAME}` opens another mapping."""
    start = _LINES.split(text)[spot[0] - 1][: spot[1]] if spot[0] else ""
    return 'inside { } put it in quotes: "${NAME}"' if start.endswith("${") else SYNTAX


def _unreadable(found: str, spot: Spot, remedy: str = SYNTAX) -> NoReturn:
    raise UnreadableError(Fault((), spot, found, remedy))


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        _refuse(path, reason, "name the config file, or copy config/minimal.yaml to begin with")
    if len(content) > MAX_FILE:
        _refuse(path, "more than 1 MiB", "name the config file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(path, f"not UTF-8 (line {line})", "save it as UTF-8")


def _refuse(path: Path, found: str, remedy: str) -> NoReturn:
    raise ConfigError([Problem(str(path), 0, 0, "the file", found, remedy)]) from None
