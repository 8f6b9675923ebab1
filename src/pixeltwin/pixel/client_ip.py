"""The visitor's address: the TCP peer's, or what our own proxies say of it, or what Meta's script saw from outside.

X-Forwarded-For is believed only from trusted proxies and read from right to left: the first address that is no proxy
of ours is the visitor's. Everything left of it was written by somebody we do not know (THREATS T3).

The cookie `_fbi` is written in the browser, by Meta's parameter builder or by anybody else: good enough to tell Meta
who the visitor is, never to decide what he may do.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from pixeltwin.pixel.browser_id import APPENDIX
from pixeltwin.pixel.request import HitRequest, Network

MAX_HOPS: Final = 20  # longer chains are nobody's real set-up
# nobody's real address, but what examples, tests and demos use for a visitor (RFC 5737, RFC 3849)
DOCUMENTATION: Final = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
# protocol assignments, 6to4 and its relays, documentation, site-local: `ipaddress` calls some global, by its version
RESERVED: Final = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20", "fec0::/10")))
WRAPPED: Final = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d{1,5})?|(?P<v4>[\d.]+):\d{1,5}", re.ASCII)
FBI_COOKIE: Final = "_fbi"
FBI: Final = re.compile(rf"(.{{2,60}}?)(?:{APPENDIX})*", re.ASCII)  # bounded: else a long cookie costs its square

LONGEST: Final = 45  # characters of an address
KNOWN: Final = 10_000  # addresses: proxies ask with every hit, and few visitors with one alone

type Address = IPv4Address | IPv6Address


def visitor_ip(request: HitRequest, trusted: Sequence[Network], *, fbi_cookie: bool) -> str | None:
    """The visitor's public address, None when it cannot be known or is private: Meta must not get a server's.

    With `fbi_cookie` in the order of Meta's parameter builder (PROTOCOL 2.3): the cookie's IPv6, the request's, the
    cookie's IPv4, the request's.
    """
    own = _of_cookie(request) if fbi_cookie else None
    seen = (own, _of_request(request, trusted))
    public = [a for a in seen if a is not None and is_public(a) and not _is_in(a, trusted)]
    best = max(public, key=lambda address: address.version, default=None)  # of equals the first
    return str(best) if best else None


def client_ip(request: HitRequest, trusted: Sequence[Network]) -> str | None:
    """The visitor's public address as the network knows it."""
    return visitor_ip(request, trusted, fbi_cookie=False)


@lru_cache(KNOWN)
def is_public(address: Address) -> bool:
    if _is_in(address, DOCUMENTATION):
        return True
    return address.is_global and not (address.is_multicast or address.is_reserved or _is_in(address, RESERVED))


def _of_cookie(request: HitRequest) -> Address | None:
    found = FBI.fullmatch(request.cookies.get(FBI_COOKIE, ""))
    return _address(found[1]) if found else None


def _of_request(request: HitRequest, trusted: Sequence[Network]) -> Address | None:
    address = _hop(request.peer)
    hops = request.header("x-forwarded-for").split(",")[-MAX_HOPS:]
    for hop in reversed(hops):
        if address is None or not _is_in(address, trusted):
            break
        address = _hop(hop)
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _hop(text: str) -> Address | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`."""
    found = WRAPPED.fullmatch(text.strip())
    return _address((found["v6"] or found["v4"]) if found else text.strip())


def _address(text: str) -> Address | None:
    """An address without its zone id; `::ffff:1.2.3.4` is an IPv4 address."""
    text = text.partition("%")[0]
    return _plain_address(text) if len(text) <= LONGEST else None


@lru_cache(KNOWN)
def _plain_address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
