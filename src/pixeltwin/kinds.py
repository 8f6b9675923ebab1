"""One file, one kind: what can be chosen with `kind:` is found by a scan of a plural folder.

A kind's module holds a frozen pydantic model named `Settings` whose `kind` field is a `Literal`, and the
work that the settings start. The union of all `Settings` of a folder is what the config file accepts, so
config errors and the JSON Schema follow from the files that exist.
"""

import importlib
import pkgutil
import sys
from functools import cache, reduce
from operator import or_
from types import ModuleType
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

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
