"""From a row to hashes."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import UserData
from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.profiles import profile_of, value_at
from pixeltwin.enrich.source import SAME_NAMES, Columns, Profile, SourceSettings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_row_s_columns_become_meta_s_keys():
    row = {"mail": "Alex@Example.com ", "tel": "+1 202-555-0198", "left out": "x"}
    found = profile_of(row, Columns({"em": "mail", "ph": "tel", "fn": "first"}))
    assert found == Profile({"em": hashes("em", "alex@example.com"), "ph": hashes("ph", "12025550198")})


def test_hashes_stay_as_they_are():
    assert profile_of({"em": "A" * 64}).user_data["em"] == ("a" * 64,)


def test_phones_without_a_country_code_get_the_default_one():
    found = profile_of({"ph": "0151 23456789"}, default_country="DE")
    assert found.user_data["ph"][0] == hashes("ph", "4915123456789")[0]


@pytest.mark.parametrize("country", ["DE", "Germany", "deutschland", "D"])
def test_a_row_s_own_country_goes_before_the_default_one(country):
    found = profile_of({"ph": "0151 23456789", "country": country}, default_country="US")
    assert found.user_data["ph"][0] == hashes("ph", "4915123456789")[0]


def test_a_country_named_in_its_own_language_is_not_cut_to_two_letters():
    found = profile_of({"ph": "0664 1234567", "country": "Österreich"})
    assert found.user_data["ph"][0] == hashes("ph", "436641234567")[0]


@pytest.mark.parametrize("country", ["", "nowhere", "Alex", None, 7, "a" * 64])
def test_a_country_that_is_none_leaves_the_default_one(country):
    found = profile_of({"ph": "0151 23456789", "country": country}, default_country="DE")
    assert found.user_data["ph"][0] == hashes("ph", "4915123456789")[0]


def test_several_values_of_a_key_all_count_once():
    found = profile_of({"em": ["a@example.com", "b@example.com", "A@example.com"]})
    assert found.user_data["em"] == (*hashes("em", "a@example.com"), *hashes("em", "b@example.com"))


def test_databases_give_more_than_text():
    row = {"external_id": 73, "zp": Decimal(10115), "db": date(1990, 2, 1)}
    assert profile_of(row).user_data == {
        "external_id": hashes("external_id", "73"),
        "zp": hashes("zp", "10115"),
        "db": hashes("db", "1990-02-01"),
    }


@pytest.mark.parametrize("path", ["billing.email", "emails.0", "a.b", "emails.1.address"])
def test_a_dotted_path_leads_down(path):
    row = {"billing": {"email": "x"}, "emails": ["x", {"address": "x"}], "a.b": "x", "a": {"b": "y"}}
    assert value_at(row, path) == "x"


@pytest.mark.parametrize("path", ["", ".", "billing", "billing.email.x", "emails.7", "emails.-1", "emails.x", "a..b"])
def test_a_path_that_leads_nowhere_is_nothing(path):
    assert value_at({"billin": 1, "emails": ["x"]}, path) is None


def test_custom_data_and_facts_stay_as_the_row_has_them():
    row = {"em": "a@example.com", "total": Decimal("129.90"), "plan": "gold", "stats": {"orders": 3}, "vip": True}
    columns = Columns(custom_data={"value": "total", "plan": "plan"}, facts={"orders": "stats.orders", "vip": "vip"})
    assert profile_of(row, columns) == Profile(
        {"em": hashes("em", "a@example.com")}, {"value": 129.9, "plan": "gold"}, {"orders": 3, "vip": True}
    )


def test_what_cannot_be_taken_is_named_and_its_value_is_not():
    row = {"em": "no address", "ph": {"mobile": "1"}, "fn": "", "note": "alex@example.com", "tags": ["a"], "zp": None}
    found = profile_of(row, Columns(custom_data={"note": "note"}, facts={"tags": "tags", "seen": "seen"}))
    assert found == Profile(left_out=("user_data.em", "user_data.ph", "custom_data.note", "profile.tags"))
    assert found.is_empty


def test_without_columns_of_user_data_nothing_is_hashed():
    row = {"em": "a@example.com", "total": 5}
    assert profile_of(row, Columns({}, {"value": "total"})) == Profile(custom_data={"value": 5.0})


IDS = Columns({}, ids={"subscription_id": "sub", "lead_id": "crm.lead", "fb_login_id": "login"})


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        ({"sub": "S-77", "crm": {"lead": 525645896321548}, "login": "1022"}, ("S-77", "525645896321548", "1022")),
        ({"sub": 77.0, "crm": {"lead": Decimal(525645896321548)}}, ("77", "525645896321548", None)),
    ],
)
def test_ids_are_kept_as_text(row, ids):
    found = profile_of(row, IDS)
    assert tuple(map(found.ids.get, ("subscription_id", "lead_id", "fb_login_id"))) == ids
    assert (found.user_data, found.left_out, found.is_empty) == ({}, (), False)


def test_what_is_no_id_is_left_out_and_named():
    found = profile_of({"sub": "jane@mail.example", "crm": {"lead": "l-5"}, "login": [1]}, IDS)
    assert found.ids == {}
    assert found.left_out == ("user_data.subscription_id", "user_data.lead_id", "user_data.fb_login_id")
    hostile = (
        True,
        "x" * 300,
        "a\nb",
        5.5,
        float("inf"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("1e999999"),
        {"a": 1},
    )
    assert [profile_of({"sub": value}, IDS).ids for value in hostile] == [{}] * len(hostile)


@given(st.dictionaries(st.sampled_from(sorted(SAME_NAMES)), JSON))
def test_any_row_makes_a_profile_that_meta_takes(row):
    user_data = profile_of(row, default_country="DE").user_data
    parts = {"f5first", "f5last", "fi", "dobd", "dobm", "doby"}
    UserData.model_validate({key: values[0] if key in parts else values for key, values in user_data.items()})


@pytest.mark.parametrize("columns", [{"email": "em"}, {"fbp": "fbp"}, {"em": "x", "client_ip_address": "ip"}])
def test_only_what_meta_hashes_can_be_mapped(columns):
    with pytest.raises(ValueError, match="Meta's key first"):
        SourceSettings(kind="x", key="k", map=columns)


@pytest.mark.parametrize("country", ["Germany", "XX", "", "D"])
def test_a_default_country_is_two_letters(country):
    with pytest.raises(ValueError, match="two letters"):
        SourceSettings(kind="x", key="k", default_country=country)
