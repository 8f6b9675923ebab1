from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from pixeltwin.config.values import (
    Listen,
    Origin,
    parse_base_url,
    parse_graph_version,
    parse_host,
    parse_name,
    parse_network,
    parse_path,
    parse_pixel_id,
)

PARSERS = [
    Listen.parse, Origin.parse, parse_base_url, parse_graph_version, parse_host, parse_name, parse_network, parse_path,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.9.9.9:1", "127.9.9.9", 1, True),
        ("[::1]:8080", "::1", 8080, True),
        ("localhost:0", "localhost", 0, True),
        ("0.0.0.0:8080", "0.0.0.0", 8080, False),
        ("[::]:65535", "::", 65535, False),
        ("gateway.internal:80", "gateway.internal", 80, False),
    ],
)
def test_listen_knows_its_parts_and_who_can_connect(text, host, port, is_loopback):
    listen = Listen.parse(text)
    assert (listen.host, listen.port, listen.is_loopback, str(listen)) == (host, port, is_loopback, text)


@pytest.mark.parametrize("text", ["", "8080", ":8080", "*:80", "::1:80", "[::1]", "a:65536", "a:-1", "a b:1", "[a]:1"])
def test_listen_without_host_and_port_is_refused(text):
    with pytest.raises(PydanticCustomError, match="host:port"):
        Listen.parse(text)


@pytest.mark.parametrize(
    ("allowed", "origin", "is_admitted"),
    [
        ("https://shop.example", "https://shop.example", True),
        ("https://shop.example", "https://shop.example:443", True),
        ("https://SHOP.example", "https://shop.example", True),
        ("https://shop.example", "http://shop.example", False),
        ("https://shop.example", "https://www.shop.example", False),
        ("https://shop.example", "https://*.shop.example", False),
        ("https://*.shop.example", "https://www.shop.example", True),
        ("https://*.shop.example", "https://a.b.shop.example", True),
        ("https://*.shop.example", "https://shop.example", False),
        ("https://*.shop.example", "https://evilshop.example", False),
        ("https://*.shop.example", "https://*.shop.example", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost:3001", False),
    ],
)
def test_origin_admits_its_own_pages(allowed, origin, is_admitted):
    assert Origin.parse(allowed).admits(Origin.parse(origin)) is is_admitted


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "*", "shop.example", "https://*", "https://*.com", "https://a.*.example", "https://shop.example/",
        "ftp://shop.example", "https://user@shop.example", "https://shop.example:0", "https://*.127.0.0.1",
    ],
)  # fmt: skip
def test_origin_with_more_or_less_than_scheme_and_host_is_refused(text):
    with pytest.raises(PydanticCustomError):
        Origin.parse(text)


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "::ffff:0:0/96"])
def test_network_of_everybody_is_refused(text):
    with pytest.raises(PydanticCustomError, match="anybody"):
        parse_network(text)


def test_network_with_host_bits_is_refused_and_corrected():
    with pytest.raises(PydanticCustomError, match=r"10\.0\.0\.0/8 is the network"):
        parse_network("10.0.0.1/8")


@pytest.mark.parametrize("text", ["10.0.0.0/8", "10.0.0.1/32", "fd00::/8"])
def test_network_is_read(text):
    assert str(parse_network(text)) == text


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://graph.facebook.com/", "https://graph.facebook.com"),
        ("HTTPS://Graph.facebook.com", "https://graph.facebook.com"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_base_url_is_scheme_and_host(text, url):
    assert parse_base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://graph.facebook.com", "http://127.0.0.1.evil.example", "http://localhost@evil.example",
        "https://graph.facebook.com/v26.0", "https://graph.facebook.com?x", "https://graph.facebook.com:x",
        "https://", "graph.facebook.com", "https://a b", "https://[::1", "file:///etc/passwd",
    ],
)  # fmt: skip
def test_base_url_that_could_leak_or_lead_astray_is_refused(text):
    with pytest.raises(PydanticCustomError):
        parse_base_url(text)


@pytest.mark.parametrize("value", ["1234567890123456", 1234567890123456])
def test_pixel_id_is_text_however_it_is_written(value):
    assert parse_pixel_id(value) == "1234567890123456"


@pytest.mark.parametrize("value", ["", "12a", "-1", -1, True, 1.5e15, None, "1" * 21, "１２"])
def test_pixel_id_of_anything_but_digits_is_refused(value):
    with pytest.raises(PydanticCustomError):
        parse_pixel_id(value)


@pytest.mark.parametrize(
    "text", ["https://a", "a:80", "*.a.example", "-a", "a.", "münchen.example", "a" * 254, "[::1]"]
)
def test_host_that_is_not_a_host_name_alone_is_refused(text):
    with pytest.raises(PydanticCustomError):
        parse_host(text)


@pytest.mark.parametrize("text", ["tr", "", "/tr?x", "/t r", "/tr#x", "//\n"])
def test_path_that_is_not_a_path_alone_is_refused(text):
    with pytest.raises(PydanticCustomError):
        parse_path(text)


@given(st.one_of(st.text(), st.from_regex(r"(https?://)?[\[\]*.:/%a-z0-9-]{0,12}(:[0-9]{1,6})?", fullmatch=True)))
def test_any_text_is_read_or_refused(text):
    for parse in PARSERS:
        with suppress(PydanticCustomError):
            parse(text)
