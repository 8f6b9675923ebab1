"""The browser's data and what a source knows, as one."""

from typing import Any

import pytest

from pixeltwin.enrich.merge import Addition, joined
from pixeltwin.enrich.source import Profile

ALEX, OLD, BOB = ("a" * 64, "b" * 64, "c" * 64)
NONE = Addition("crm", ())
GIVEN = {"value": 24.9, "currency": "EUR", "content_type": "product", "plan": "web"}


def event(custom_data: dict[str, Any] | None = None, **user_data: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"event_name": "Lead", "user_data": user_data}
    return made | ({"custom_data": custom_data} if custom_data else {})


def knowing(**custom_data: Any) -> Profile:
    return Profile(custom_data=custom_data)


def read(given: dict[str, Any] | None, *profiles: Profile, overrides: bool = False) -> dict[str, Any] | None:
    """The custom data of an event when each has told what it knows."""
    made = event(given)
    for profile in profiles:
        made, _ = joined(made, "crm", profile, overrides=overrides)
    return made.get("custom_data")


# Custom data.


def test_the_browser_s_own_values_stay_and_the_rest_is_added():
    assert read(GIVEN, knowing(value=99.0, plan="crm", segment="gold", predicted_ltv=300.0)) == {
        "value": 24.9,
        "currency": "EUR",
        "content_type": "product",
        "plan": "web",
        "segment": "gold",
        "predicted_ltv": 300.0,
    }


def test_the_first_source_that_knows_something_counts():
    assert read(None, knowing(plan="a"), knowing(plan="b", segment="gold")) == {"plan": "a", "segment": "gold"}


@pytest.mark.parametrize("overrides", [False, True])
def test_nothing_known_leaves_what_was_given(overrides):
    given = event({"content_type": "product", "plan": "web"}, em=[ALEX])
    assert joined(given, "crm", Profile(), overrides=overrides) == (given, NONE)
    assert joined(event(), "crm", Profile(), overrides=overrides) == (event(), NONE)


def test_an_amount_is_not_put_beside_another_currency():
    assert read({"currency": "usd"}, knowing(value=99.0, currency="EUR", plan="crm")) == {
        "currency": "usd",
        "plan": "crm",
    }
    assert read(None, knowing(currency="EUR"), knowing(value=99.0, currency="USD")) == {"currency": "EUR"}


def test_an_amount_is_put_beside_its_own_currency():
    assert read({"currency": "eur"}, knowing(value=99.0, currency="EUR")) == {"currency": "eur", "value": 99.0}


def test_an_amount_that_is_no_number_counts_as_none():
    assert read({"value": None, "currency": "EUR"}, knowing(value=99.0)) == {"value": 99.0, "currency": "EUR"}


def test_an_order_s_values_win_over_the_browser_s():
    assert read(GIVEN, knowing(value=1.0, currency="USD", plan="crm"), overrides=True) == {
        "value": 1.0,
        "currency": "USD",
        "content_type": "product",
        "plan": "crm",
    }


def test_no_amount_of_the_browser_s_passes_for_an_order_s():
    given = {"value": 1e6, "currency": "EUR", "predicted_ltv": 1e6, "net_revenue": 1e6, "plan": "web"}
    assert read(given, knowing(segment="gold"), overrides=True) == {"plan": "web", "segment": "gold"}
    assert read({"value": 1e6}, Profile(), overrides=True) is None


def test_what_was_added_or_changed_is_told_by_name():
    known = Profile(user_data={"em": (ALEX,), "fn": (BOB,)}, custom_data={"value": 1.0, "segment": "gold"})
    _, added = joined(event(GIVEN, em=[ALEX]), "crm", known, overrides=True)
    assert [*added.fields] == ["user_data.fn", "custom_data.value", "custom_data.segment"]


# Who it is.


def test_the_browser_s_own_hash_stays_first():
    made, added = joined(event(em=[OLD]), "crm", Profile(user_data={"em": (ALEX, OLD), "ph": (BOB,)}))
    assert made["user_data"] == {"em": [OLD, ALEX], "ph": [BOB]}
    assert [*added.fields] == ["user_data.em", "user_data.ph"]


def test_a_part_of_a_name_has_one_value():
    assert joined(event(), "crm", Profile(user_data={"fi": (ALEX,)}))[0]["user_data"] == {"fi": ALEX}
    assert joined(event(fi=OLD), "crm", Profile(user_data={"fi": (ALEX,)}))[0]["user_data"] == {"fi": OLD}


def test_an_id_that_a_source_knows_is_added_and_one_that_is_there_stays():
    made, _ = joined(event(lead_id="1"), "crm", Profile(ids={"lead_id": "2", "subscription_id": "a"}))
    made, added = joined(made, "crm", Profile(ids={"subscription_id": "b"}))
    assert (made["user_data"], added) == ({"lead_id": "1", "subscription_id": "a"}, NONE)


def test_the_event_that_was_given_stays_as_it_was():
    given = event({"plan": "web"}, em=[OLD])
    joined(given, "crm", Profile(user_data={"em": (ALEX,)}, custom_data={"plan": "crm"}), overrides=True)
    assert given == event({"plan": "web"}, em=[OLD])
