"""rewrite: other values for some parameters, every other byte as it was (PROTOCOL 3.4, 4.4)."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import PIXEL, form, multipart, parsed, request

from pixeltwin.pixel.hit import Limits, Parameters, PixelHit, parse_hit
from pixeltwin.pixel.rewrite import rewrite, rewrite_each

BARE = f"id={PIXEL}&ev=Lead"


@pytest.mark.parametrize("name", ["cd[value]", "cd%5Bvalue%5D", "cd%5bvalue]", "%63d[value]"])
@pytest.mark.parametrize("encoded", [request, form])
def test_a_parameter_is_found_however_its_name_is_written(name, encoded):
    changed = rewrite(encoded(f"{BARE}&{name}=12&rl="), {"cd[value]": "9.90 & more"})
    assert changed.query + changed.body == f"{BARE}&{name}=9.90%20%26%20more&rl=".encode()


@pytest.mark.parametrize(
    ("raw", "changes", "expected"),
    [
        ("id=1&ev=a&id=2", {"id": "3"}, "id=3&ev=a&id=3"),
        ("id=1&ev=a&id=2", {"id": None}, "ev=a"),
        ("a=1&flag&b=2", {"flag": "x"}, "a=1&flag=x&b=2"),
        ("a=1&flag&b=2", {"flag": ""}, "a=1&flag&b=2"),
        ("&a=1&&b=2&", {"a": None, "b": "3"}, "&&b=3&"),
        ("a=1==2&b=+%zz%ff", {"a": "="}, "a=%3D&b=+%zz%ff"),
        ("a=1", {"a": None}, ""),
        ("a=x+y&b=%7E", {"a": "x y", "b": "~"}, "a=x+y&b=%7E"),
        ("", {"a": "1"}, ""),
    ],
)
def test_every_occurrence_is_changed_and_nothing_else(raw, changes, expected):
    assert rewrite(request(raw), changes).query == expected.encode()


def test_a_part_of_a_beacon_is_changed_or_goes():
    before = multipart([("id", "1"), ("ev", "a"), ("dl", "http://x/"), ("rl", "")], boundary="B")
    after = multipart([("ev", "größer"), ("rl", "")], boundary="B")
    assert rewrite(before, {"id": None, "ev": "größer", "dl": None}).body == after.body


def test_file_names_other_headers_and_bytes_of_a_beacon_stay():
    head = (
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n\xff\xfe'
    )
    body = head + b'\r\n--B\r\ncontent-disposition: form-data; name="ev"\r\n\r\na\r\n--B--\r\n'
    beacon = request(body=body, content_type="multipart/form-data; boundary=B")
    assert rewrite(beacon, {"ev": "b"}).body == body.replace(b"\r\n\r\na\r\n", b"\r\n\r\nb\r\n")


@pytest.mark.parametrize(
    "value", ["--B--", "x\r\n--B--\r\n", '\r\n--B\r\nContent-Disposition: form-data; name="ev"\r\n\r\nz']
)
def test_no_value_can_end_its_part(value):
    changed = parsed(rewrite(multipart([("id", "1"), ("ev", "a"), ("x", "1")], boundary="B"), {"x": value}))
    assert [name for name, _ in changed.parameters] == ["id", "ev", "x"]
    assert changed.event_name == "a"


def test_query_and_body_are_both_looked_at():
    both = request("a=1", body=b"a=2&b=3", content_type="application/x-www-form-urlencoded")
    changed = rewrite(both, {"a": "x"})
    assert (changed.query, changed.body) == (b"a=x", b"a=x&b=3")


def test_repeated_parameters_can_be_told_apart_by_their_values():
    given = request("x=keep&x=mask&y=mask")
    assert rewrite_each(given, lambda name, value: "*" if (name, value) == ("x", "mask") else value).query == (
        b"x=keep&x=%2A&y=mask"
    )


@pytest.mark.parametrize(
    "untouched",
    [
        request("a=1&b=%zz"),
        form("a=1"),
        multipart([("a", "1")]),
        request(body=b'{"a": 1}', content_type="text/plain;charset=UTF-8"),
    ],
)
def test_a_request_without_such_a_parameter_is_the_same_object(untouched):
    assert rewrite(untouched, {"missing": "x", "gone": None}) is untouched


NAMES = st.sampled_from(["cd[value]", "cd[contents]", "eid", "dl", "we ird", "grö[ß]e", "a+b", "id2"])
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: "\r\n--" not in text)
PARAMETERS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
CHANGES = st.dictionaries(NAMES, st.none() | VALUES, max_size=4)
HEAD = (("id", PIXEL), ("ev", "X"))


def written(pairs: Parameters, encode: object) -> str:
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs)


ENCODINGS: Mapping[str, object] = {
    "query": lambda pairs: request(written(pairs, quote)),
    "query as the pixel writes it": lambda pairs: request(written(pairs, lambda text: quote(text, safe="[]!'()*"))),
    "form": lambda pairs: form(written(pairs, quote_plus)),
    "beacon": lambda pairs: multipart(list(pairs)),
}


def changed(pairs: Parameters, changes: Mapping[str, str | None]) -> Parameters:
    after = ((name, changes.get(name, value)) for name, value in pairs)
    return tuple((name, value) for name, value in after if value is not None)


@given(PARAMETERS, CHANGES, st.sampled_from(list(ENCODINGS)))
def test_a_rewritten_hit_is_the_hit_with_its_changes(pairs, changes, encoding):
    given_hit = (*HEAD, *pairs)
    rewritten = rewrite(ENCODINGS[encoding](given_hit), changes)
    assert parsed(rewritten).parameters == changed(given_hit, changes)


@given(PARAMETERS, CHANGES, st.sampled_from(list(ENCODINGS)))
def test_the_bytes_of_a_rewritten_hit_are_those_of_a_hit_that_was_so_from_the_start(pairs, changes, encoding):
    """All but the encoding of the new values, and here that is the browser's as well."""
    if encoding in ("query", "beacon"):
        given_hit = (*HEAD, *pairs)
        expected = ENCODINGS[encoding](changed(given_hit, changes))
        rewritten = rewrite(ENCODINGS[encoding](given_hit), changes)
        slashes = (b"/", b"%2F")  # the factory leaves them alone
        assert rewritten.query.replace(*slashes) == expected.query.replace(*slashes)
        assert rewritten.body == expected.body


RAW = st.lists(st.sampled_from([*b"&=%+;aA2fF", 0x80, 0xC3, 0xE2, 0xFF]), max_size=30).map(bytes)


@given(RAW, RAW)
def test_whatever_can_be_read_can_be_rewritten(query, tail):
    for given_request in (request(BARE.encode() + b"&" + query), form(BARE), form(f"{BARE}&{tail.decode('latin-1')}")):
        hit = parse_hit(given_request, Limits())
        assert isinstance(hit, PixelHit)
        values = {name: f"{value}!" for name, value in hit.parameters if name not in ("id", "ev")}
        assert parsed(rewrite(given_request, values)).last == {**hit.last, **values}


@given(st.binary(max_size=200))
def test_the_rest_of_a_beacon_may_hold_anything(junk):
    beacon = multipart([*HEAD, ("x", "1")], boundary="B")
    given_request = replace(beacon, body=beacon.body.replace(b"\r\n1\r\n", b"\r\n" + junk + b"\r\n"))
    if isinstance(hit := parse_hit(given_request, Limits()), PixelHit):
        assert parsed(rewrite(given_request, {"ev": "Y"})).last == {**hit.last, "ev": "Y"}
