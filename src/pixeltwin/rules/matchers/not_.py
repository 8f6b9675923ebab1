"""Anything but that: `not: { event: [Purchase, Lead] }`. It holds unless all of its wishes do."""

from typing import TYPE_CHECKING, Final

from pixeltwin.rules.matcher import Example, Matcher
from pixeltwin.rules.moment import Arrival

if TYPE_CHECKING:
    from pixeltwin.rules.matcher import Match as AnyMatch


class Settings(Matcher):
    """Wishes as under `match`."""

    want: "AnyMatch"

    def holds(self, moment: Arrival) -> bool:
        return not self.want.holds(moment)

    def covers(self, other: "Settings") -> bool:
        return other.want.covers(self.want)


EXAMPLES: Final = (
    Example(written={"event": ["Purchase", "Lead"]}, holds=True),
    Example(written={"event": "PageView"}, holds=False),
    Example(written={"event": "PageView", "path": "/checkout/*"}, hit={"dl": "https://shop.example/p/1"}, holds=True),
)
