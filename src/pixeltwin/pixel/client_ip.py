"""The visitor's address: the TCP peer's, or what our own proxies say of it, or what Meta's script saw from outside.

X-Forwarded-For is believed only from trusted proxies and read from right to left: the first address that is no proxy
of ours is the visitor's. Everything left of it was written by somebody we do not know (THREATS T3).

The cookie `_fbi` is written in the browser, by Meta's parameter builder or by anybody else: good enough to tell Meta
who the visitor is, never to decide what he may do.
"""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from pixeltwin.pixel.browser_id import APPENDIX
from pixeltwin.pixel.networks import BELOW_ZERO, NOT_PUBLIC, Address, Networks
from pixeltwin.pixel.request import HitRequest

MAX_HOPS: Final = 20  # longer chains are nobody's real set-up
WRAPPED: Final = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d{1,5})?|(?P<v4>[\d.]+):\d{1,5}", re.ASCII)
FBI_COOKIE: Final = "_fbi"
FBI: Final = re.compile(rf"(.{{2,60}}?)(?:{APPENDIX})*", re.ASCII)  # bounded: else a long cookie costs its square

LONGEST: Final = 45  # characters of an address
OCTETS: Final = {str(number): number for number in range(256)}  # no leading zeros, no digits of other scripts
PEERS: Final = 4096  # whose address is remembered: those of proxies come with every hit, a visitor's with several

type Known = tuple[int, str]
"""An address as `Networks` count them, IPv4 has the negative numbers; and as it is written."""


def visitor_ip(request: HitRequest, trusted: Networks, *, fbi_cookie: bool) -> str | None:
    """The visitor's public address, None when it cannot be known or is private: Meta must not get a server's.

    With `fbi_cookie` in the order of Meta's parameter builder (PROTOCOL 2.3): the cookie's IPv6, the request's, the
    cookie's IPv4, the request's.
    """
    if not fbi_cookie:
        return client_ip(request, trusted)
    seen = (_of_cookie(request, trusted), _of_request(request, trusted))
    public = [known for known in seen if known is not None and not NOT_PUBLIC.holds(known[0])]
    return max(public, key=_is_v6)[1] if public else None  # of equals the first


def client_ip(request: HitRequest, trusted: Networks) -> str | None:
    """The visitor's public address as the network knows it."""
    known = _of_request(request, trusted)
    return None if known is None or NOT_PUBLIC.holds(known[0]) else known[1]


def is_proxy(peer: str, trusted: Networks) -> bool:
    """Whether the TCP peer of that address is a proxy of ours."""
    known = _peer(peer)
    return known is not None and trusted.holds(known[0])


def is_public(address: Address) -> bool:
    """Whether it can be a visitor's. One of IPv4 in IPv6 clothes is not, for it is no IPv6 address."""
    return address not in NOT_PUBLIC


def _of_cookie(request: HitRequest, trusted: Networks) -> Known | None:
    found = FBI.fullmatch(request.cookies.get(FBI_COOKIE, ""))
    known = _known(found[1]) if found else None
    return None if known is None or trusted.holds(known[0]) else known


def _of_request(request: HitRequest, trusted: Networks) -> Known | None:
    """The first address, seen from us, that is no proxy of ours; None where there is none."""
    known = _peer(request.peer)
    if known is None or not trusted.holds(known[0]):
        return known
    for hop in reversed(request.header("x-forwarded-for").split(",")[-MAX_HOPS:]):
        known = _hop(hop)
        if known is None or not trusted.holds(known[0]):
            return known
    return None


def _hop(text: str) -> Known | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`."""
    text = text.strip()
    known = _known(text)
    if known is None and (found := WRAPPED.fullmatch(text)):
        known = _known(found["v6"] or found["v4"])
    return known


_peer = lru_cache(PEERS)(_hop)


def _known(text: str) -> Known | None:
    """An address without its zone id; `::ffff:1.2.3.4` is an IPv4 address."""
    if "%" in text:
        text = text.partition("%")[0]
    if len(text) > LONGEST:
        return None
    try:
        if ":" not in text:
            first, second, third, fourth = [OCTETS[octet] for octet in text.split(".")]
            return (first << 24 | second << 16 | third << 8 | fourth) - BELOW_ZERO, text
        address = IPv6Address(text)
    except (KeyError, ValueError):
        return None
    v4 = address.ipv4_mapped
    return (int(address), str(address)) if v4 is None else (int(v4) - BELOW_ZERO, str(v4))


def _is_v6(known: Known) -> bool:
    return known[0] >= 0
