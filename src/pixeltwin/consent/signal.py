"""The contract of a consent signal: where a visitor's answer can be read. Kinds are the files of `signals/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, model_validator

from pixeltwin import kinds
from pixeltwin.consent.verdict import Answer
from pixeltwin.kinds import KindSettings
from pixeltwin.pixel.visit import Visit
from pixeltwin.units import wrong

SIGNALS: Final = "pixeltwin.consent.signals"
MAX_VALUE: Final = 8 << 10  # characters of a cookie (THREATS T10)


class SignalSettings(KindSettings):
    """The settings of a signal, and its work."""

    model_config = ConfigDict(hide_input_in_errors=True)

    def read(self, visit: Visit) -> Answer:
        """The visitor's answer, unknown where there is none. Never raises for what a request holds."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The answer that a signal, written like this in the config file, reads from a visit."""

    written: str | Mapping[str, Any]
    hit: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, str] = field(default_factory=dict)
    answer: Answer


def cookie(visit: Visit, name: str) -> str:
    """The cookie as the browser sent it; empty where it is missing or longer than browsers keep cookies."""
    value = visit.request.cookies.get(name, "")
    return value if len(value) <= MAX_VALUE else ""


def check_cookie_name(name: str) -> str:
    """A name that a cookie can have."""
    if not name or len(name) > 100 or not name.isprintable() or set(name) & set(" =;,"):
        raise wrong("write the cookie's name, without spaces, such as euconsent-v2")
    return name


def at_least_one[T](values: tuple[T, ...]) -> tuple[T, ...]:
    """Raises for none. (Pydantic's own check would also count members with a mistake as missing.)"""
    if not values:
        raise wrong("name at least one")
    return values


def _word(written: Any) -> Any:
    """YAML's whole numbers, `true` and `false` are taken as the words they are."""
    return str(written).lower() if isinstance(written, int) else written


CookieName = Annotated[str, AfterValidator(check_cookie_name)]
Word = Annotated[str, BeforeValidator(_word, str | int | bool)]


class ListedAnswers(SignalSettings):
    """What signals with free values have: `granted` lists the values that mean yes, `denied` those that mean no."""

    granted: tuple[Word, ...] = ()
    denied: tuple[Word, ...] = ()

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if not self.granted and not self.denied:
            raise wrong("add the values that mean yes, `granted: […]`, or those that mean no, `denied: […]`")
        if not set(self.granted).isdisjoint(self.denied):
            raise wrong("keep each value in one of the lists, `granted` or `denied`", at=("denied",))
        return self

    def answer(self, value: str) -> Answer:
        """What the value means."""
        if value in self.denied:
            return Answer.DENIED
        return Answer.GRANTED if value in self.granted else Answer.UNKNOWN


@cache
def signal_type() -> Any:
    """A type for pydantic: any signal, as people write it."""
    form = partial(kinds.named_form, folder=SIGNALS, error="unknown_signal")
    return Annotated[kinds.union(SIGNALS), BeforeValidator(form)]
