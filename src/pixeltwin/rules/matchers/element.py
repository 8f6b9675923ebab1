"""Data elements: `{ plan: [gold, vip], customer_id: { exists: true } }`."""

from typing import Final

from pixeltwin.rules.comparison import Comparisons
from pixeltwin.rules.matcher import Example, Matcher
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """What each of the elements has to be."""

    want: Comparisons

    def holds(self, moment: Arrival) -> bool:
        return all(wanted.holds(moment.visit.element(name)) for name, wanted in self.want.items())


EXAMPLES: Final = (
    Example(written={"plan": ["gold", "vip"]}, elements={"plan": "vip"}, holds=True),
    Example(written={"plan": ["gold", "vip"]}, elements={"plan": "free"}, holds=False),
    Example(written={"customer_id": {"exists": True}}, holds=False),
    Example(written={"age": {"at_least": 18}}, elements={"age": "21"}, holds=True),
)
