"""The visitor's address: the TCP peer's, or what our own proxies say of it.

X-Forwarded-For is believed only from trusted proxies and read from right to left: the first address that is no proxy
of ours is the visitor's. Everything left of it was written by somebody we do not know (THREATS T3).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from pixeltwin.pixel.request import HitRequest, Network

MAX_HOPS: Final = 20  # longer chains are nobody's real set-up
# nobody's real address, but what examples, tests and demos use for a visitor (RFC 5737, RFC 3849)
DOCUMENTATION: Final = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))

type Address = IPv4Address | IPv6Address


def client_ip(request: HitRequest, trusted: Sequence[Network]) -> str | None:
    """The visitor's public address, None when it cannot be known or is private: Meta must not get a server's."""
    address = _parse(request.peer)
    hops = request.header("x-forwarded-for").split(",")[-MAX_HOPS:]
    for hop in reversed(hops):
        if address is None or not _is_in(address, trusted):
            break
        address = _parse(hop)
    if address is None or _is_in(address, trusted) or not is_public(address):
        return None
    return str(address)


def is_public(address: Address) -> bool:
    return (address.is_global and not address.is_multicast) or _is_in(address, DOCUMENTATION)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> Address | None:
    """An address as proxies write it: `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]:80`, `::ffff:1.2.3.4`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
