"""Properties of the event: `{ currency: [EUR, CHF], value: { at_least: 100 }, order_id: { exists: true } }`."""

from pixeltwin.rules.comparison import Comparisons
from pixeltwin.rules.matcher import Matcher
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """What each of the properties has to be."""

    want: Comparisons

    def holds(self, moment: Arrival) -> bool:
        return all(wanted.holds(moment.custom_data.get(name)) for name, wanted in self.want.items())
