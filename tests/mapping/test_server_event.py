"""A hit as a server event: each row of PROTOCOL section 5."""

import hashlib
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.factories import NOW, PAGE, UA, hit_query, parsed, request

from pixeltwin.capi.event import UserData
from pixeltwin.capi.hashes import as_hash, as_sha256
from pixeltwin.mapping.server_event import is_web_page, server_event
from pixeltwin.pixel.browser_id import browser_ids

EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"  # john_smith@gmail.com, PROTOCOL 1.5
NOTHING = hashlib.sha256(b"").hexdigest()


def twin(query: str, *, client_ip: str | None = "203.0.113.9", **kwargs) -> dict:
    arrived = request(query, **kwargs)
    hit = parsed(arrived)
    ids = browser_ids(hit, arrived, random=None)
    return server_event(hit, arrived, event_id="e-1", ids=ids, client_ip=client_ip)


def test_a_plain_hit_says_what_when_where_and_who():
    assert twin(hit_query("Purchase", rl="https://l.facebook.com/", cd_value="129.9", cd_currency="usd")) == {
        "event_name": "Purchase",
        "event_time": int(NOW) - 5,
        "event_id": "e-1",
        "action_source": "website",
        "event_source_url": PAGE,
        "referrer_url": "https://l.facebook.com/",
        "user_data": {"client_ip_address": "203.0.113.9", "client_user_agent": UA},
        "custom_data": {"value": 129.9, "currency": "USD"},
    }


@pytest.mark.parametrize(
    ("ts", "time"),
    [
        (f"{int(NOW * 1000) - 90_000}", int(NOW) - 90),
        ("1794597200000", int(NOW)),  # ten days slow
        (f"{int(NOW * 1000) + 7_200_000}", int(NOW)),  # two hours fast
        ("1795461200", int(NOW)),  # seconds instead of milliseconds
        ("soon", int(NOW)),
        ("", int(NOW)),
        ("9" * 5000, int(NOW)),
        ("-1", int(NOW)),
        (f"+{int(NOW * 1000) - 90_000}", int(NOW)),
        (f"{int(NOW * 1000) - 90_000}".translate({ord("0") + n: 0x660 + n for n in range(10)}), int(NOW)),  # Arabic
        (f"{int(NOW * 1000) - 90_000}²", int(NOW)),
    ],
)
def test_a_clock_that_lies_is_replaced_by_the_time_of_receipt(ts, time):
    assert twin(hit_query(ts=ts))["event_time"] == time


def test_a_page_address_missing_from_the_hit_comes_from_the_referer():
    assert twin(hit_query(dl=""), headers={"referer": PAGE})["event_source_url"] == PAGE


def test_hashes_of_the_page_come_before_hashes_of_forms():
    other = "0" * 64
    assert twin(hit_query() + f"&ud[em]={EM}&udff[em]={other}&udff[ph]={other}")["user_data"] | {} == {
        "em": [EM],
        "ph": [other],
        "client_ip_address": "203.0.113.9",
        "client_user_agent": UA,
    }


@pytest.mark.parametrize(
    "value", ["alex.doe%40example.com", NOTHING, "efdf28a0f07988669a49099b0ec924cc", "", "x" * 64, EM + "a"]
)
def test_what_is_no_hash_is_never_taken_for_one(value):
    assert "em" not in twin(hit_query() + f"&ud[em]={value}")["user_data"]


def test_an_upper_case_hash_is_lower_cased_and_never_hashed_again():
    assert twin(hit_query() + f"&ud[external_id]={EM.upper()}")["user_data"]["external_id"] == [EM]


def test_masks_alternates_and_unknown_keys_are_ignored():
    query = hit_query() + "".join(f"&{group}[em]={EM}" for group in ("cud", "ncud", "aud", "audff")) + f"&ud[foo]={EM}"
    assert set(twin(query)["user_data"]) == {"client_ip_address", "client_user_agent"}


def test_user_data_refuses_plaintext_by_type():
    with pytest.raises(ValidationError):
        UserData(em=("john_smith@gmail.com",))


CLICKED = "https://www.shop.example/p?fbclid=IwAR0fAkE-cLiCk_1dAaBb"
HIT, COOKIE = "fb.1.1795460000000.HiT", "fb.1.1795460000001.CoOkIe"


@pytest.mark.parametrize(
    ("query", "cookie", "fbc"),
    [
        (hit_query(dl=CLICKED, fbc=HIT), f"_fbc={COOKIE}", HIT),
        (hit_query(), f"a=b; _fbc={COOKIE}", COOKIE),
        (hit_query(dl=CLICKED), f"_fbc={COOKIE}", "fb.1.1795461800000.IwAR0fAkE-cLiCk_1dAaBb"),  # a newer click
        (hit_query(dl=CLICKED, fbc="xx.1.1795460000000.abc"), "", "fb.1.1795461800000.IwAR0fAkE-cLiCk_1dAaBb"),
        (hit_query(), "", None),
    ],
)
def test_fbc_is_the_hit_s_then_the_cookie_s_then_made_of_the_page_s_click(query, cookie, fbc):
    assert twin(query, headers={"cookie": cookie})["user_data"].get("fbc") == fbc


@pytest.mark.parametrize(
    ("query", "fbp"), [(hit_query(fbp=HIT), HIT), (hit_query(), COOKIE), (hit_query(fbp="x"), COOKIE)]
)
def test_fbp_is_the_hit_s_then_the_cookie_s(query, fbp):
    assert twin(query, headers={"cookie": f"_fbp={COOKIE}"})["user_data"]["fbp"] == fbp


def limited(country: int, state: int) -> dict[str, object]:
    return {
        "data_processing_options": ["LDU"],
        "data_processing_options_country": country,
        "data_processing_options_state": state,
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", {}),
        ("&dpo=", {"data_processing_options": []}),
        ("&dpo=LDU&dpoco=1&dpost=1000", limited(1, 1000)),
        ("&dpo=LDU&dpoco=0&dpost=0", limited(0, 0)),
        ("&dpo=LDU&dpoco=US&dpost=CA", limited(0, 0)),  # never less limited than the browser's copy
        ("&dpo=LDU&dpoco=1", limited(0, 0)),  # "treated as geolocate"
    ],
)
def test_limited_data_use_is_as_the_page_set_it(parameters, expected):
    found = twin(hit_query() + parameters)
    assert {key: value for key, value in found.items() if key.startswith("data_processing")} == expected


def test_an_address_that_cannot_be_known_is_not_sent():
    assert "client_ip_address" not in twin(hit_query(), client_ip=None)["user_data"]


@given(
    st.builds(
        "".join,
        st.tuples(
            st.sampled_from(["http://", "https://", "HTTPS://", "ftp://", "//", "http:/", " http://", "ht\ntp://"]),
            st.text(".-a1:/@[]#?\n\t %\u2100é", max_size=12),
            st.sampled_from(["", "/", "/p/1", "?x=[", "#", "\n", "\n/", ":80", ":/"]),
        ),
    )
)
def test_a_web_page_is_what_the_library_finds_a_host_of_the_web_in(address):
    try:
        parts = urlsplit(address)
        expected = parts.scheme in ("http", "https") and bool(parts.netloc)
    except ValueError:
        expected = False
    assert is_web_page(address) is expected


@given(st.text("0aF", min_size=32, max_size=32).map(lambda half: half * 2) | st.sampled_from([NOTHING, EM, f"{EM}\n"]))
def test_a_usual_hash_is_taken_as_any_other(text):
    assert as_sha256(text) == as_hash(text)
