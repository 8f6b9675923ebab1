"""Server events posted as to Meta's CAPI Gateway (PROTOCOL 1.2 to 1.8): kept, hashed, or refused by name."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, PAGE, PIXEL, UA, multipart, request

from pixeltwin.capi.event import HASHED_PARTS, ServerEvent
from pixeltwin.capi.hashes import as_hash, sha256
from pixeltwin.mapping.ingest import Ingest, Refused, Unfit, parse_ingest
from pixeltwin.mapping.json_body import MAX_VALUES
from pixeltwin.pixel.hit import FORM, Limits
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

# PROTOCOL 1.5: john_smith@gmail.com, 16505551212, mary, and user-42 as the pixel hashes it
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
PH = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
FN = "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"
EXTERNAL_ID = "6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"
KEY = "k-1"
TYPE = "application/json; charset=utf-8"  # as the Java and the PHP SDK write it

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(ATOMS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


# stands in for the real rules, which have tests of their own
RULES: dict[str, Callable[[str], str]] = {
    "em": lambda text: text.strip().lower() if "@" in text else "",
    "ph": lambda text: "".join(filter(str.isdecimal, text)),
    "fn": str.lower,
    "external_id": lambda text: "".join(text.split()).lower(),
}


def hash_values(key: str, value: str) -> tuple[str, ...]:
    if kept := as_hash(value):
        return (kept,)
    normalised = RULES.get(key, lambda text: "")(value)
    return (sha256(normalised),) if normalised else ()


def event(**said: Any) -> dict[str, Any]:
    """A plausible event; what is said as None is left out."""
    standard = {
        "event_name": "Purchase",
        "event_time": int(NOW) - 60,
        "event_id": "order-42",
        "action_source": "website",
        "event_source_url": PAGE,
        "user_data": {"em": EM},
    }
    return {key: value for key, value in (standard | said).items() if value is not None}


def posted(body: Any, content_type: str = TYPE, **kwargs: Any) -> HitRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(body=raw, content_type=content_type, path=f"/capi/{PIXEL}/events", **kwargs)


def parse(request: HitRequest, limits: Limits | None = None, pixel_id: str = PIXEL) -> Ingest | Skip:
    return parse_ingest(pixel_id, request, limits or Limits(body=2**20))


def read(request: HitRequest) -> list[dict[str, Any] | Refused]:
    ingest = parse(request)
    assert isinstance(ingest, Ingest), ingest
    return [dict(found.as_json()) if isinstance(found, ServerEvent) else found for found in ingest.events(hash_values)]


def only(**said: Any) -> Any:
    """What becomes of one event."""
    (found,) = read(posted({"accessKey": KEY, "data": [event(**said)]}))
    return found


# The body.


def test_a_post_names_its_pixel_its_key_and_its_events():
    ingest = parse(posted({"accessKey": KEY, "data": [event(), event(event_id="order-43")]}))
    assert isinstance(ingest, Ingest)
    assert (ingest.pixel_id, ingest.access_key, ingest.test_event_code) == (PIXEL, KEY, "")
    assert [found.event_id for found in ingest.events(hash_values)] == ["order-42", "order-43"]


def bodies() -> dict[str, HitRequest]:
    """The same event in every encoding that Meta's SDKs use (PROTOCOL 1.2), with the name that each has for the key."""
    objects, texts = json.dumps([event()]), json.dumps([json.dumps(event())])
    return {
        "json, as the gateway endpoints of the Java and PHP SDKs": posted({"accessKey": KEY, "data": [event()]}),
        "json with texts": posted({"accessKey": KEY, "data": [json.dumps(event())]}),
        "json with the list as text": posted({"accessKey": KEY, "data": objects}),
        "json for Graph, as the Node SDK": posted({"access_token": KEY, "data": [event()]}, "application/json"),
        "form with objects": posted(urlencode({"accessKey": KEY, "data": objects}).encode(), FORM),
        "form with texts, as the Python SDK": posted(urlencode({"access_token": KEY, "data": texts}).encode(), FORM),
        "multipart, as curl -F": multipart([("accessKey", KEY), ("data", objects)]),
        "multipart with texts": multipart([("access_token", KEY), ("data", texts)]),
    }


@pytest.mark.parametrize("encoding", bodies())
def test_every_encoding_of_meta_s_sdks_gives_the_same_event(encoding):
    ingest = parse(bodies()[encoding])
    assert isinstance(ingest, Ingest), ingest
    assert ingest.access_key == KEY
    (found,) = ingest.events(hash_values)
    assert isinstance(found, ServerEvent)
    assert found.as_json() == event(user_data={"em": [EM]})


def test_a_post_without_a_key_has_an_empty_one():
    for said in ({}, {"accessKey": None}, {"accessKey": {"k": 1}}, {"accessKey": True}, {"accessKey": " "}):
        ingest = parse(posted(said | {"data": [event()]}))
        assert isinstance(ingest, Ingest)
        assert ingest.access_key == ""


def test_a_wish_for_test_events_is_kept():
    ingest = parse(posted({"accessKey": KEY, "test_event_code": "TEST123", "data": [event()]}))
    assert isinstance(ingest, Ingest)
    assert ingest.test_event_code == "TEST123"


def test_what_is_posted_shows_neither_key_nor_customer_data():
    shown = repr(parse(posted({"accessKey": "s3cret", "data": [event(user_data={"em": "john_smith@gmail.com"})]})))
    assert "s3cret" not in shown
    assert "john_smith" not in shown


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"{", TYPE, Skip(Reason.BROKEN_JSON)),
        (b"", TYPE, Skip(Reason.BROKEN_JSON)),
        (b"[]", TYPE, Skip(Reason.BROKEN_JSON)),
        (b"[" * 5000, TYPE, Skip(Reason.BROKEN_JSON)),
        (b'{"data":' + b"[" * 100 + b"]" * 100 + b"}", TYPE, Skip(Reason.BROKEN_JSON)),
        (b"{}", TYPE, Skip(Reason.NO_EVENTS)),
        (b'{"data":[]}', TYPE, Skip(Reason.NO_EVENTS)),
        (b'{"data":{"event_name":"Purchase"}}', TYPE, Skip(Reason.NO_EVENTS)),
        (b"data=%5B", FORM, Skip(Reason.NO_EVENTS)),
        (b"accessKey=k", FORM, Skip(Reason.NO_EVENTS)),
        (b"--x", "multipart/form-data; boundary=x", Skip(Reason.BROKEN_MULTIPART)),
        (b"&" * 2000, FORM, Skip(Reason.TOO_MANY_PARAMETERS)),
        (b"<data/>", "text/xml", Skip(Reason.UNKNOWN_BODY_TYPE)),
        (b" " * (2**20 + 1), TYPE, Skip(Reason.BODY_TOO_LARGE)),
    ],
)
def test_what_holds_no_events_is_told_by_name(body, content_type, reason):
    assert parse(posted(body, content_type)) == reason


def test_a_thousand_events_are_taken_and_no_more():
    thousand = parse(posted({"data": [0] * 1000}))
    assert isinstance(thousand, Ingest)
    assert len(thousand.events(hash_values)) == 1000
    assert parse(posted({"data": [0] * 1001})) == Skip(Reason.TOO_MANY_EVENTS)


def test_a_compressed_body_is_not_unpacked():
    assert parse(posted({}, headers={"content-encoding": "gzip"})) == Skip(Reason.ENCODED_BODY)


@pytest.mark.parametrize("pixel_id", ["", "shop", "12 34", "١٢٣"])
def test_a_pixel_id_is_a_number(pixel_id):
    assert parse(posted({"data": [event()]}), pixel_id=pixel_id) == Skip(Reason.BAD_PIXEL_ID)


# Customer data.


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"em": "john_smith@gmail.com"}, {"em": [EM]}),
        ({"em": ["John_Smith@gmail.com ", EM.upper()]}, {"em": [EM]}),
        ({"em": [EM, "nobody"], "ph": "+1 (650) 555-1212"}, {"em": [EM], "ph": [PH]}),
        ({"ph": 16505551212}, {"ph": [PH]}),
        ({"fn": "Mary"}, {"fn": [FN]}),
        ({"external_id": "User-42"}, {"external_id": [EXTERNAL_ID]}),
        ({"external_id": ["user-42", "user-42"]}, {"external_id": [EXTERNAL_ID]}),
        ({"em": f"{EM}.AQICAQMC"}, {"em": [f"{EM}.AQICAQMC"]}),  # the parameter builder's appendix, PROTOCOL 2.3
    ],
)
def test_plain_values_are_hashed_and_hashes_are_kept(given, sent):
    assert only(user_data=given)["user_data"] == sent


def test_every_hash_of_a_plain_value_is_sent():
    ingest = parse(posted({"data": [event(user_data={"ct": "Zürich", "fi": "M"})]}))
    assert isinstance(ingest, Ingest)
    (found,) = ingest.events(lambda key, value: (EM, PH))
    assert isinstance(found, ServerEvent)
    assert (found.user_data.ct, found.user_data.fi) == ((EM, PH), EM)


@pytest.mark.parametrize("key", HASHED_PARTS)
def test_parts_of_names_and_birthdays_are_one_hash_each(key):
    assert {key: sha256("x")}.items() <= _hashed_by({key: ["x", "y"]}).items()


def _hashed_by(user_data: dict[str, Any]) -> dict[str, Any]:
    ingest = parse(posted({"data": [event(user_data=user_data)]}))
    assert isinstance(ingest, Ingest)
    (found,) = ingest.events(lambda key, value: (sha256(value),))
    assert isinstance(found, ServerEvent)
    return dict(found.as_json()["user_data"])


PLAIN = {
    "client_ip_address": "2001:db8::7.AQQCAQMC",
    "client_user_agent": UA,
    "fbc": "fb.1.1795460000000.IwAR0fAkE-cLiCk_1dAaBb.AQICAQMC",
    "fbp": "fb.1.1795000000009.20461357902468135",
    "subscription_id": "sub-1",
    "fb_login_id": 10158000000000001,
    "lead_id": 525645896321548,
    "anon_id": "install-1",
    "madid": "38400000-8cf0-11bd-b23e-10b96e40000d",
    "page_id": "100",
    "page_scoped_user_id": "200",
    "ctwa_clid": "ARAkLkA8rmlFeiCktEJQ-QTwRiyYHAFDLMNDBH0CD3qpjd0HR4irJ6LEkR7JwFF4XvnO2E4Nx0-eM-GABDLOPaOdRMv",
    "ig_account_id": "300",
    "ig_sid": "400",
}


def test_what_meta_takes_plain_is_kept_byte_for_byte():
    assert only(user_data=PLAIN)["user_data"] == PLAIN


@pytest.mark.parametrize("nothing", [None, "", "  ", [], [""], True, 1.5, {"a": 1}])
def test_what_is_no_value_is_not_sent(nothing):
    assert only(user_data={"em": EM, "ph": nothing, "fbp": nothing})["user_data"] == {"em": [EM]}


def test_keys_that_meta_does_not_know_are_left_out():
    assert only(user_data={"em": EM, "email": "john_smith@gmail.com"})["user_data"] == {"em": [EM]}


def test_a_list_costs_no_more_than_so_many_hashes():
    asked = []
    ingest = parse(posted({"data": [event(user_data={"ph": list(range(5000))})]}))
    assert isinstance(ingest, Ingest)
    ingest.events(lambda key, value: asked.append(value) or ())
    assert len(asked) == MAX_VALUES


@pytest.mark.parametrize("empty", [{}, []])
def test_an_empty_object_may_be_written_as_php_does(empty):
    assert only(user_data=empty, custom_data=empty, app_data=empty) == event(user_data={})


# The event.


def test_the_parameters_of_an_event_survive():
    said = {
        "referrer_url": "https://l.facebook.com/",
        "opt_out": True,
        "original_event_data": {"event_name": "Lead", "event_time": int(NOW) - 900, "event_id": "lead-1"},
        "attribution_data": {"attribution_share": "0.5"},
        "app_data": {"application_tracking_enabled": 1, "extinfo": ["a2", "", "", "", "14"]},
        "messaging_channel": "whatsapp",
        "advanced_measurement_table": "t",
        "action_source": "business_messaging",
    }
    assert only(**said).items() >= said.items()


def test_customer_segmentation_goes_into_custom_data():
    """Meta's table lists it at event level, where it is refused (PROTOCOL 1.4)."""
    found = only(customer_segmentation="customer_in_loyalty_program", custom_data={"value": 1})
    assert found["custom_data"] == {"value": 1.0, "customer_segmentation": "customer_in_loyalty_program"}
    assert "customer_segmentation" not in found


def test_custom_data_is_typed_where_meta_has_a_type_and_kept_elsewhere():
    given = {
        "value": "129.90",
        "currency": "usd",
        "content_ids": ["a", 7],
        "contents": [{"id": "a", "quantity": 1, "item_price": 2.5, "delivery_category": "in_store"}],
        "num_items": "3",
        "order_id": "8001",
        "member": True,
        "points": 12,
        "plan": {"tier": "gold", "since": None},
        "nothing": None,
    }
    assert only(custom_data=given)["custom_data"] == {
        "value": 129.9,
        "currency": "USD",
        "content_ids": ["a", "7"],
        "contents": [{"id": "a", "quantity": 1, "item_price": 2.5, "delivery_category": "in_store"}],
        "num_items": 3,
        "order_id": "8001",
        "member": True,
        "points": 12,
        "plan": {"tier": "gold", "since": None},
    }


def test_nothing_is_put_in_the_place_of_a_value_that_is_none():
    assert only(custom_data={"value": "n/a", "currency": "EUR"})["custom_data"] == {"currency": "EUR"}


@pytest.mark.parametrize(("given", "kept"), [("e", "e"), (42, "42"), (None, ""), ("", ""), (True, ""), ({}, "")])
def test_an_event_without_an_id_has_an_empty_one(given, kept):
    assert only(event_id=given)["event_id"] == kept


@pytest.mark.parametrize("given", [1795461740, "1795461740", 1795461740.0])
def test_a_time_is_in_whole_seconds(given):
    assert only(event_time=given)["event_time"] == 1795461740


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, {}),
        ({"data_processing_options": []}, {"data_processing_options": []}),
        ({"data_processing_options": ["LDU"]}, (0, 0)),
        ({"data_processing_options": "LDU"}, (0, 0)),
        ({"data_processing_options": ["LDU"], "data_processing_options_country": 1}, (0, 0)),
        ({"data_processing_options_country": 1, "data_processing_options_state": 1000}, {}),
        (
            {
                "data_processing_options": ["LDU"],
                "data_processing_options_country": "1",
                "data_processing_options_state": 1000,
            },
            (1, 1000),
        ),
    ],
)
def test_limited_data_use_is_as_the_sender_set_it(said, expected):
    if isinstance(expected, tuple):
        expected = {
            "data_processing_options": ["LDU"],
            "data_processing_options_country": expected[0],
            "data_processing_options_state": expected[1],
        }
    assert {key: value for key, value in only(**said).items() if key.startswith("data_processing")} == expected


# What is no event.


@pytest.mark.parametrize("key", ["event_name", "event_time", "action_source", "user_data"])
def test_an_event_that_lacks_what_meta_requires_is_refused_and_nothing_invented(key):
    assert only(**{key: None}) == Refused(Unfit.MISSING, key)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"event_time": "yesterday"}, "event_time"),
        ({"event_time": 1795461740000}, "event_time"),  # milliseconds
        ({"event_time": 0}, "event_time"),
        ({"event_time": -5}, "event_time"),
        ({"event_time": True}, "event_time"),
        ({"event_time": 1.5}, "event_time"),
        ({"event_time": [1795461740]}, "event_time"),
        ({"event_name": 5}, "event_name"),
        ({"action_source": "web"}, "action_source"),
        ({"messaging_channel": "sms"}, "messaging_channel"),
        ({"event_source_url": 5}, "event_source_url"),
        ({"opt_out": "perhaps"}, "opt_out"),
        ({"data_processing_options": [{"LDU": 1}]}, "data_processing_options.0"),
        ({"user_data": "john_smith@gmail.com"}, "user_data"),
        ({"user_data": {"client_user_agent": 5}}, "user_data.client_user_agent"),
        ({"custom_data": "x"}, "custom_data"),
        ({"app_data": "x"}, "app_data"),
    ],
)
def test_an_unusable_parameter_is_named_and_its_value_is_not(said, field):
    assert only(**said) == Refused(Unfit.UNUSABLE, field)


@pytest.mark.parametrize("item", [None, 5, "x", "[]", [], [event()]])
def test_what_is_no_object_is_no_event(item):
    assert read(posted({"data": [item]})) == [Refused(Unfit.NO_OBJECT)]


def test_one_bad_event_does_not_cost_the_others():
    found = read(posted({"data": [event(), event(event_time="x"), event(event_id="order-43")]}))
    assert [isinstance(one, Refused) for one in found] == [False, True, False]


# Nothing breaks it.


@given(JSON)
def test_no_json_breaks_it(value):
    for body in (value, {"data": value}, {"data": [value]}):
        ingest = parse(posted(body))
        assert not isinstance(ingest, Ingest) or len(ingest.events(hash_values)) == len(ingest.given)


NAMES = (*ServerEvent.model_fields, "customer_segmentation")
INNER = st.dictionaries(st.sampled_from((*PLAIN, "em", "external_id", "value", "contents", "model_fields", "")), JSON)


@given(st.dictionaries(st.sampled_from(NAMES), JSON | INNER))
def test_no_value_in_a_known_place_breaks_it(said):
    for found in read(posted({"data": [event() | said]})):
        assert isinstance(found, Refused) or json.dumps(found)


@given(st.binary(max_size=200), st.sampled_from([TYPE, FORM, "multipart/form-data; boundary=x", ""]))
def test_no_bytes_break_it(raw, content_type):
    assert parse(posted(raw, content_type)) is not None
