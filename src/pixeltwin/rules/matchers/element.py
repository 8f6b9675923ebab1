"""Data elements: `{ plan: [gold, vip], customer_id: { exists: true } }`."""

from pixeltwin.rules.comparison import Comparisons
from pixeltwin.rules.matcher import Matcher
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """What each of the elements has to be."""

    want: Comparisons

    def holds(self, moment: Arrival) -> bool:
        return all(wanted.holds(moment.visit.element(name)) for name, wanted in self.want.items())
