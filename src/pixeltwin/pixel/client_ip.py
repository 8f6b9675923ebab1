"""The visitor's address: the TCP peer's, or what our own proxies say of it, or what Meta's script saw from outside.

X-Forwarded-For is believed only from trusted proxies and read from right to left: the first address that is no proxy
of ours is the visitor's. Everything left of it was written by somebody we do not know (THREATS T3).

The cookie `_fbi` is written in the browser, by Meta's parameter builder or by anybody else: good enough to tell Meta
who the visitor is, never to decide what he may do.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from pixeltwin.pixel.browser_id import APPENDIX
from pixeltwin.pixel.networks import NOT_PUBLIC, Address, Networks
from pixeltwin.pixel.request import HitRequest

MAX_HOPS: Final = 20  # longer chains are nobody's real set-up
WRAPPED: Final = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d{1,5})?|(?P<v4>[\d.]+):\d{1,5}", re.ASCII)
FBI_COOKIE: Final = "_fbi"
FBI: Final = re.compile(rf"(.{{2,60}}?)(?:{APPENDIX})*", re.ASCII)  # bounded: else a long cookie costs its square

LONGEST: Final = 45  # characters of an address
KNOWN: Final = 10_000  # addresses: proxies ask with every hit, and few visitors with one alone


def visitor_ip(request: HitRequest, trusted: Networks, *, fbi_cookie: bool) -> str | None:
    """The visitor's public address, None when it cannot be known or is private: Meta must not get a server's.

    With `fbi_cookie` in the order of Meta's parameter builder (PROTOCOL 2.3): the cookie's IPv6, the request's, the
    cookie's IPv4, the request's.
    """
    own = _of_cookie(request) if fbi_cookie else None
    seen = (own, _of_request(request, trusted))
    public = [a for a in seen if a is not None and is_public(a) and a not in trusted]
    best = max(public, key=lambda address: address.version, default=None)  # of equals the first
    return str(best) if best else None


def client_ip(request: HitRequest, trusted: Networks) -> str | None:
    """The visitor's public address as the network knows it."""
    return visitor_ip(request, trusted, fbi_cookie=False)


def is_public(address: Address) -> bool:
    """Whether it can be a visitor's. One of IPv4 in IPv6 clothes is not, for it is no IPv6 address."""
    return address not in NOT_PUBLIC


def _of_cookie(request: HitRequest) -> Address | None:
    found = FBI.fullmatch(request.cookies.get(FBI_COOKIE, ""))
    return _address(found[1]) if found else None


def _of_request(request: HitRequest, trusted: Networks) -> Address | None:
    address = _hop(request.peer)
    hops = request.header("x-forwarded-for").split(",")[-MAX_HOPS:]
    for hop in reversed(hops):
        if address is None or address not in trusted:
            break
        address = _hop(hop)
    return address


def _hop(text: str) -> Address | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`."""
    text = text.strip()
    found = WRAPPED.fullmatch(text)
    return _address((found["v6"] or found["v4"]) if found else text)


def _address(text: str) -> Address | None:
    """An address without its zone id; `::ffff:1.2.3.4` is an IPv4 address."""
    text = text.partition("%")[0]
    return _plain_address(text) if len(text) <= LONGEST else None


@lru_cache(KNOWN)
def _plain_address(text: str) -> Address | None:
    try:
        if ":" not in text:
            return IPv4Address(text)
        address = IPv6Address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address
