"""Properties of the event: `{ currency: [EUR, CHF], value: { at_least: 100 }, order_id: { exists: true } }`."""

from typing import Final

from pixeltwin.rules.comparison import Comparisons
from pixeltwin.rules.matcher import Example, Matcher
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """What each of the properties has to be."""

    want: Comparisons

    def holds(self, moment: Arrival) -> bool:
        return all(wanted.holds(moment.custom_data.get(name)) for name, wanted in self.want.items())


EXAMPLES: Final = (
    Example(written={"currency": ["EUR", "CHF"]}, hit={"cd[currency]": "chf"}, holds=True),
    Example(written={"value": {"at_least": 100}}, hit={"cd[value]": "100.00"}, holds=True),
    Example(written={"value": {"above": 100}}, hit={"cd[value]": "100.00"}, holds=False),
    Example(written={"value": {"below": 100}}, holds=False),
    Example(written={"coupon": {"exists": False}, "gift": True}, hit={"cd[gift]": "true"}, holds=True),
)
