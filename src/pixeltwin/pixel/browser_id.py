"""`fbp` and `fbc`: how Meta knows a browser and the ad click that brought it (PROTOCOL section 2).

    fbp = fb.<subdomain index>.<creation time, ms>.<random>         optionally .<appendix>
    fbc = fb.<subdomain index>.<creation time, ms>.<click id>       optionally .<appendix>

A value that exists is kept byte for byte: never re-stamped, never lower-cased.
"""

import re
from functools import cache
from typing import Final
from urllib.parse import parse_qs, urlsplit

from publicsuffixlist import PublicSuffixList

# patterns of THREATS T8; an index above 2 is a cookie set on a deep subdomain
BROWSER_ID: Final = re.compile(r"fb\.\d\.\d{10,13}\.[\w-]{1,500}(\.[\w-]{2}|\.[\w-]{8})?", re.ASCII)
CLICK_ID: Final = re.compile(r"[\w-]{1,500}", re.ASCII)


def valid(value: str) -> str | None:
    """The value if it has the form of an fbp or fbc."""
    return value if BROWSER_ID.fullmatch(value) else None


def click_id(url: str) -> str | None:
    """The `fbclid` of a page's address, if it has a well-formed one."""
    try:
        values = parse_qs(urlsplit(url).query).get("fbclid", [])
    except ValueError:  # such as an unclosed [ in the host
        return None
    return values[0] if values and CLICK_ID.fullmatch(values[0]) else None


def fbc_of_click(click: str, host: str, at: float) -> str:
    """The fbc of a click first seen at unix second `at` on a page of `host`."""
    return f"fb.{subdomain_index(host)}.{int(at * 1000)}.{click}"


def subdomain_index(host: str) -> int:
    """Labels of the host's registrable domain minus 1: shop.example 1, shop.co.uk 2 (PROTOCOL 2.1); 1 when unknown."""
    domain = _suffixes().privatesuffix(host.lower())
    return domain.count(".") if domain else 1


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
