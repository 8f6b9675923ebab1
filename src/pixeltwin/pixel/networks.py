"""Networks as one sorted list of numbers: whether an address is in any of them is one look, however many they are."""

from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from itertools import chain
from typing import Final

from pixeltwin.pixel.request import Network

BELOW_ZERO: Final = 2**32  # IPv4 has the negative numbers, since both begin at 0

type Address = IPv4Address | IPv6Address


class Networks:
    """A set of networks; `address in networks` tells whether one of them holds the address."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        given = tuple(networks)
        v4 = collapse_addresses([it for it in given if isinstance(it, IPv4Network)])
        v6 = collapse_addresses([it for it in given if isinstance(it, IPv6Network)])
        self._edges = (*chain.from_iterable(map(_edges, v4)), *chain.from_iterable(map(_edges, v6)))

    def __contains__(self, address: Address) -> bool:
        return self.holds(_number(address))

    def holds(self, number: int) -> bool:
        """Whether one of them holds the address that is this number: of IPv4 a negative one."""
        return bisect_right(self._edges, number) % 2 == 1


def _edges(network: Network) -> tuple[int, int]:
    """Where the network begins, and where the next one could."""
    return _number(network.network_address), _number(network.broadcast_address) + 1


def _number(address: Address) -> int:
    return int(address) - BELOW_ZERO if isinstance(address, IPv4Address) else int(address)


# What IANA's registries of special-purpose addresses keep from the internet, multicast, and IPv6 not given out yet.
# Tunnels and protocol assignments are among it: `ipaddress` calls some of them global, by its version. Networks for
# documentation are not: nobody has such an address, but examples, tests and demos use them for a visitor.
NOT_PUBLIC: Final = Networks(
    map(
        ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3"),
            *("::/3", "2001::/23", "2002::/16", "3fff::/20", "4000::/2", "8000::/1"),
        ),
    )
)
