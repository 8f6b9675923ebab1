"""The visitor's address: trusted proxies only, right to left (THREATS T3), and Meta's `_fbi` where it is wanted."""

import json
import os
import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.factories import request

from pixeltwin.pixel.client_ip import client_ip, is_proxy, is_public, visitor_ip
from pixeltwin.pixel.networks import Networks

VECTORS = Path(os.environ.get("PIXELTWIN_VECTORS", Path(__file__).parents[3] / "shared/vectors"))
TRUSTED = Networks(map(ip_network, ("10.0.0.0/8", "2001:db8:ffff::/48", "2400:cb00::/32")))
V6, OTHER_V6 = "2606:4700:4700::1111", "2001:4860:4860::8888"


def seen(peer: str, forwarded: str = "", fbi: str = "", *, fbi_cookie: bool = True) -> str | None:
    headers = {"x-forwarded-for": forwarded, "cookie": f"a=b; _fbi={fbi}"}
    return visitor_ip(request(peer=peer, headers=headers), TRUSTED, fbi_cookie=fbi_cookie)


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
        ("10.0.0.1", "[2606:4700:4700::1111]:443", V6),
        ("10.0.0.1", "[2606:4700:4700::1111]", V6),
        ("10.0.0.1", "2606:4700:4700::1111", V6),
        ("10.0.0.1", "2606:4700:4700:0:0:0:0:1111%eth0", V6),
        ("10.0.0.1", "::ffff:8.8.8.8", "8.8.8.8"),
        ("::ffff:10.0.0.1", "8.8.8.8", "8.8.8.8"),
        ("2001:db8:ffff::1", "8.8.8.8", "8.8.8.8"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),  # what examples and tests use for a visitor
        ("10.0.0.1", "", None),  # a chain of our own proxies names nobody
        ("10.0.0.1", "10.0.0.2", None),
        ("10.0.0.1", "2400:cb00::5", None),  # not even by a public address
        ("10.0.0.1", "192.168.1.4", None),
        ("10.0.0.1", "8.8.8.8, garbage", None),
        ("10.0.0.1", "8.8.8.8,", None),
        ("10.0.0.1", "unknown", None),
        ("10.0.0.1", "8.8.8.8:http", None),
        ("10.0.0.1", "[8.8.8.8", None),
        ("10.0.0.1", "[2606:4700:4700::1111]x", None),
        ("", "8.8.8.8", None),
    ],
)
def test_the_visitor_s_address(peer, forwarded, expected):
    assert seen(peer, forwarded) == seen(peer, forwarded, fbi_cookie=False) == expected


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.31.255.255", "192.168.0.1"),
        *("192.0.0.9", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::8.8.8.8", "64:ff9b::808:808", "100::1", "2001::1", "2002:808:808::1", "3fff::1"),
        *("4000::1", "fc00::1", "fd00::1", "fe80::1%eth0", "fec0::1", "ff0e::1", "::ffff:10.0.0.1"),
    ],
)
def test_private_and_reserved_addresses_are_nobody_s(address):
    assert seen(address) is None
    assert seen("", fbi=address) is None


def test_of_a_longer_chain_only_20_hops_are_read():
    ours = ", ".join(["10.0.0.9"] * 19)
    assert seen("10.0.0.1", f"8.8.8.8, {ours}") == "8.8.8.8"
    assert seen("10.0.0.1", f"8.8.8.8, 10.0.0.9, {ours}") is None


@pytest.mark.parametrize(
    ("fbi", "peer", "expected"),
    [
        (V6, OTHER_V6, V6),
        (V6, "8.8.8.8", V6),
        ("1.1.1.1", OTHER_V6, OTHER_V6),
        ("1.1.1.1", "8.8.8.8", "1.1.1.1"),
        ("1.1.1.1", "10.0.0.1", "1.1.1.1"),
        ("192.168.1.1", "8.8.8.8", "8.8.8.8"),
        ("fe80::1", "8.8.8.8", "8.8.8.8"),
        ("::ffff:1.1.1.1", OTHER_V6, OTHER_V6),  # an IPv4 address, however it is written
        ("garbage", "8.8.8.8", "8.8.8.8"),
        ("2400:cb00::5", "8.8.8.8", "8.8.8.8"),  # our own proxy's
        (f"{V6}.AQYCAQMA", "8.8.8.8", V6),
        ("1.1.1.1.AQYCAQMA", "8.8.8.8", "1.1.1.1"),
        ("1.1.1.1.Bg", "8.8.8.8", "1.1.1.1"),
        ("1.1.1.1.AQYCAQMA.AQYCAQMA", "8.8.8.8", "1.1.1.1"),
        ("1.1.1.1.zz", "8.8.8.8", "8.8.8.8"),
        ("1.1.1.1.AAAAAAAA", "8.8.8.8", "8.8.8.8"),
        ("8.8.4.4" + ".AQ" * 20_000 + "x", "8.8.8.8", "8.8.8.8"),  # took 10 s with an unbounded pattern
    ],
)
def test_meta_s_cookie_counts_in_the_builder_s_order(fbi, peer, expected):
    assert seen(peer, fbi=fbi) == expected


@pytest.mark.parametrize("peer", ["8.8.8.8", "10.0.0.1"])
def test_meta_s_cookie_can_be_turned_off(peer):
    assert seen(peer, fbi=V6, fbi_cookie=False) == seen(peer)


ADDRESSES = st.ip_addresses().map(str)
WRITTEN = ADDRESSES | st.text(max_size=60) | st.sampled_from(["[", "[]:1", "%", "::%", "1.1.1.1:", ".AQ", ",,"])


@given(ADDRESSES, WRITTEN)
def test_an_untrusted_peer_s_header_never_matters(peer, forwarded):
    hit = request(peer=peer, headers={"x-forwarded-for": forwarded})
    assert client_ip(hit, Networks()) == client_ip(request(peer=peer), Networks())
    assert client_ip(hit, Networks()) in (None, str(getattr(ip_address(peer), "ipv4_mapped", None) or ip_address(peer)))


def by_python(text: str) -> str | None:
    """What `ipaddress` reads, an IPv4 address in IPv6 clothes without them, and without a port."""
    bare = re.sub(r"^([0-9.]+):[0-9]{1,5}$", r"\1", text.strip())
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


@pytest.mark.parametrize(
    ("peer", "is_ours"),
    [
        *[("10.0.0.1", True), ("::ffff:10.0.0.1", True), ("2001:db8:ffff::1", True), ("2001:db8:ffff::1%eth0", True)],
        *[("84.10.0.1", False), ("::ffff:84.10.0.1", False), ("2001:db8:1::1", False), ("", False), ("/run/x", False)],
    ],
)
def test_a_proxy_of_ours_is_known_however_its_address_is_written(peer, is_ours):
    assert is_proxy(peer, TRUSTED) is is_ours


OCTETS = st.integers(0, 300).map(str) | st.sampled_from(["", "01", "00", "٣", "1e1", "+1", " 1", "\0"])
DOTTED = st.lists(OCTETS, max_size=5)
ODD = st.text(st.sampled_from("0123456789abf.:%x\0\ud800 "), max_size=50)


@given(DOTTED.map(".".join) | DOTTED.map(lambda octets: "::ffff:" + ".".join(octets)) | ODD | ADDRESSES)
@example("8.8.8.8:1")
@example(" 8.8.8.8 ")
def test_an_address_is_what_python_calls_one(text):
    found = by_python(text)
    is_visitors = found is not None and is_public(ip_address(found))
    assert visitor_ip(request(peer=text), Networks(), fbi_cookie=False) == (found if is_visitors else None)


@given(WRITTEN, st.lists(WRITTEN).map(",".join), WRITTEN)
def test_whatever_is_written_the_answer_is_a_public_address_or_none(peer, forwarded, fbi):
    answer = seen(peer, forwarded, fbi)
    assert answer is None or (is_public(ip_address(answer)) and str(ip_address(answer)) == answer)


def vectors() -> list[dict]:
    file = VECTORS / "client_ip.json"
    return json.loads(file.read_text()) if file.exists() else []


def selected(forwarded: str, remote: str) -> str:
    """The request's address by the builder's trust rule, which the vectors' README says to replace by one's own.

    The builder believes the first entry of X-Forwarded-For, whoever sent it.
    """
    first = forwarded.split(",")[0].strip()
    try:
        return first if is_public(ip_address(first)) else remote or first
    except ValueError:
        return remote or first


# How the vectors' README tells a careful gateway to differ from the builder, besides whom it trusts.
PORT = re.compile(r"([\d.]+):\d+")  # behind a proxy's address: removed, where the builder refuses the address
ZONE = re.compile(r"%.*")  # means nothing outside of the visitor's machine: removed
MAPPED = "::ffff:"  # an IPv4 address in IPv6 clothes is an IPv4 address, so a real IPv6 address goes before it


def as_we_say_it(address: str, expected: str | None) -> str | None:
    """The builder's answer, but for those divergences."""
    if expected is None:
        return PORT.sub(r"\1", address) if PORT.fullmatch(address) else None
    if expected.startswith(MAPPED):
        return address if ":" in address and is_public(ip_address(address)) else expected.removeprefix(MAPPED)
    return ZONE.sub("", expected)


@pytest.mark.skipif(not vectors(), reason="the shared vectors are not there")
def test_every_shared_case_ends_as_meta_s_builder_ends_it():
    for case in vectors():
        given = {name: value or "" for name, value in case["input"].items()}
        address = selected(given["x_forwarded_for"], given["remote_address"])
        expected = as_we_say_it(address, case["expected"]["client_ip"])
        assert seen("10.0.0.1", address, given["_fbi"]) == expected, given
