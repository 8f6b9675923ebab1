"""One file, one kind: what can be chosen with `kind:` is found by a scan of a plural folder.

A kind's module holds a frozen pydantic model named `Settings` whose `kind` field is a `Literal`, and the
work that the settings start. The union of all `Settings` of a folder is what the config file accepts, so
config errors and the JSON Schema follow from the files that exist.
"""

import importlib
import pkgutil
import sys
from collections.abc import Mapping
from functools import cache, reduce
from operator import or_
from types import ModuleType
from typing import Annotated, Any, Final, LiteralString

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


class KindSettings(BaseModel):
    """The settings of one kind. Subclasses are called `Settings` and narrow `kind` to a `Literal`."""

    model_config = FROZEN

    kind: str


@cache
def modules(folder: str) -> tuple[ModuleType, ...]:
    """The modules of a plural folder (`"pixeltwin.outboxes"`), sorted by name."""
    package = importlib.import_module(folder)
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return tuple(importlib.import_module(f"{folder}.{name}") for name in names)


def names(folder: str) -> list[str]:
    """The kinds there are in a plural folder."""
    return [module.__name__.rpartition(".")[2] for module in modules(folder)]


def module_of(settings: KindSettings) -> ModuleType:
    """The module of a kind, for the settings it was chosen by."""
    return sys.modules[type(settings).__module__]


def settings(folder: str) -> tuple[type[KindSettings], ...]:
    """The `Settings` model of every kind in the folder."""
    return tuple(module.Settings for module in modules(folder))


def union(folder: str) -> Any:
    """A type for pydantic: the discriminated union of the folder's `Settings`, told apart by `kind`."""
    found = settings(folder)
    return found[0] if len(found) == 1 else Annotated[reduce(or_, found), Field(discriminator="kind")]


def named_form(written: Any, folder: str, error: LiteralString) -> Any:
    """For pydantic, what people write: `lower` or `{map: …}` become `{kind: lower}` or `{kind: map, map: …}`."""
    if isinstance(written, str):
        written = _without_options(written, folder)
    if not isinstance(written, Mapping):
        return written
    known = names(folder)
    found = [written["kind"]] if "kind" in written else [name for name in known if name in written]
    if not found:
        raise PydanticCustomError(error, "one of {known}", {"known": known, "written": list(written)})
    if len(found) > 1:
        raise PydanticCustomError("two_kinds", "not {found} together", {"found": found, "known": known})
    return {"kind": found[0], **written}


def _without_options(word: str, folder: str) -> Any:
    model = next((it for it in settings(folder) if it.__module__ == f"{folder}.{word}"), None)
    if model and any(option.is_required() for name, option in model.model_fields.items() if name != "kind"):
        raise PydanticCustomError("needs_options", "it needs options: {{ {word}: … }}", {"word": word})
    return {"kind": word} if model else {word: None}
