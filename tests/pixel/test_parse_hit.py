"""parse_hit: the three encodings of the wire (PROTOCOL 3.3, 3.4), and whatever else arrives on the hit paths."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import PIXEL, form, hit_query, multipart, parsed, request

from pixeltwin.pixel.hit import FORM, Limits, PixelHit, form_of, parse_hit
from pixeltwin.pixel.skip import Reason, Skip

WIRE = [("id", PIXEL), ("ev", "Purchase"), ("rl", ""), ("cd[contents]", '[{"id":"a","quantity":1}]'), ("eid", "o-1")]


@pytest.mark.parametrize(
    "encoded",
    [
        request(f"id={PIXEL}&ev=Purchase&rl=&cd[contents]=%5B%7B%22id%22%3A%22a%22%2C%22quantity%22%3A1%7D%5D&eid=o-1"),
        request(f"id={PIXEL}&ev=Purchase&rl=&cd%5Bcontents%5D=[{{%22id%22:%22a%22,%22quantity%22:1}}]&eid=o-1"),
        form(
            f"id={PIXEL}&ev=Purchase&rl=&cd%5Bcontents%5D=%5B%7B%22id%22%3A%22a%22%2C%22quantity%22%3A1%7D%5D&eid=o-1"
        ),
        multipart(WIRE),
    ],
    ids=["get", "get with encoded brackets", "form post", "beacon"],
)
def test_every_encoding_gives_the_same_parameters(encoded):
    assert list(parsed(encoded).parameters) == WIRE


@given(st.text(st.sampled_from("a%=&+[]éÿ😀\ud83d2C3Bf09\0")) | st.text())
def test_a_form_is_read_as_python_reads_one(text):
    assert list(PixelHit.of(form_of(text)).parameters) == parse_qsl(text, keep_blank_values=True, errors="replace")


@given(st.dictionaries(st.text(st.sampled_from("cd[]x")), st.text()))
def test_a_group_is_what_has_its_name_before_the_bracket(values):
    hit = PixelHit.of(tuple(values.items()))
    assert hit.group("cd") == {
        name[3:-1]: value for name, value in values.items() if name[:3] == "cd[" and name[-1] == "]"
    }


def test_blank_values_and_repeated_keys_are_kept_in_order():
    hit = parsed(request(f"id={PIXEL}&ev=PageView&rl=&expv2%5B%5D=pl0&expv2[]=el1&dpo=&flag"))
    assert hit.parameters[2:] == (("rl", ""), ("expv2[]", "pl0"), ("expv2[]", "el1"), ("dpo", ""), ("flag", ""))


def test_of_repeated_parameters_the_last_counts():
    assert parsed(request(f"id={PIXEL}&ev=Lead&eid=first&eid=second")).event_id == "second"


def test_a_blank_event_id_counts_as_missing():
    assert parsed(request(f"id={PIXEL}&ev=Lead&eid=")).event_id == ""


def test_an_id_only_in_a_list_is_no_event_id():
    assert parsed(request(f"id={PIXEL}&ev=Lead&eid[]=only-in-list")).event_id == ""


def test_odd_property_names_keep_their_inner_brackets():
    assert parsed(request(f"id={PIXEL}&ev=MyEv&cd[we%20ird%5Bk%5D]=1")).group("cd") == {"we ird[k]": "1"}


def test_plus_is_a_space_and_percent_2b_a_plus():
    assert parsed(form(f"id={PIXEL}&ev=Lead&cd%5Bnote%5D=1%2B1+is+2")).get("cd[note]") == "1+1 is 2"


def test_bytes_that_are_no_utf8_are_replaced():
    assert parsed(request(f"id={PIXEL}&ev=View&cd[y]=%FF%FE&rl=%zz")).get("cd[y]") == "\ufffd\ufffd"


def test_smart_setup_fields_before_the_event_name_are_no_obstacle():
    hit = parsed(multipart([("id", PIXEL), ("se", '{"v":1}'), ("ss", '{"on":true}'), ("ev", "AddToCart")]))
    assert hit.event_name == "AddToCart"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (request("ev=PageView"), Reason.NO_PIXEL_ID),
        (request("id=12ab&ev=PageView"), Reason.BAD_PIXEL_ID),
        (request(f"id={'١٢٣'}&ev=PageView"), Reason.BAD_PIXEL_ID),
        (request(f"id={PIXEL}&ev="), Reason.NO_EVENT_NAME),
        (request(f"id={PIXEL}"), Reason.NO_EVENT_NAME),
        (form("id=1&ev=a&" + "&".join(f"p{n}=1" for n in range(10_000))), Reason.TOO_MANY_PARAMETERS),
        (multipart([("id", PIXEL), ("ev", "X"), *((f"p{n}", "") for n in range(2000))]), Reason.TOO_MANY_PARAMETERS),
        (request(body=b"x" * 300_000, content_type=FORM), Reason.BODY_TOO_LARGE),
        (request("id=1&ev=a&dl=" + "x" * 50_000), Reason.URL_TOO_LONG),
        (request(body=b"{}", content_type="application/json"), Reason.UNKNOWN_BODY_TYPE),
        (request(body=b"id=1&ev=a", content_type=FORM, headers={"content-encoding": "br"}), Reason.ENCODED_BODY),
        (request(body=b"id=1", content_type="multipart/form-data"), Reason.BROKEN_MULTIPART),
        (request(body=b"--b\r\nfoo", content_type="multipart/form-data; boundary=b"), Reason.BROKEN_MULTIPART),
        (
            request(body=b"--b\r\nA: b\r\n\r\nv\r\n--b--", content_type="multipart/form-data; boundary=b"),
            Reason.BROKEN_MULTIPART,
        ),
    ],
)
def test_what_is_no_hit_is_skipped_by_name(broken, reason):
    assert parse_hit(broken, Limits()) == Skip(reason)


def test_a_hit_of_600_parameters_and_one_of_32_kib_are_hits():
    many = parsed(request(hit_query() + "".join(f"&cd[k{n:03}]={n}" for n in range(600))))
    long = parsed(request(hit_query(cd_blob="x" * 31_000)))
    assert len(many.group("cd")) == 600
    assert len(long.get("cd[blob]")) == 31_000


@given(
    query=st.binary(max_size=300),
    body=st.binary(max_size=300),
    content_type=st.sampled_from([FORM, "multipart/form-data; boundary=b", "multipart/form-data", "text/plain", ""])
    | st.text(max_size=60),
)
def test_whatever_arrives_is_a_hit_or_a_named_skip(query, body, content_type):
    assert isinstance(parse_hit(request(query, body=body, content_type=content_type), Limits()), PixelHit | Skip)


NAMES = st.text(st.characters(exclude_characters='"\r\n', exclude_categories=["Cs"]), max_size=20)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda text: "\r\n--" not in text)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=10))
def test_a_beacon_is_read_as_it_was_written(parameters):
    wire = [("id", PIXEL), ("ev", "X"), *((f"p[{name.replace('%', '')}]", value) for name, value in parameters)]
    assert list(parsed(multipart(wire)).parameters) == wire
