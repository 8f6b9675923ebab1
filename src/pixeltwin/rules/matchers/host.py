"""The host of the page, not of the gateway: `www.shop.example`, or `*.shop.example` for every host below it."""

from pixeltwin.rules.matcher import Matcher, Names
from pixeltwin.rules.moment import Arrival


class Settings(Matcher):
    """One host or several, in small letters."""

    want: Names

    def holds(self, moment: Arrival) -> bool:
        host = moment.page.hostname or ""
        return any(_is_meant(host, wanted) for wanted in self.want)

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want


def _is_meant(host: str, wanted: str) -> bool:
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted
