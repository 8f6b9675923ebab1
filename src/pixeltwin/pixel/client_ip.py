"""The visitor's address: the TCP peer's, or what our own proxies say of it, or what Meta's script saw from outside.

X-Forwarded-For is believed only from trusted proxies and read from right to left: the first address that is no proxy
of ours is the visitor's. Everything left of it was written by somebody we do not know (THREATS T3).

The cookie `_fbi` is written in the browser, by Meta's parameter builder or by anybody else: good enough to tell Meta
who the visitor is, never to decide what he may do.
"""

import re
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
MAPPED: Final = 0xFFFF  # an IPv6 address that begins like this is an IPv4 address in disguise

type Number = int
"""An address as `Networks` count them: IPv4 has the negative numbers."""


def visitor_ip(request: HitRequest, trusted: Networks, *, fbi_cookie: bool) -> str | None:
    """The visitor's public address, None when it cannot be known or is private: Meta must not get a server's.

    With `fbi_cookie` in the order of Meta's parameter builder (PROTOCOL 2.3): the cookie's IPv6, the request's, the
    cookie's IPv4, the request's.
    """
    if not fbi_cookie:
        return client_ip(request, trusted)
    seen = (_of_cookie(request), _of_request(request, trusted))
    public = [number for number in seen if number is not None and _is_visitors(number, trusted)]
    return _written(max(public, key=_is_v6)) if public else None  # of equals the first


def client_ip(request: HitRequest, trusted: Networks) -> str | None:
    """The visitor's public address as the network knows it."""
    number = _of_request(request, trusted)
    return _written(number) if number is not None and _is_visitors(number, trusted) else None


def is_proxy(peer: str, trusted: Networks) -> bool:
    """Whether the TCP peer of that address is a proxy of ours."""
    number = _hop(peer)
    return number is not None and trusted.holds(number)


def is_public(address: Address) -> bool:
    """Whether it can be a visitor's. One of IPv4 in IPv6 clothes is not, for it is no IPv6 address."""
    return address not in NOT_PUBLIC


def _is_visitors(number: Number, trusted: Networks) -> bool:
    return not (NOT_PUBLIC.holds(number) or trusted.holds(number))


def _of_cookie(request: HitRequest) -> Number | None:
    found = FBI.fullmatch(request.cookies.get(FBI_COOKIE, ""))
    return _number(found[1]) if found else None


def _of_request(request: HitRequest, trusted: Networks) -> Number | None:
    number = _hop(request.peer)
    if number is None or not trusted.holds(number):
        return number
    for hop in reversed(request.header("x-forwarded-for").split(",")[-MAX_HOPS:]):
        number = _hop(hop)
        if number is None or not trusted.holds(number):
            break
    return number


def _hop(text: str) -> Number | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`."""
    text = text.strip()
    number = _number(text)
    if number is None and (found := WRAPPED.fullmatch(text)):
        number = _number(found["v6"] or found["v4"])
    return number


def _number(text: str) -> Number | None:
    """An address without its zone id; `::ffff:1.2.3.4` is an IPv4 address."""
    text = text.partition("%")[0]
    if len(text) > LONGEST:
        return None
    try:
        if ":" not in text:
            first, second, third, fourth = [OCTETS[octet] for octet in text.split(".")]
            return (first << 24 | second << 16 | third << 8 | fourth) - BELOW_ZERO
        number = int(IPv6Address(text))
    except (KeyError, ValueError):
        return None
    return number % BELOW_ZERO - BELOW_ZERO if number >> 32 == MAPPED else number


def _is_v6(number: Number) -> bool:
    return number >= 0


def _written(number: Number) -> str:
    return str(IPv6Address(number)) if _is_v6(number) else ".".join(map(str, (number + BELOW_ZERO).to_bytes(4)))
