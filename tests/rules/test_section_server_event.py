"""Server event parameters: every field as a literal, a data element or an expression, and what cannot be used."""

import pytest
from pydantic import ValidationError

from pixeltwin.capi.event import ActionSource
from tests.factories import NOW, PAGE

from .factories import admitted, faults, policy, ruled, rules, twin

HOUR, DAY = 3600, 24 * 3600
HIT_TIME = int(NOW) - 5  # what `ts` of the factory's hits says
ELEMENT = {"x": {"custom_data": "x"}}

# a field, a value as somebody writes it or an element holds it, and what Meta gets
FIELDS = [
    ("event_name", "Lead", "Lead"),
    ("event_time", str(HIT_TIME - HOUR), HIT_TIME - HOUR),
    ("event_id", "order-77", "order-77"),
    ("event_source_url", "https://www.shop.example/thanks", "https://www.shop.example/thanks"),
    ("referrer_url", "https://www.shop.example/cart", "https://www.shop.example/cart"),
    ("action_source", "phone_call", "phone_call"),
    ("opt_out", "true", True),
    ("opt_out", "false", False),
    ("messaging_channel", "whatsapp", "whatsapp"),
]
BAD = [
    ("event_time", "yesterday"),
    ("event_source_url", "shop.example/thanks"),
    ("event_source_url", "javascript:alert(1)"),
    ("action_source", "web"),
    ("opt_out", "maybe"),
    ("messaging_channel", "signal"),
    ("customer_segmentation", "new_customer"),
]


def section(field: str, given: object) -> dict[str, object]:
    return {"server_event": {field: given}}


@pytest.mark.parametrize(("field", "given", "expected"), FIELDS)
def test_a_field_is_a_literal_a_data_element_or_an_expression(field, given, expected):
    assert twin(section(field, given))[field] == expected
    assert twin(section(field, "{{ x }}"), {"cd_x": given}, elements=ELEMENT)[field] == expected
    assert twin(section(field, {"cel": "hit['cd[x]']"}), {"cd_x": given})[field] == expected


def test_texts_may_have_elements_in_them():
    then = section("event_source_url", "https://www.shop.example/{{ x }}?from={{ x }}")
    assert twin(then, {"cd_x": "a"}, elements=ELEMENT)["event_source_url"] == "https://www.shop.example/a?from=a"


@pytest.mark.parametrize(("field", "given"), BAD)
def test_what_cannot_be_used_leaves_the_field_and_is_named(field, given):
    then = section(field, "{{ x }}")
    untouched = twin(section("event_id", "e-1"), {"cd_x": given})
    assert twin(then, {"cd_x": given}, elements=ELEMENT) == untouched
    assert faults(then, {"cd_x": given}, elements=ELEMENT) == [field]


@pytest.mark.parametrize("field", [field for field, _, _ in FIELDS])
def test_an_expression_that_fails_leaves_the_field_and_is_named(field):
    then = section(field, {"cel": "event.custom_data.order_id * 2.0"})
    assert twin(then) == twin(section("event_id", "e-1"))
    assert faults(then) == [field]


@pytest.mark.parametrize("given", ["{{ x }}", "a {{ x }}", {"cel": "hit['cd[x]']"}])
def test_an_optional_value_that_is_not_there_is_no_fault(given):
    assert faults(section("referrer_url", given), elements=ELEMENT) == []
    assert "referrer_url" not in twin(section("referrer_url", given), elements=ELEMENT)


@pytest.mark.parametrize(("field", "given"), BAD)
def test_a_literal_that_cannot_be_used_is_an_error_in_the_file(field, given):
    with pytest.raises(ValidationError, match="write") as refused:
        rules({"then": section(field, given)})
    assert refused.value.errors()[0]["ctx"]["at"] == (field,)


def test_the_fields_that_a_rule_has_set_are_named():
    then = {"server_event": {"event_id": "a", "customer_segmentation": "new_customer_to_business"}}
    assert ruled(then).ruled.origins == {"event_id": "r0", "custom_data.customer_segmentation": "r0"}


def test_all_nine_action_sources_can_be_set():
    sources = ActionSource.__args__
    assert len(sources) == 9
    assert [twin(section("action_source", source))["action_source"] for source in sources] == list(sources)


def test_customer_segmentation_goes_into_custom_data():
    """Meta's table lists it beside, and answers an error to that (PROTOCOL 1.4)."""
    event = twin(section("customer_segmentation", "customer_in_loyalty_program"))
    assert event["custom_data"]["customer_segmentation"] == "customer_in_loyalty_program"
    assert event["custom_data"]["value"] == 12.5
    assert "customer_segmentation" not in event


# The time.

WINDOW = [
    ("now", int(NOW), "website", True),
    ("a week", int(NOW) - 7 * DAY, "website", True),
    ("over a week", int(NOW) - 7 * DAY - 1, "website", False),
    ("62 days in a store", int(NOW) - 62 * DAY, "physical_store", True),
    ("over 62 days in a store", int(NOW) - 62 * DAY - 1, "physical_store", False),
    ("62 days on the phone", int(NOW) - 62 * DAY, "phone_call", False),
    ("to come", int(NOW) + 1, "website", False),
    ("milliseconds", int(NOW) * 1000, "website", False),
    ("nothing", 0, "website", False),
    ("negative", -5, "website", False),
]


@pytest.mark.parametrize(("at", "source", "fits"), [row[1:] for row in WINDOW], ids=[row[0] for row in WINDOW])
def test_a_time_that_meta_would_refuse_leaves_that_of_the_hit(at, source, fits):
    then = {"server_event": {"event_time": {"cel": f"hit.x == '' ? 0.0 : {at}.0"}, "action_source": source}}
    assert twin(then, {"x": "1"})["event_time"] == (at if fits else HIT_TIME)
    assert faults(then, {"x": "1"}) == ([] if fits else ["event_time"])


@pytest.mark.parametrize("source", ["physical_store", "website"])
def test_the_window_is_that_of_the_action_source_that_the_event_has(source):
    """An earlier rule may have set it."""
    late = {"then": section("event_time", str(int(NOW) - 30 * DAY))}
    admission = admitted(policy({"then": section("action_source", source)}, late))
    assert (admission.draft.event["event_time"] != HIT_TIME) is (source == "physical_store")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1795458200, 1795458200),
        ("1795458200", 1795458200),
        (" 1795458200 ", 1795458200),
        (1795458200.9, 1795458200),
        ("2026-11-23T18:23:20Z", 1795458200),
        ("2026-11-23T18:23:20", 1795458200),
        ("2026-11-23T19:23:20+01:00", 1795458200),
        ("2026-11-23 18:23:20.500Z", 1795458200),
        ("2026-11-23", 1795392000),
        ({"cel": "event.event_time - 3595.0"}, 1795458200),
        ({"cel": "double(hit.ts) / 1000.0 - 3595.0"}, 1795458200),
        ({"cel": "timestamp('2026-11-23T18:23:20Z')"}, 1795458200),
    ],
)
def test_a_time_is_seconds_digits_or_iso_8601(given, expected):
    assert twin(section("event_time", given))["event_time"] == expected


@pytest.mark.parametrize("given", ["soon", "23.11.2026", "2026-13-01", "1e99", "nan", True, "1_795_458_200"])
def test_a_literal_that_is_no_time_is_an_error_in_the_file(given):
    with pytest.raises(ValidationError, match="write unix seconds or an ISO 8601 time"):
        rules({"then": section("event_time", given)})


# The event that this one follows up.


def test_original_event_data_is_set_as_far_as_it_can_be_used():
    original = {"event_name": "Lead", "event_time": "{{ x }}", "order_id": "{{ nothing }}", "event_id": 7}
    then = section("original_event_data", original)
    elements = ELEMENT | {"nothing": {"query": "nothing"}}
    assert twin(then, {"cd_x": "1795000000"}, elements=elements)["original_event_data"] == {
        "event_name": "Lead",
        "event_time": 1795000000,
        "event_id": "7",
    }
    assert faults(then, {"cd_x": "long ago"}, elements=elements) == ["original_event_data.event_time"]


def test_original_event_data_of_which_nothing_is_there_is_left_out():
    then = section("original_event_data", {"order_id": "{{ x }}"})
    assert "original_event_data" not in twin(then, elements=ELEMENT)


# Limited data use.

OPTIONS = ("data_processing_options", "data_processing_options_country", "data_processing_options_state")


def limits(given: object, hit: dict[str, str] | None = None) -> tuple[object, ...]:
    event = twin(section("limited_data_use", given), hit or {}, elements=ELEMENT)
    return tuple(event.get(name) for name in OPTIONS)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, (["LDU"], 0, 0)),
        ({"on": True}, (["LDU"], 0, 0)),
        ({"country": "US", "state": "CA"}, (["LDU"], 1, 1000)),
        ({"country": 1, "state": 1005}, (["LDU"], 1, 1005)),
        ({"country": "US", "state": "California"}, (["LDU"], 1, 1000)),
        ({"state": "RI"}, (["LDU"], 1, 1013)),
        ({"country": "US"}, (["LDU"], 0, 0)),  # without a state Meta geolocates (PROTOCOL 1.7)
        ({"country": 0, "state": 0}, (["LDU"], 0, 0)),
        (False, ([], None, None)),
        ({"on": False}, ([], None, None)),
    ],
)
def test_limited_data_use_is_on_with_a_real_country_and_state_or_off(given, expected):
    assert limits(given) == expected


@pytest.mark.parametrize(
    "given", [{"country": "DE"}, {"state": "NY"}, {"state": "Bavaria"}, {"country": 2}, {"state": 999}, {"on": "x"}]
)
def test_places_that_meta_does_not_know_are_errors_in_the_file(given):
    with pytest.raises(ValidationError):
        rules({"then": section("limited_data_use", given)})


def test_a_place_of_the_hit_that_meta_does_not_know_stays_limited():
    then = {"country": "US", "state": "{{ x }}"}
    assert limits(then, {"cd_x": "CO"}) == (["LDU"], 1, 1001)
    assert limits(then, {"cd_x": "Bavaria"}) == (["LDU"], 0, 0)
    assert faults(section("limited_data_use", then), {"cd_x": "Bavaria"}, elements=ELEMENT) == [
        "limited_data_use.state"
    ]


def test_the_page_of_the_hit_is_what_it_was():
    assert twin(section("event_id", "x"))["event_source_url"] == PAGE
