"""The pixel the hit is for, by name or id."""

from typing import ClassVar, Final

from pixeltwin.rules.matcher import Example, Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One pixel or several."""

    IS_QUICK: ClassVar[bool] = True

    want: Names

    def holds(self, moment: Arrival) -> bool:
        return moment.pixel_name in self.want or moment.pixel_id in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want


EXAMPLES: Final = (
    Example(written="shop", holds=True),
    Example(written=["agency", "1234567890123456"], hit={"id": "1234567890123456"}, holds=True),
    Example(written="agency", holds=False),
)
