"""The sandbox refuses what Meta refuses (PROTOCOL 1.4 to 1.9) and takes what Meta takes."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.sandbox.checks import check_batch, check_partner_agent
from tests.sandbox.factories import EM, FBP, NOW, PH, event, purchase, user_data

DAY = 86_400


def refusal(*events: object) -> tuple[int, int | None, tuple[str, ...]] | None:
    found = check_batch(events, NOW).refusal
    return (found.code, found.subcode, found.blame) if found else None


def messages(one: dict[str, Any]) -> tuple[str, ...]:
    verdict = check_batch([one], NOW)
    assert verdict.refusal is None
    return verdict.remarks[0]


def test_a_complete_event_is_taken_without_a_word() -> None:
    assert messages(purchase()) == ()


@pytest.mark.parametrize("name", ["event_name", "event_time", "user_data", "action_source"])
def test_what_is_required_is_missed_by_name(name: str) -> None:
    assert refusal(event(**{name: None})) == (100, None, ("data", "0", name))


@pytest.mark.parametrize(
    ("change", "blame"),
    [
        ({"event_name": ""}, ("event_name",)),
        ({"event_time": str(NOW)}, ("event_time",)),
        ({"event_time": NOW + 0.5}, ("event_time",)),
        ({"action_source": "web"}, ("action_source",)),
        ({"event_source_url": "www.shop.example/"}, ("event_source_url",)),
        ({"event_id": 42}, ("event_id",)),
        ({"opt_out": "false"}, ("opt_out",)),
        ({"user_data": []}, ("user_data",)),
        ({"custom_data": "value=1"}, ("custom_data",)),
        ({"customer_segmentation": "customer_in_loyalty_program"}, ("customer_segmentation",)),
        ({"eventID": "lead-1"}, ("eventID",)),
        ({"data_processing_options": "LDU"}, ("data_processing_options",)),
        ({"data_processing_options": ["GDPR"]}, ("data_processing_options",)),
        ({"data_processing_options_country": True}, ("data_processing_options_country",)),
        ({"data_processing_options_state": 999}, ("data_processing_options_state",)),
        ({"messaging_channel": "sms"}, ("messaging_channel",)),
        ({"original_event_data": {"event_time": "now"}}, ("original_event_data", "event_time")),
        ({"custom_data": {"value": "12,50"}}, ("custom_data", "value")),
        ({"custom_data": {"value": True}}, ("custom_data", "value")),
        ({"custom_data": {"currency": "$"}}, ("custom_data", "currency")),
        ({"custom_data": {"content_ids": "a,b"}}, ("custom_data", "content_ids")),
        ({"custom_data": {"num_items": 1.5}}, ("custom_data", "num_items")),
        ({"custom_data": {"contents": [{"quantity": 1}]}}, ("custom_data", "contents", "0", "id")),
        ({"custom_data": {"contents": [{"id": "a"}]}}, ("custom_data", "contents", "0", "quantity")),
        ({"custom_data": {"delivery_category": "drone"}}, ("custom_data", "delivery_category")),
        ({"custom_data": {"customer_segmentation": "new"}}, ("custom_data", "customer_segmentation")),
    ],
    ids=str,
)
def test_a_misshapen_parameter_is_blamed(change: dict[str, Any], blame: tuple[str, ...]) -> None:
    assert refusal(event(**change)) == (100, None, ("data", "0", *blame))


@pytest.mark.parametrize(
    "change",
    [
        {"event_id": ""},
        {"opt_out": True},
        {"referrer_url": ""},
        {"custom_data": None},
        {"event_source_url": "https://www.shop.example/path?x=1.AQICAQMC"},
        {"data_processing_options": []},
        {"original_event_data": {"event_name": "Lead", "event_time": NOW, "event_id": "x"}},
        {"custom_data": {"value": "129.90", "currency": "usd", "plan": {"anything": ["goes"]}}},
        {"custom_data": {"content_ids": [1, "b"], "contents": [{"id": 1, "quantity": 2, "item_price": 3.5}]}},
        {"custom_data": {"value": None, "customer_segmentation": "existing_customer_to_medium"}},
    ],
    ids=str,
)
def test_what_is_documented_is_taken(change: dict[str, Any]) -> None:
    assert messages(event(**change)) == ()


@pytest.mark.parametrize("key", ["em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country"])
@pytest.mark.parametrize(
    "value", [EM, [EM, PH], EM.upper(), EM[:32], f"{EM}.AQYCAQMA", f"{EM}.AQ", [f"{EM[:32]}.AQQCAQMC"]]
)
def test_hashes_are_taken_with_and_without_an_appendix(key: str, value: object) -> None:
    assert messages(event(user_data=user_data(**{key: value}))) == ()


@pytest.mark.parametrize("value", ["john_smith@gmail.com", [EM, "john_smith@gmail.com"], EM[:-1], f"{EM}.xyz", 7])
def test_what_is_not_hashed_is_refused_and_not_repeated(value: object) -> None:
    verdict = check_batch([event(user_data=user_data(em=value))], NOW)
    assert verdict.refusal is not None
    assert verdict.refusal.blame == ("data", "0", "user_data", "em")
    assert "john_smith" not in str(verdict.refusal.body())


@pytest.mark.parametrize("value", ["user-42", "User 42", 42, ["a", "b"], EM])
def test_external_id_may_be_raw(value: object) -> None:
    assert messages(event(user_data={"external_id": value, "client_user_agent": "x"})) == ()


@pytest.mark.parametrize("key", ["fbp", "fbc", "client_ip_address", "client_user_agent"])
def test_single_valued_parameters_refuse_lists(key: str) -> None:
    given = user_data(**{key: [FBP]})
    assert refusal(event(user_data=given)) == (100, None, ("data", "0", "user_data", key))


def test_seven_days_is_the_oldest() -> None:
    assert refusal(event(event_time=NOW - 7 * DAY)) is None
    assert refusal(event(event_time=NOW - 7 * DAY - 1)) == (100, 2804003, ("data", "0", "event_time"))


def test_sixty_two_days_is_the_oldest_in_a_store() -> None:
    assert refusal(event(action_source="physical_store", event_time=NOW - 62 * DAY)) is None
    found = refusal(event(action_source="physical_store", event_time=NOW - 62 * DAY - 1))
    assert found == (100, 2804003, ("data", "0", "event_time"))


def test_one_bad_event_refuses_the_batch() -> None:
    assert refusal(event(), purchase(), event(event_time=1)) == (100, 2804003, ("data", "2", "event_time"))


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_a_batch_holds_one_to_a_thousand_events(count: int, taken: bool) -> None:
    assert (check_batch([event()] * count, NOW).refusal is None) is taken


def test_an_event_is_an_object() -> None:
    assert refusal(event(), ["Lead"]) == (100, None, ("data", "1"))


@pytest.mark.parametrize("custom_data", [None, {}, {"currency": "USD"}, {"value": None, "currency": "USD"}])
def test_a_purchase_without_value_has_its_own_subcode(custom_data: object) -> None:
    found = refusal(purchase(custom_data=custom_data))
    assert found == (100, 2804009, ("data", "0", "custom_data", "value"))


def test_a_purchase_without_currency_is_refused() -> None:
    assert refusal(purchase(custom_data={"value": 1})) == (100, None, ("data", "0", "custom_data", "currency"))


@pytest.mark.parametrize(
    "keys",
    [
        (),
        ("client_user_agent",),
        ("ct", "country", "st", "zp", "ge", "client_user_agent"),
        ("db", "client_user_agent"),
        ("fn", "ge"),
        ("ln", "ge"),
    ],
)
def test_too_little_user_data_cannot_be_matched(keys: tuple[str, ...]) -> None:
    assert refusal(event(user_data=dict.fromkeys(keys, EM))) == (100, 2804050, ("data", "0", "user_data"))


@pytest.mark.parametrize("empty", ["", None, [], [""]])
def test_an_empty_value_does_not_help_matching(empty: object) -> None:
    given = {"client_user_agent": "x", "external_id": empty}
    assert check_batch([event(user_data=given)], NOW).refusal is not None


@pytest.mark.parametrize(
    "given",
    [{"client_ip_address": "2600::1", "client_user_agent": "x"}]
    + [{key: EM} for key in ("em", "ph", "external_id")]
    + [{"fbp": FBP}, {"fbc": "fb.1.1596403881668.AbC"}, {"fn": EM, "ln": EM}],
)
def test_enough_user_data_is_enough(given: dict[str, str]) -> None:
    assert refusal(event(user_data=given)) is None


def test_a_website_event_names_its_page() -> None:
    assert refusal(event(event_source_url=None)) == (100, None, ("data", "0", "event_source_url"))
    assert refusal(event(event_source_url=None, action_source="phone_call")) is None


def test_a_website_event_without_user_agent_is_taken_with_a_remark() -> None:
    (remark,) = messages(event(user_data=user_data(client_user_agent=None)))
    assert remark == "data[0].user_data.client_user_agent is required."


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"client_ip_address": "10.0.0.1"}, "client_ip_address"),
        ({"client_ip_address": "::1"}, "client_ip_address"),
        ({"client_ip_address": "localhost"}, "client_ip_address"),
        ({"fbp": "1116446470"}, "fbp"),
        ({"fbc": "IwAR0x"}, "fbc"),
        ({"email": EM}, "email"),
        ({"em": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, "em"),
    ],
)
def test_odd_user_data_is_taken_with_a_remark(given: dict[str, str], named: str) -> None:
    (remark,) = messages(event(user_data=user_data(**given)))
    assert remark.startswith(f"data[0].user_data.{named} ")


@pytest.mark.parametrize(
    "given",
    [
        {"client_ip_address": "8.8.8.8.AQQCAQMC"},
        {"client_ip_address": "2600:1f18::1.AQQCAQMC"},
        {"fbp": f"{FBP}.AQYCAQMA"},
        {"fbp": f"{FBP}.Bg"},
        {"fbc": "fb.1.1596403881668.IwAR0fAkE-cLiCk_1dAaBb.AQICAQMC"},
    ],
)
def test_appendices_are_not_odd(given: dict[str, str]) -> None:
    assert messages(event(user_data=user_data(**given))) == ()


def test_limited_data_use_names_a_country() -> None:
    found = refusal(event(data_processing_options=["LDU"]))
    assert found == (100, None, ("data", "0", "data_processing_options_country"))


def test_limited_data_use_is_placed_by_state_or_by_address() -> None:
    ldu = {"data_processing_options": ["LDU"], "data_processing_options_country": 1}
    nowhere = user_data(client_ip_address=None)
    assert messages(event(**ldu, data_processing_options_state=1013, user_data=nowhere)) == ()
    assert messages(event(**ldu, data_processing_options_state=0)) == ()
    (remark,) = messages(event(**ldu, data_processing_options_state=0, user_data=nowhere))
    assert "client_ip_address" in remark


def test_milliseconds_are_remarked_on() -> None:
    (remark,) = messages(event(event_time=NOW * 1000))
    assert remark.startswith("data[0].event_time ")


def test_an_app_event_names_its_os_version() -> None:
    app = {"application_tracking_enabled": True, "advertiser_tracking_enabled": True}
    extinfo = ["i2", "", "", "", "17.1", *[""] * 11]
    found = refusal(event(action_source="app", app_data={**app, "extinfo": [*extinfo[:4], "", *extinfo[5:]]}))
    assert found == (100, 2804043, ("data", "0", "app_data", "extinfo"))
    assert refusal(event(action_source="app", app_data={**app, "extinfo": extinfo})) is None


def test_a_business_message_names_its_channel() -> None:
    found = refusal(event(action_source="business_messaging"))
    assert found == (100, 2804063, ("data", "0", "messaging_channel"))


@pytest.mark.parametrize(
    ("agent", "taken"),
    [(None, True), ("plpixeltwin", True), ("x" * 22, True), ("x" * 23, False), ("a1", False), (7, False)],
)
def test_partner_agent_is_short_and_has_letters(agent: object, taken: bool) -> None:
    assert (check_partner_agent(agent) is None) is taken


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*event(), "custom_data", "app_data", "original_event_data", "opt_out"]), json_values)
def test_any_value_anywhere_gets_a_verdict(key: str, value: object) -> None:
    check_batch([{**event(), key: value}], NOW)


@given(st.sampled_from(["user_data", "custom_data"]), st.text(), json_values)
def test_any_inner_value_gets_a_verdict_that_can_be_written(where: str, key: str, value: object) -> None:
    one = event(**{where: {**user_data(), "contents": [], key: value}})
    verdict = check_batch([one], NOW)
    if verdict.refusal:
        orjson.dumps(verdict.refusal.body())
