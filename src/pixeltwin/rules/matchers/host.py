"""The host of the page, not of the gateway: `www.shop.example`, or `*.shop.example` for every host below it."""

from typing import Annotated, Final

from pydantic import AfterValidator

from pixeltwin.rules.matcher import Example, Matcher, Names
from pixeltwin.rules.moment import Arrival


def _lowered(hosts: frozenset[str]) -> frozenset[str]:
    return frozenset(map(str.lower, hosts))


class Settings(Matcher):
    """One host or several."""

    want: Annotated[Names, AfterValidator(_lowered)]

    def holds(self, moment: Arrival) -> bool:
        host = moment.page.hostname or ""
        return any(_is_meant(host, wanted) for wanted in self.want)

    def covers(self, other: "Settings") -> bool:
        return self.want >= other.want


def _is_meant(host: str, wanted: str) -> bool:
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted


EXAMPLES: Final = (
    Example(written="WWW.shop.example", hit={"dl": "https://www.shop.example/p/1"}, holds=True),
    Example(written="*.shop.example", hit={"dl": "https://m.shop.example:8443/"}, holds=True),
    Example(written="*.shop.example", hit={"dl": "https://shop.example/"}, holds=False),
    Example(written="shop.example", hit={"dl": "https://shop.example.evil.example/"}, holds=False),
)
