"""Where the visitor is, as `geo` says: `DE`, `US-CA`, `EU`, `EEA`, or `unknown`."""

from functools import cached_property
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from pixeltwin.consent.places import PlaceCode, codes, codes_of
from pixeltwin.consent.signal import at_least_one
from pixeltwin.pixel.visit import Place
from pixeltwin.rules.matcher import Example, Matcher, listed
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One place or several, written as in the `where` of a consent policy."""

    want: Annotated[frozenset[PlaceCode], BeforeValidator(listed), AfterValidator(at_least_one)]

    @cached_property
    def _codes(self) -> frozenset[str]:
        return codes(self.want)

    def holds(self, moment: Arrival) -> bool:
        return not self._codes.isdisjoint(codes_of(moment.visit.place))

    def covers(self, other: "Settings") -> bool:
        return self._codes >= other._codes


EXAMPLES: Final = (
    Example(written="DE", place=Place("DE"), holds=True),
    Example(written="DE", place=Place("AT"), holds=False),
    Example(written=["EEA", "CH"], place=Place("NO"), holds=True),
    Example(written="US-CA", place=Place("US", "CA"), holds=True),
    Example(written="US-CA", place=Place("US", "NY"), holds=False),
    Example(written="unknown", holds=True),
)
