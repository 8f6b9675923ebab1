"""The browser's custom data and what sources know, as one."""

import pytest

from pixeltwin.capi.event import CustomData, UserData
from pixeltwin.enrich.merge import added, merge, merged_custom_data
from pixeltwin.enrich.source import Profile


def knowing(**custom_data) -> Profile:
    return Profile(custom_data=custom_data)


def read(custom_data: CustomData | None) -> dict | None:
    return None if custom_data is None else custom_data.model_dump(exclude_none=True)


GIVEN = CustomData(value=24.9, currency="EUR", content_type="product", plan="web")


def test_the_browser_s_own_values_stay_and_the_rest_is_added():
    merged = merged_custom_data(GIVEN, [knowing(value=99.0, plan="crm", segment="gold", predicted_ltv=300.0)])
    assert read(merged) == {
        "value": 24.9,
        "currency": "EUR",
        "content_type": "product",
        "plan": "web",
        "segment": "gold",
        "predicted_ltv": 300.0,
    }


def test_the_first_source_that_knows_something_counts():
    merged = merged_custom_data(None, [knowing(plan="a"), knowing(plan="b", segment="gold")])
    assert read(merged) == {"plan": "a", "segment": "gold"}


@pytest.mark.parametrize("overrides", [False, True])
def test_nothing_known_leaves_what_was_given(overrides):
    given = CustomData(content_type="product", plan="web")
    assert merged_custom_data(given, [], overrides=overrides) == given
    assert merged_custom_data(None, [Profile()], overrides=overrides) is None


def test_an_amount_is_not_put_beside_another_currency():
    merged = merged_custom_data(CustomData(currency="usd"), [knowing(value=99.0, currency="EUR", plan="crm")])
    assert read(merged) == {"currency": "usd", "plan": "crm"}
    merged = merged_custom_data(None, [knowing(currency="EUR"), knowing(value=99.0, currency="USD")])
    assert read(merged) == {"currency": "EUR"}


def test_an_amount_is_put_beside_its_own_currency():
    merged = merged_custom_data(CustomData(currency="eur"), [knowing(value=99.0, currency="EUR")])
    assert read(merged) == {"currency": "eur", "value": 99.0}


def test_an_order_s_values_win_over_the_browser_s():
    merged = merged_custom_data(GIVEN, [knowing(value=1.0, currency="USD", plan="crm")], overrides=True)
    assert read(merged) == {"value": 1.0, "currency": "USD", "content_type": "product", "plan": "crm"}


def test_no_amount_of_the_browser_s_passes_for_an_order_s():
    given = CustomData(value=1e6, currency="EUR", predicted_ltv=1e6, net_revenue=1e6, plan="web")
    assert read(merged_custom_data(given, [knowing(segment="gold")], overrides=True)) == {
        "plan": "web",
        "segment": "gold",
    }
    assert merged_custom_data(CustomData(value=1e6), [Profile()], overrides=True) is None


def test_a_property_may_be_called_as_anything():
    merged = merged_custom_data(CustomData(), [knowing(copy="x", model_dump="y", json="z")])
    assert read(merged) == {"copy": "x", "model_dump": "y", "json": "z"}


def test_what_was_added_or_changed_is_told_by_name():
    merged = merged_custom_data(GIVEN, [knowing(value=1.0, segment="gold")], overrides=True)
    assert added(GIVEN, merged) == ["value", "segment"]
    assert added(None, None) == []


def test_an_id_that_a_source_knows_is_added_and_one_that_is_there_stays():
    merged = merge(UserData(lead_id="1"), [Profile(ids={"lead_id": "2", "subscription_id": "a"})])
    merged = merge(merged, [Profile(ids={"subscription_id": "b"})])
    assert (merged.lead_id, merged.subscription_id) == ("1", "a")
