"""The pixel the hit is for, by name or id."""

from pixeltwin.rules.matcher import Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One pixel or several."""

    want: Names

    def holds(self, moment: Arrival) -> bool:
        return moment.pixel_name in self.want or moment.pixel_id in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want
