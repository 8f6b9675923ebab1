"""The event's name, as the hit has it or an earlier rule has set it."""

from typing import ClassVar, Final

from pixeltwin.rules.matcher import Example, Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One name or several, letter case counts: Meta's do."""

    IS_QUICK: ClassVar[bool] = True

    want: Names

    def holds(self, moment: Arrival) -> bool:
        return moment.event["event_name"] in self.want

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want


EXAMPLES: Final = (
    Example(written=["Purchase", "Lead"], hit={"ev": "Lead"}, holds=True),
    Example(written="Lead", hit={"ev": "lead"}, holds=False),
)
