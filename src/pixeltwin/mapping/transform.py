"""The contract of a transform: what is done to a data element's text. Kinds are the files of `transforms/`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

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


@cache
def transform_type() -> Any:
    """A type for pydantic: any transform, as people write it."""
    form: Callable[[Any], Any] = partial(kinds.named_form, folder=TRANSFORMS, error="unknown_transform")
    return Annotated[kinds.union(TRANSFORMS), BeforeValidator(form)]
