"""The event's name, as the hit has it or an earlier rule has set it."""

from pixeltwin.rules.matcher import Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One name or several, letter case counts: Meta's do."""

    want: Names

    def holds(self, moment: Arrival) -> bool:
        return moment.event.event_name in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want
