"""Where the visitor is, as `geo` says: `DE`, `US-CA`, or `unknown`."""

from pixeltwin.rules.matcher import Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One code or several, in capitals."""

    want: Names

    def holds(self, moment: Arrival) -> bool:
        place = moment.visit.place
        return (place.country or "unknown") in self.want or f"{place.country}-{place.region}" in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want
