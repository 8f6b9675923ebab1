"""clean_event and mask_client: server events without personal data in plain text (THREATS T6, T14)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData, ServerEvent, UserData
from pixeltwin.privacy.clean import clean_event, mask_client
from pixeltwin.privacy.settings import CustomDataKeys, Privacy
from tests.factories import NOW, PAGE, UA
from tests.privacy.leaks import LEAKS

MASK, REMOVE = Privacy(), Privacy(found="remove")
HASH = "5ac3cbb303be9ca0f0ca5bdd9dde9f2d74309d33022cf5fa9bc90bbdbe9ea428"


def event(custom_data: dict[str, Any] | None = None, **given_fields: Any) -> ServerEvent:
    user_data = UserData(em=(HASH,), client_ip_address="203.0.113.9", client_user_agent=UA, fbp="fb.1.1795461138686.39")
    fields = {"event_source_url": PAGE, "user_data": user_data, **given_fields}
    if custom_data is not None:
        fields["custom_data"] = CustomData.model_validate(custom_data)
    return ServerEvent(event_name="Purchase", event_time=int(NOW), event_id="o-1", **fields)


def test_addresses_lose_what_they_leak():
    (leaking, left), *_ = LEAKS.items()
    cleaned, removed = clean_event(event(event_source_url=leaking, referrer_url=f"{PAGE}?email=jane"), MASK)
    assert (cleaned.event_source_url, cleaned.referrer_url) == (left, PAGE)
    assert removed == ("event_source_url", "referrer_url")


GIVEN = {
    "value": 129.9,
    "currency": "EUR",
    "contents": [
        {"id": "a", "quantity": 2, "title": "For jane@mail.example"},
        {"id": "jane@mail.example", "quantity": 1},
    ],
    "customer": {"phone": 4915123456789, "notes": ["+49 151 2345678", {"deep": "jane%40mail.example"}], "vip": True},
    "number": 4915123456789,
    "nothing": {"a": None},
}


def test_custom_data_of_any_depth_is_masked_and_keeps_its_types():
    cleaned, removed = clean_event(event(GIVEN), MASK)
    assert cleaned.as_json()["custom_data"] == {
        "value": 129.9,
        "currency": "EUR",
        "contents": [{"id": "a", "quantity": 2, "title": "For _removed_"}, {"id": "_removed_", "quantity": 1}],
        "customer": {"phone": "_removed_", "notes": ["_removed_", {"deep": "_removed_"}], "vip": True},
        "number": 4915123456789,
        "nothing": event(GIVEN).as_json()["custom_data"]["nothing"],
    }
    assert removed == ("custom_data.contents", "custom_data.customer")


def test_or_properties_go_and_a_product_without_its_id_goes_with_it():
    custom_data = clean_event(event(GIVEN), REMOVE)[0].as_json()["custom_data"]
    assert custom_data["contents"] == [{"id": "a", "quantity": 2}]
    assert custom_data["customer"] == {"notes": [{}], "vip": True}


def test_names_that_are_personal_data_are_masked_and_not_told():
    cleaned, removed = clean_event(event({"jane@mail.example": 1}), MASK)
    assert cleaned.as_json()["custom_data"] == {"_removed_": 1}
    assert removed == ("custom_data._removed_",)


def test_keys_can_be_allowed_and_denied():
    privacy = Privacy(custom_data=CustomDataKeys(allow=frozenset({"number"}), deny=frozenset({"contents"})))
    cleaned, removed = clean_event(event(GIVEN), privacy)
    assert cleaned.as_json()["custom_data"] == {"value": 129.9, "currency": "EUR", "number": 4915123456789}
    assert removed == ("custom_data.contents", "custom_data.customer", "custom_data.nothing")


@pytest.mark.parametrize(
    "custom_data",
    [None, {}, {"value": 1, "order_id": "0012345678", "contents": [{"id": "4006381333931", "quantity": 1}]}],
)
@pytest.mark.parametrize("privacy", [MASK, REMOVE], ids=["mask", "remove"])
def test_an_event_without_personal_data_is_the_same_object(custom_data, privacy):
    given_event = event(custom_data)
    cleaned, removed = clean_event(given_event, privacy)
    assert cleaned is given_event
    assert removed == ()


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("203.0.113.9", "203.0.113.0"),
        ("203.0.113.9.AQQCAQMC", "203.0.113.0"),
        ("2001:db8:1234:5678:9abc:def0:1234:5678", "2001:db8:1234::"),
        ("2001:db8::1.AQ", "2001:db8::"),
        ("::ffff:203.0.113.9", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("not an address", None),
        ("", None),
        ("1" * 10_000, None),
    ],
)
def test_a_masked_client_address_is_that_of_its_network(address, masked):
    given_event = event(user_data=UserData(client_ip_address=address, fbp="fb.1.1795461138686.39"))
    assert mask_client(given_event, Privacy(client_ip="mask")).user_data.client_ip_address == masked


def test_client_address_and_user_agent_can_go_each_for_itself():
    without_ip = mask_client(event(), Privacy(client_ip="drop")).user_data
    without_agent = clean_event(event(), Privacy(user_agent="drop"))[0].user_data
    assert (without_ip.client_ip_address, without_ip.client_user_agent) == (None, UA)
    assert (without_agent.client_ip_address, without_agent.client_user_agent) == ("203.0.113.9", None)
    assert without_ip.em == without_agent.em == (HASH,)


@pytest.mark.parametrize(
    "privacy", [Privacy(), Privacy(client_ip="mask", user_agent="drop"), Privacy(client_ip="drop")]
)
def test_an_event_of_nobody_s_browser_is_left_alone(privacy):
    given_event = event(user_data=UserData(em=(HASH,)))
    assert mask_client(given_event, privacy) is given_event


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
PLANTED = st.sampled_from(["jane@mail.example", "a jane%40mail.example b", '{"a":"jane@mail.example"}'])
KEYS = st.sampled_from(["a", "phone", "token", "note", "contents2", "jane@mail.example"])
VALUES = st.recursive(
    LEAVES | PLANTED, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from([MASK, REMOVE]))
def test_no_planted_address_survives_in_custom_data_of_any_shape(custom_data, privacy):
    once, removed = clean_event(event(custom_data), privacy)
    said = json.dumps(once.as_json(), ensure_ascii=False)
    assert "jane@" not in said
    assert "jane%40" not in said
    assert "jane" not in str(removed)
    again, removed = clean_event(once, privacy)
    assert (again, removed) == (once, ())
