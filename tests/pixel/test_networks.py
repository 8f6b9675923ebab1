"""Sorted numbers hold what networks one by one hold, and public is what `ipaddress` calls global."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.pixel.networks import NOT_PUBLIC, Address, Networks
from pixeltwin.pixel.request import Network


def network(start: Address, length: int) -> Network:
    return ip_network((start, min(length, start.max_prefixlen)), strict=False)


ADDRESSES = st.ip_addresses()
LISTS = st.lists(st.builds(network, ADDRESSES, st.integers(0, 128)), max_size=6)


def around(networks: Sequence[Network]) -> list[Address]:
    """The first and last address of each network, and their neighbours."""
    ends = [end for it in networks for end in (it.network_address, it.broadcast_address)]
    return [type(end)(int(end) + by) for end in ends for by in (-1, 0, 1) if 0 <= int(end) + by < 2**end.max_prefixlen]


@given(LISTS, st.lists(ADDRESSES, max_size=10))
def test_they_hold_what_one_of_them_holds(networks, addresses):
    held = Networks(networks)
    for address in (*addresses, *around(networks), IPv4Address(0), IPv6Address(0)):
        assert (address in held) == any(address in it for it in networks)


# Example networks are a visitor's here; of protocol assignments, tunnels and site-local networks, `ipaddress` calls
# some global, by its version.
EXAMPLES = tuple(map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")))
RESERVED = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20", "fec0::/10"))
)
V4_NARROW = tuple(ip_network(f"{high}.{low}.0.0/16") for high in (100, 169, 172, 192, 198) for low in range(256))
V4_WIDE = tuple(ip_network(f"{high}.0.0.0/8") for high in range(256))
V6_WIDE = tuple(ip_network(f"{high:x}00::/8") for high in range(1, 256))


def is_public(address: Address) -> bool:
    if any(address in it for it in EXAMPLES):
        return True
    is_reserved = address.is_multicast or address.is_reserved or any(address in it for it in RESERVED)
    return address.is_global and not is_reserved


def is_mapped(address: Address) -> bool:
    """Whether it is an IPv4 address in IPv6 clothes, which nobody asks about."""
    return getattr(address, "ipv4_mapped", None) is not None


@given(ADDRESSES.filter(lambda address: not is_mapped(address)))
def test_public_is_what_python_calls_global(address):
    assert (address not in NOT_PUBLIC) == is_public(address)


def test_also_where_blocks_begin_and_end():
    asked = around([*V4_WIDE, *V4_NARROW, *V6_WIDE, *EXAMPLES, *RESERVED])
    assert [it for it in asked if (it not in NOT_PUBLIC) != is_public(it)] == []
