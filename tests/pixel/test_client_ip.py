"""The visitor's address: trusted proxies only, right to left (THREATS T3)."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import request

from pixeltwin.pixel.client_ip import client_ip

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8:ffff::/48"))


def seen(peer: str, forwarded: str = "") -> str | None:
    return client_ip(request(peer=peer, headers={"x-forwarded-for": forwarded} if forwarded else {}), TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("8.8.8.8", "", "8.8.8.8"),
        ("8.8.8.8", "1.1.1.1", "8.8.8.8"),  # the peer is no proxy of ours: what it claims is worth nothing
        ("10.0.0.1", "8.8.8.8", "8.8.8.8"),
        ("10.0.0.1", "1.1.1.1, 8.8.8.8", "8.8.8.8"),  # the left one was written by the client
        ("10.0.0.1", "1.1.1.1, 8.8.8.8, 10.0.0.7", "8.8.8.8"),
        ("10.0.0.1", " 8.8.8.8 , 10.0.0.7", "8.8.8.8"),
        ("10.0.0.1", "8.8.8.8:4711", "8.8.8.8"),
        ("10.0.0.1", "[2606:4700:4700::1111]:443", "2606:4700:4700::1111"),
        ("10.0.0.1", "2606:4700:4700::1111", "2606:4700:4700::1111"),
        ("10.0.0.1", "::ffff:8.8.8.8", "8.8.8.8"),
        ("2001:db8:ffff::1", "8.8.8.8", "8.8.8.8"),
        ("10.0.0.1", "", None),  # a chain of our own proxies names nobody
        ("10.0.0.1", "10.0.0.2", None),
        ("10.0.0.1", "192.168.1.4", None),
        ("10.0.0.1", "8.8.8.8, garbage", None),
        ("127.0.0.1", "", None),
        ("169.254.1.1", "", None),
        ("100.64.0.1", "", None),
        ("0.0.0.0", "", None),
        ("224.0.0.1", "", None),
        ("fe80::1%eth0", "", None),
        ("fd00::1", "", None),
        ("", "", None),
    ],
)
def test_the_visitor_s_address(peer, forwarded, expected):
    assert seen(peer, forwarded) == expected


@given(st.ip_addresses().map(str), st.text(max_size=60))
def test_an_untrusted_peer_s_header_never_matters(peer, forwarded):
    assert client_ip(request(peer=peer, headers={"x-forwarded-for": forwarded}), ()) == client_ip(
        request(peer=peer), ()
    )
