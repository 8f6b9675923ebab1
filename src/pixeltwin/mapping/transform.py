"""The contract of a transform: what is done to a data element's text. Kinds are the files of `transforms/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, Final, LiteralString

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from pixeltwin import kinds
from pixeltwin.kinds import KindSettings

TRANSFORMS: Final = "pixeltwin.mapping.transforms"


def _plain(written: Any) -> Any:
    """Whole numbers in YAML are taken as the text they are; whatever else is no text is left to pydantic."""
    return str(written) if isinstance(written, int) and not isinstance(written, bool) else written


Text = Annotated[str, BeforeValidator(_plain, str | int)]


class TransformSettings(KindSettings):
    """The settings of a transform, and its work."""

    def apply(self, value: str) -> str | None:
        """The text that `value` becomes, None where it becomes nothing. Never raises."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Example:
    """What `given` becomes by a transform that is written like this in the config file."""

    written: str | Mapping[str, Any]
    given: str
    gives: str | None


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
        raise PydanticCustomError("two_kinds", "not {found} together", {"found": found})
    return {"kind": found[0], **written}


def _without_options(word: str, folder: str) -> Any:
    settings = next((it for it in kinds.settings(folder) if it.__module__ == f"{folder}.{word}"), None)
    if settings and any(option.is_required() for name, option in settings.model_fields.items() if name != "kind"):
        raise PydanticCustomError("needs_options", "it needs options: {{ {word}: … }}", {"word": word})
    return {"kind": word} if settings else {word: None}


def names(folder: str) -> list[str]:
    """The kinds there are in a plural folder."""
    return [module.__name__.rpartition(".")[2] for module in kinds.modules(folder)]


@cache
def transform_type() -> Any:
    """A type for pydantic: any transform, as people write it."""
    form: Callable[[Any], Any] = partial(named_form, folder=TRANSFORMS, error="unknown_transform")
    return Annotated[kinds.union(TRANSFORMS), BeforeValidator(form)]
