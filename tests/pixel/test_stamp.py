"""stamp: the minted event id in the browser's copy, every other byte as it was (PROTOCOL 3.7, 4.4)."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import PIXEL, form, hit_query, multipart, parsed, request

from pixeltwin.pixel.stamp import mint_event_id, stamp


def minted(query: str) -> str:
    return mint_event_id(parsed(request(query)), lambda below: 7)


def test_a_retransmission_of_a_hit_gets_the_same_id():
    again = hit_query(fbp="fb.1.1795461790000.1", rqm="fetch", cd_value="1")
    assert minted(hit_query(fbp="fb.1.1795461790000.1", rqm="formPOST")) == minted(again)


@pytest.mark.parametrize("name", ["id", "ev", "ts", "it", "ec", "fbp"])
def test_another_hit_gets_another_id(name):
    other = {"id": "2345678901234567", "ev": "Lead", "ts": "1795461799999", "it": "1", "ec": "7", "fbp": "fb.1.1.2"}
    assert minted(hit_query()) != minted(hit_query(**{name: other[name]}))


@pytest.mark.parametrize("query", [f"id={PIXEL}&ev=PageView&noscript=1", hit_query(it="", fbp="")])
def test_a_hit_that_says_too_little_gets_a_random_id(query):
    assert minted(query) == f"pt-{7:032x}"


def test_an_id_is_added_at_the_end_of_a_query():
    assert stamp(request("id=1&ev=a&rl="), "pt-1").query == b"id=1&ev=a&rl=&eid=pt-1"


@pytest.mark.parametrize(
    ("raw", "stamped"),
    [
        (b"id=1&eid=&ev=a", b"id=1&eid=pt-1&ev=a"),
        (b"id=1&ev=a&eid=", b"id=1&ev=a&eid=pt-1"),
        (b"eid=&id=1&eid", b"eid=pt-1&id=1&eid=pt-1"),
        (b"id=1&eid[]=x&xeid=&ev=a", b"id=1&eid[]=x&xeid=&ev=a&eid=pt-1"),
    ],
)
def test_a_blank_id_is_filled_and_no_second_one_added(raw, stamped):
    assert stamp(request(raw), "pt-1").query == stamped


def test_a_page_s_id_that_a_blank_one_follows_fills_the_blank():
    twice = request("id=1&ev=a&eid=page 1&eid=")
    assert stamp(twice, parsed(twice).event_id).query == b"id=1&ev=a&eid=page 1&eid=page%201"


def test_an_id_is_added_to_a_form_body():
    assert stamp(form("id=1&ev=a"), "pt-1").body == b"id=1&ev=a&eid=pt-1"


def test_a_part_is_added_to_a_beacon_before_its_closing_delimiter():
    plain = multipart([("id", "1"), ("ev", "a")], boundary="B")
    part = b'--B\r\nContent-Disposition: form-data; name="eid"\r\n\r\npt-1\r\n'
    assert stamp(plain, "pt-1").body == plain.body.replace(b"--B--", part + b"--B--")


def test_a_blank_part_of_a_beacon_is_filled():
    assert stamp(multipart([("id", "1"), ("eid", ""), ("ev", "a")]), "pt-1").body == (
        multipart([("id", "1"), ("eid", "pt-1"), ("ev", "a")]).body
    )


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8), st.sampled_from(["get", "form"]))
def test_every_byte_but_the_id_stays_as_it_was(pairs, encoding):
    raw = f"id={PIXEL}&ev=X" + "".join(f"&p{quote(name)}={quote(value)}" for name, value in pairs)
    plain = request(raw) if encoding == "get" else form(raw)
    stamped = stamp(plain, "pt-1")
    carried = stamped.query if encoding == "get" else stamped.body
    assert carried == raw.encode() + b"&eid=pt-1"
    assert parsed(stamped).event_id == "pt-1"


@given(st.lists(st.tuples(TEXT.map(quote), TEXT), max_size=8))
def test_a_stamped_beacon_differs_by_one_part_only(pairs):
    plain = multipart(
        [("id", PIXEL), ("ev", "X"), *((f"p[{n.replace('%', '')}]", v.replace("\r\n--", "")) for n, v in pairs)]
    )
    stamped = stamp(plain, "pt-1")
    assert parsed(stamped).parameters == (*parsed(plain).parameters, ("eid", "pt-1"))
    assert stamped.body.startswith(plain.body[: plain.body.rindex(b"--")].rpartition(b"--")[0])
