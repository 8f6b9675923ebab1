"""One rule as it is written: what is refused, and which rules wait until the customer is known."""

import pytest
from pydantic import ValidationError

from .factories import rules

LATE = "profile.orders_count < 2.0"


def rule(**written):
    return rules(written).rules[0]


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ({"then": {}}, "say what to do: drop, rename, pixels"),
        ({"then": {"pixels": []}}, "name at least one"),
        ({"then": {"pixels": "shop", "pixel": {"id": "1"}}}, "write pixels or pixel"),
        ({"then": {"rename": ""}}, "at least 1"),
        ({"then": {"rename": "x" * 101}}, "at most 100"),
        ({"then": {"drop": "relay"}}, "'twin' or 'both'"),
        ({"then": {"drop": "twin"}, "name": "a b"}, "match pattern"),
        ({"then": {"drop": "twin"}, "name": "x" * 65}, "match pattern"),
        ({"then": {"drop": "twin"}, "match": {"evnt": "x"}}, "not permitted"),
        ({"then": {"drp": "twin"}}, "not permitted"),
        ({"then": {"drop": "twin"}, "whn": "true"}, "not permitted"),
        ({"match": {"event": "x"}}, "required"),
        ({"then": {"server_event": {"event_id": "{{ }}"}}}, "a data element's name between the braces"),
        ({"then": {"server_event": {"event_id": "{{ a b }}"}}}, "a data element's name between the braces"),
        ({"then": {"server_event": {"event_id": ["a"]}}}, "write a value"),
        ({"then": {"server_event": {"event_id": {"cel": "a", "x": 1}}}}, "write a value"),
        ({"then": {"server_event": {"event_id": {"cel": "evnt.event_id"}}}}, "there is no 'evnt' here"),
        ({"then": {"drop": "twin"}, "when": ""}, "write an expression in quotes"),
        ({"then": {"drop": "twin"}, "when": 1}, "write an expression in quotes"),
        ({"then": {"drop": "twin"}, "when": "1.0"}, "write a condition"),
        ({"then": {"drop": "twin"}, "when": "1 / 0 == 1"}, "ZeroDivisionError"),
    ],
)
def test_a_rule_that_cannot_work_is_an_error_in_the_file(written, remedy):
    with pytest.raises(ValidationError, match=remedy):
        rules(written)


# Early and late.


@pytest.mark.parametrize(
    "written",
    [
        {"when": LATE, "then": {"drop": "twin"}},
        {"when": "has(profile.x)", "then": {"custom_data": {"json": {"a": 1}}}},
        {"then": {"custom_data": {"json": {"a": {"cel": "profile.segment"}}}}},
        {"then": {"custom_data": {"rows": [{"key": "a[0].b", "value": {"cel": "profile.segment"}}]}}},
        {"then": {"server_event": {"event_id": {"cel": "profile.id"}}}},
        {"then": {"user_data": {"subscription_id": {"cel": "profile.id"}}}},
        {"then": {"test_event": {"code": "T", "when": "profile.is_tester"}}},
    ],
)
def test_a_rule_that_asks_for_the_profile_waits_until_the_twin_is_sealed(written):
    assert rule(**written).is_late


def test_a_rule_that_does_not_is_decided_when_the_hit_arrives():
    assert not rule(when="event.custom_data.profile == 'x'", then={"drop": "both"}).is_late


@pytest.mark.parametrize(
    "then",
    [
        {"drop": "both"},
        {"rename": "Lead"},
        {"pixels": "shop"},
        {"pixel": {"id": "1", "access_token": "t"}},
        {"sample": 0.5},
    ],
    ids=lambda then: next(iter(then)),
)
def test_a_late_rule_cannot_do_what_has_to_be_known_before_the_browser_is_answered(then):
    with pytest.raises(ValidationError, match="can drop the twin or set its fields, nothing else"):
        rules({"when": LATE, "then": then})


@pytest.mark.parametrize("gone", ["hit.x == '1'", "http.cookies.a == '1'", "geo.country == 'DE'"])
def test_a_late_rule_cannot_ask_for_what_is_gone_by_then(gone):
    with pytest.raises(ValidationError, match="is gone when `profile` is known"):
        rules({"when": f"{LATE} && {gone}", "then": {"drop": "twin"}})


@pytest.mark.parametrize("key", ["em", "external_id", "fi"])
def test_a_late_rule_sets_no_hashed_customer_information(key):
    """What would be hashed had to be kept in plain text until then."""
    with pytest.raises(ValidationError, match="hashed customer information"):
        rules({"when": LATE, "then": {"user_data": {key: "{{ x }}"}}})


def test_a_rule_knows_what_it_asks_for():
    asking = rule(
        when='el.plan == "vip" && el["customer-id"] != "" && profile.orders > 1.0',
        then={
            "server_event": {"event_id": "{{ order }}-{{ part }}"},
            "user_data": {"lead_id": {"cel": "profile.lead"}},
        },
    )
    assert asking.elements == {"plan", "customer-id", "order", "part"}
    assert asking.facts == {"orders", "lead"}
    assert asking.variables == {"el", "profile"}


def test_a_rule_is_written_again_as_it_was():
    written = {
        "name": "r0",
        "match": {"event": ["Lead"]},
        "when": "event.custom_data.value > 1.0",
        "then": {
            "pixels": ["shop", "{{ target }}"],
            "server_event": {"event_id": "{{ order }}", "opt_out": True, "event_time": {"cel": "event.event_time"}},
        },
    }
    found = rule(**written).model_dump(exclude_defaults=True, mode="json")
    assert found["when"] == written["when"]
    assert found["then"]["pixels"] == written["then"]["pixels"]
    assert found["then"]["server_event"] == written["then"]["server_event"]
