"""`fbp` and `fbc`: how Meta knows a browser and the ad click that brought it (PROTOCOL section 2).

    fbp = fb.<subdomain index>.<creation time, ms>.<random>         optionally .<appendix>
    fbc = fb.<subdomain index>.<creation time, ms>.<click id>       optionally .<appendix>

A value that exists is kept byte for byte: never re-stamped, never lower-cased. The hit's counts before the cookie's;
the cookie's `fbc` gives way only to another click id, in the page's address or else in its referrer's.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from publicsuffixlist import PublicSuffixList

from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

# what Meta's parameter builder appends: its language (1 to 6) as one byte in base64, or six bytes 01 <language> …
APPENDIX: Final = r"\.(?:AQ|Ag|Aw|BA|BQ|Bg|AQ[E-Zab][\w-]{5})"
# patterns of THREATS T8; an index above 2 is a cookie set on a deep subdomain
BROWSER_ID: Final = re.compile(rf"fb\.\d\.\d{{10,13}}\.[\w-]{{1,500}}(?:{APPENDIX})?", re.ASCII)
CLICK_ID: Final = re.compile(r"[\w-]{1,500}", re.ASCII)
FBCLID: Final = re.compile(r"(?:^|&)fbclid=([^&]+)")
DOMAIN: Final = re.compile(r"([a-z0-9_-]+\.)+[a-z][a-z0-9-]*")  # two labels or more; addresses end in a number
HOSTS: Final = 1024  # whose domain is remembered; clients make them up
RANDOM_BELOW: Final = 2**31 - 1  # the builder's floor(random * 2147483647)


@dataclass  # frozen by its types alone, like a hit
class BrowserIds:
    """A visitor's ids, well-formed, None where there is none."""

    fbp: Final[str | None]
    fbc: Final[str | None]


def browser_ids(hit: PixelHit, request: HitRequest, *, random: int | None, domains: Sequence[str] = ()) -> BrowserIds:
    """The visitor's ids: the hit's, the cookies', or new ones.

    A visitor without `fbp` gets one made of `random`, a number below RANDOM_BELOW; with None he stays without, for
    where no cookie can keep it. `domains` are the owner's registrable domains; the public suffix list knows others.
    """
    cookies, now = request.cookies, request.received_at
    fbp = known_fbp(hit, request)
    if not fbp and random is not None:
        fbp = _new(str(random), page_host(hit, request), now, domains)
    if own := valid(hit.get("fbc")):  # the pixel has already held it against its page's click id
        return BrowserIds(fbp, own)
    fbc, click = valid(cookies.get("_fbc", "")), _click(hit, request)
    if click and not (fbc and click == fbc.split(".")[3]):
        fbc = fbc_of_click(click, page_host(hit, request), now, domains)
    return BrowserIds(fbp, fbc)


def known_fbp(hit: PixelHit, request: HitRequest) -> str | None:
    """The `fbp` that the browser has already."""
    return valid(hit.get("fbp")) or valid(request.cookies.get("_fbp", ""))


def valid(value: str) -> str | None:
    """The value if it has the form of an fbp or fbc."""
    return value if value and BROWSER_ID.fullmatch(value) else None


def bare(browser_id: str) -> str:
    """The fbp or fbc without what Meta's parameter builder may have appended."""
    return ".".join(browser_id.split(".", 4)[:4]) if browser_id.count(".") > 3 else browser_id


def click_id(url: str) -> str | None:
    """The `fbclid` of a page's address, with or without scheme, if it has a well-formed one."""
    found = FBCLID.search(_parts(url).query)
    click = unquote(found[1]) if found else ""
    return click if CLICK_ID.fullmatch(click) else None


def fbc_of_click(click: str, host: str, at: float, domains: Sequence[str] = ()) -> str:
    """The fbc of a click first seen at unix second `at` on a page of `host`."""
    return _new(click, host, at, domains)


def subdomain_index(host: str, domains: Sequence[str] = ()) -> int:
    """Labels of the cookie's domain minus 1: shop.example 1, shop.co.uk 2, localhost and addresses 0 (PROTOCOL 2.1).

    1 when there is no host, as Meta advises for ids made without a cookie.
    """
    if not host:
        return 1
    domain = registrable_domain(host, domains)
    return domain.count(".") if domain else 0


def registrable_domain(host: str, domains: Sequence[str] = ()) -> str | None:
    """The widest domain whose cookies `host` may set, None for localhost, addresses and what is no host name.

    The first of `domains` (lower-case) that `host` belongs to, else what the public suffix list says.
    """
    host = host.lower().removesuffix(".")
    if not DOMAIN.fullmatch(host):
        return None
    own = next((domain for domain in domains if f".{host}".endswith(f".{domain}")), None)
    return own or _listed(host) or host


def _new(payload: str, host: str, at: float, domains: Sequence[str]) -> str:
    return f"fb.{subdomain_index(host, domains)}.{round(at * 1000)}.{payload}"


def _click(hit: PixelHit, request: HitRequest) -> str | None:
    for address in (hit.get("dl"), hit.get("rl"), request.header("referer")):
        if "fbclid=" in address and (click := click_id(address)):
            return click
    return None


def page_host(hit: PixelHit, request: HitRequest) -> str:
    """The host of the page, which an image tag names in its Referer only; without a page the gateway's own."""
    return _parts(hit.get("dl") or request.header("referer")).hostname or request.host


def _parts(url: str) -> SplitResult:
    """The parts of an address; of a broken one, such as an unclosed [ in the host, nothing."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


@lru_cache(HOSTS)
def _listed(host: str) -> str | None:
    """What the public suffix list says: a shop has few hosts, and a look into the list takes as long as the rest."""
    return _suffixes().privatesuffix(host)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
