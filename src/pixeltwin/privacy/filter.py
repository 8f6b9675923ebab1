"""The contract of a filter: what personal data looks like in a text. Kinds are the files of `filters/`.

Filters are conservative: order numbers, click ids and prices look much like personal data, and have to survive. A
filter reads texts as they are; that they may be percent-encoded, and that there may be several filters, is the
detector's concern.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator

from pixeltwin import kinds
from pixeltwin.kinds import KindSettings
from pixeltwin.patterns import finder

FILTERS: Final = "pixeltwin.privacy.filters"
WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
LONGEST_NAME: Final = 100  # characters; what is longer says nothing

type Span = tuple[int, int]


class FilterSettings(KindSettings):
    """The settings of a filter, and its work."""

    NAMES: ClassVar[frozenset[str]] = frozenset()  # words of a name that say what the text of that name is
    HINT: ClassVar[str] = ""  # a pattern for `finder`: what a text has to hold to be suspect, where that is always so

    def suspects(self, text: str) -> bool:
        """Whether the text may hold such data, its name apart; cheap, for it is asked about all texts of every hit.

        Of several texts, each on a line of its own, whether any of them may.
        """
        return finder(self.HINT)(text)

    def spans(self, text: str, *, named: bool) -> Iterable[Span]:
        """Where such data stands in the text, in linear time. `named`: the name of the text says so. Never raises."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a filter that is written like this in the config file makes of a text by that name, with `found: mask`."""

    written: str | Mapping[str, Any]
    name: str = ""
    given: str
    gives: str


def words(name: str) -> frozenset[str]:
    """The words of a name, in small letters, and each two neighbours as one: `apiKey` has api, key and apikey."""
    if len(name) > LONGEST_NAME:
        return frozenset()
    found = [word.lower() for word in WORD.findall(name)]
    return frozenset((*found, *(left + right for left, right in pairwise(found))))


@cache
def filter_type() -> Any:
    """A type for pydantic: any filter, as people write it."""
    form = partial(kinds.named_form, folder=FILTERS, error="unknown_filter")
    return Annotated[kinds.union(FILTERS), BeforeValidator(form)]
