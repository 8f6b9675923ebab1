"""The contract of a matcher: one cheap wish of a rule's `match:`. Kinds are the files of `matchers/`.

A matcher's file is named by the key under which it is written: `match: { event: Purchase, path: /checkout/* }`. All of
a rule's wishes have to hold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from pixeltwin import kinds
from pixeltwin.consent.signal import at_least_one
from pixeltwin.consent.verdict import Answer
from pixeltwin.kinds import FROZEN
from pixeltwin.pixel.visit import Place

if TYPE_CHECKING:
    from pixeltwin.rules.moment import Arrival

MATCHERS: Final = "pixeltwin.rules.matchers"


class Matcher(BaseModel):
    """One wish. Its model has one field, `want`, and the file says what may stand there."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    IS_QUICK: ClassVar[bool] = False  # asked before the others, as it settles most hits in no time

    def holds(self, moment: "Arrival") -> bool:
        """Whether the hit is as wished. Never raises for what a request holds."""
        raise NotImplementedError

    def covers(self, other: Self) -> bool:
        """Whether it holds wherever `other` does, as far as can be told without a hit: for warnings alone."""
        return self == other


class Match(BaseModel):
    """What a hit has to be, all of it; None where nothing is wished."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    @cached_property
    def _wishes(self) -> tuple[Callable[["Arrival"], bool], ...]:
        wished = (wish for _, wish in self if wish is not None)
        return tuple([wish.holds for wish in sorted(wished, key=lambda wish: not wish.IS_QUICK)])

    def holds(self, moment: "Arrival") -> bool:
        for holds in self._wishes:  # noqa: SIM110 `all` with a generator costs three times as much
            if not holds(moment):
                return False
        return True

    def covers(self, other: "Match") -> bool:
        """Whether it holds wherever `other` does, as far as can be told."""
        return all(
            theirs is not None and wish.covers(theirs)
            for name, wish in self
            if wish is not None
            for theirs in (getattr(other, name),)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Whether a matcher that is written like this in the config file holds of a hit.

    The hit is a PageView of the pixel `shop`; `hit` has other parameters of it.
    """

    written: Any
    hit: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, str] = field(default_factory=dict)
    place: Place = field(default_factory=Place)
    answer: Answer = Answer.UNKNOWN
    client_ip: str | None = None
    holds: bool


def listed(given: Any) -> Any:
    return given if isinstance(given, list | tuple | set | frozenset) else (given,)


Names = Annotated[frozenset[str], BeforeValidator(listed), AfterValidator(at_least_one)]
"""One text or several."""


@cache
def match_type() -> type[Match]:
    """A model with one option for every file of `matchers/`."""
    options: dict[str, Any] = {
        module.__name__.rpartition(".")[2].rstrip("_"): _option(module.Settings) for module in kinds.modules(MATCHERS)
    }
    model: type[Match] = create_model("MatchSettings", __base__=Match, **options)
    for module in kinds.modules(MATCHERS):
        module.Settings.model_rebuild(_types_namespace={"AnyMatch": model})
    model.model_rebuild(force=True)
    return model


def _option(settings: type[Matcher]) -> Any:
    def written(given: Any) -> Any:
        return given if given is None or isinstance(given, settings) else {"want": given}

    return Annotated[settings | None, BeforeValidator(written)], Field(default=None)
