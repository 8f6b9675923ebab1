"""What the settings of a source say of a row."""

import pytest
from pydantic import TypeAdapter

from pixeltwin.enrich.source import SAME_NAMES, Columns, SourceSettings


def chosen(**options) -> SourceSettings:
    return SourceSettings(kind="x", key="customer_id", **options)


def test_without_a_map_meta_s_keys_bear_their_own_names():
    assert chosen().columns == Columns(SAME_NAMES, {}, {})


def test_an_empty_map_means_no_user_data():
    assert chosen(map={}).columns == Columns({}, {}, {})


def test_ids_that_are_not_hashed_come_out_of_a_source_where_the_map_names_them():
    columns = chosen(map={"em": "email", "lead_id": "crm.lead", "subscription_id": "sub"}).columns
    assert (columns.user_data, columns.ids) == ({"em": "email"}, {"lead_id": "crm.lead", "subscription_id": "sub"})
    assert chosen().columns.ids == {}


@pytest.mark.parametrize("name", ["client_ip_address", "fbp", "madid", "email"])
def test_no_other_key_does(name):
    with pytest.raises(ValueError, match=r"write Meta's key first.*lead_id"):
        chosen(map={name: "x"})


@pytest.mark.parametrize(
    ("profile", "facts"),
    [
        (["orders_count", "segment"], {"orders_count": "orders_count", "segment": "segment"}),
        ({"orders": "stats.orders"}, {"orders": "stats.orders"}),
        ([], {}),
    ],
)
def test_facts_are_a_list_of_columns_or_named(profile, facts):
    assert chosen(profile=profile).columns.facts == facts


def test_custom_data_names_its_columns():
    assert chosen(custom_data={"value": "total", "plan": "plan"}).columns.custom_data == {
        "value": "total",
        "plan": "plan",
    }


@pytest.mark.parametrize("profile", [["stats.orders"], {"a b": "x"}, {"1a": "x"}, {"": "x"}, {"x" * 65: "x"}, ["ö"]])
def test_a_fact_needs_a_name_that_an_expression_can_have(profile):
    with pytest.raises(ValueError, match=r"\{ orders: stats\.orders \}"):
        chosen(profile=profile)


@pytest.mark.parametrize("profile", ["orders", [1], [{"orders": "x"}], {"orders": ["x"]}])
def test_facts_of_another_form_are_refused(profile):
    with pytest.raises(ValueError, match="profile"):
        chosen(profile=profile)


@pytest.mark.parametrize("name", ["em", "ph", "fn", "external_id", "dobd"])
def test_what_meta_matches_by_is_no_custom_data(name):
    with pytest.raises(ValueError, match="under `map`"):
        chosen(map={}, custom_data={name: "x"})


@pytest.mark.parametrize("name", ["contents", "content_ids"])
def test_a_column_is_no_list(name):
    with pytest.raises(ValueError, match="single value"):
        chosen(custom_data={name: "x"})


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_a_property_needs_a_plain_name(name):
    with pytest.raises(ValueError, match="64 characters"):
        chosen(custom_data={name: "x"})


@pytest.mark.parametrize(
    "options",
    [
        {"profile": ["em"]},
        {"custom_data": {"mail": "em"}},
        {"map": {"em": "contact.email"}, "profile": {"mail": "contact.email"}},
    ],
)
def test_a_column_that_gets_hashed_does_not_stay_readable(options):
    with pytest.raises(ValueError, match="must not stay readable"):
        chosen(**options)


def test_a_column_that_nothing_hashes_may_be_a_fact():
    assert chosen(map={"em": "email"}, profile=["country"]).columns.facts == {"country": "country"}


def test_the_schema_shows_both_forms_of_facts():
    schema = TypeAdapter(SourceSettings).json_schema()["properties"]["profile"]
    assert [option["type"] for option in schema["anyOf"]] == ["array", "object"]
