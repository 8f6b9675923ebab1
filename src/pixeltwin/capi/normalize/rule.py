"""What a field's rule is: the steps to its canonical value, then whatever else is sent with that, and what to doubt.

A step takes a text and returns one; the empty text means "refused" and stays empty.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Step(NamedTuple):
    """One step of a rule: what it does, said for people, and the doing."""

    says: str
    work: Callable[[str], str]


type Values = tuple[str, ...]
"""All values to send for a field, the first "" where the canonical one is refused."""


def canonical_alone(text: str, canonical: str, country: str | None) -> Values:
    return (canonical,)


def no_doubts(text: str, values: Values, country: str | None) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class Rule:
    """How a field is normalised. `values` and `doubts` get the trimmed text and the default country, if any.

    `further` says what the values beside the canonical one are. `by_table`: a second value that is not "" means that
    our tables have the whole text as a name. That is nobody's data, so what becomes of it may be remembered.
    """

    steps: tuple[Step, ...]
    values: Callable[[str, str, str | None], Values] = canonical_alone
    further: str = ""
    doubts: Callable[[str, Values, str | None], Iterable[str]] = no_doubts
    by_table: bool = False
    works: tuple[Callable[[str], str], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "works", tuple(step.work for step in self.steps))

    def canonical(self, text: str) -> str:
        """The canonical value of a trimmed text, or ""."""
        for work in self.works:
            text = work(text)
        return text
