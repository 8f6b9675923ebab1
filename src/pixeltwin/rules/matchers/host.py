"""The host of the page, not of the gateway: `www.shop.example`, `*.shop.example` for all below it, `*` for any."""

import re
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator

from pixeltwin.rules.matcher import Example, Matcher, Names
from pixeltwin.rules.moment import Arrival
from pixeltwin.units import wrong

ANY: Final = "*"
HOST: Final = re.compile(r"(?:\*\.)?[^\s*/:?#@\[\]]+")


def _lowered(hosts: frozenset[str]) -> frozenset[str]:
    """Raises a pydantic error for what is no page's host."""
    if not all(host == ANY or HOST.fullmatch(host) or _is_address(host) for host in hosts):
        raise wrong("write the host alone, without scheme, port and path: shop.example, *.shop.example, or * for any")
    return frozenset(map(str.lower, hosts))


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


class Settings(Matcher):
    """One host or several."""

    want: Annotated[Names, AfterValidator(_lowered)]

    def holds(self, moment: Arrival) -> bool:
        host = moment.page.hostname or ""
        return any(_is_meant(host, wanted) for wanted in self.want)

    def covers(self, other: "Settings") -> bool:
        return ANY in self.want or self.want >= other.want


def _is_meant(host: str, wanted: str) -> bool:
    if wanted == ANY:
        return bool(host)
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted


EXAMPLES: Final = (
    Example(written="WWW.shop.example", hit={"dl": "https://www.shop.example/p/1"}, holds=True),
    Example(written="*.shop.example", hit={"dl": "https://m.shop.example:8443/"}, holds=True),
    Example(written="*.shop.example", hit={"dl": "https://shop.example/"}, holds=False),
    Example(written="*", hit={"dl": "https://shop.example/"}, holds=True),
    Example(written="shop.example", hit={"dl": "https://shop.example.evil.example/"}, holds=False),
)
