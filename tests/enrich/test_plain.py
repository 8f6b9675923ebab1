"""What of a row may stay readable."""

import time
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData
from pixeltwin.enrich.plain import ROOM, plain_values, scalar

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.binary() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from(["value", "currency", "num_items", "predicted_ltv", "content_type", "plan"])


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("gold", "gold"),
        ("  gold \n", "gold"),
        ("12.50", "12.50"),
        ("007", "007"),
        (7, 7),
        (0, 0),
        (True, True),
        (False, False),
        (12.5, 12.5),
        (Decimal("129.90"), 129.9),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00+00:00"),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),  # no longer exact as a JSON number
        (-(2**63), "-9223372036854775808"),
    ],
)
def test_a_single_value_stays_what_the_row_has(value, plain):
    assert scalar(value) == plain
    assert type(scalar(value)) is type(plain)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("1e999"), 10**5000, b"x", [1], {"a": 1}, 1j],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_say_as_one_value_is_none(value):
    assert scalar(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "alex@example.com",
        "Alex Doe <alex.doe@example.co.uk>",
        "mailto:alex@example.com?subject=x",
        "https://shop.example/?u=alex%40example.com",
        "ünal@exämple.de",
        "+4915123456789",
        "+1 (202) 555-0198",
        "202-555-0198",
        "(202) 555-0198",
        "0151 23456789",
    ],
)
def test_an_address_or_a_phone_number_does_not_stay_readable(text):
    found = plain_values({"note": text}, {"note": f" {text} "})
    assert (found.custom_data, found.facts) == ({}, {})
    assert found.left_out == ("custom_data.note", "profile.note")


@pytest.mark.parametrize(
    "text",
    [
        "gold",
        "cust-1001",
        "2024-05-01",
        "2024-05-01 12:30:00",
        "304-1234567-1234567",
        "978-3-16-148410-0",
        "4006381333931",
        "129.90",
        "-12.5",
        "10115 Berlin",
        "@shop",
        "2 @ 1.50",
        "v1.2.3",
        "1.234.567,89",
    ],
)
def test_what_people_write_of_orders_stays(text):
    assert plain_values({"note": text}, {}).custom_data == {"note": text}


@pytest.mark.parametrize("value", [None, "", "  ", []])
def test_where_a_row_says_nothing_nothing_is_left_out(value):
    assert plain_values({"plan": value}, {"plan": value}) == ({}, {}, ())


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("value", "129.90", 129.9),
        ("value", Decimal("129.90"), 129.9),
        ("value", 0, 0.0),
        ("predicted_ltv", "7", 7.0),
        ("num_items", "3", 3),
        ("num_items", 3.0, 3),
        ("currency", " eur ", "EUR"),
        ("order_id", "0042", "0042"),
    ],
)
def test_meta_s_own_properties_come_out_as_meta_takes_them(name, value, plain):
    assert plain_values({name: value}, {}).custom_data == {name: plain}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value", "1.234,56"),  # two readings: nothing is guessed
        ("value", "nan"),
        ("value", True),
        ("value", "EUR 12"),
        ("num_items", "3.5"),
        ("currency", "Euro"),
        ("currency", "€"),
        ("currency", 978),
    ],
)
def test_what_meta_would_not_read_is_left_out(name, value):
    assert plain_values({name: value}, {}) == ({}, {}, (f"custom_data.{name}",))


def test_a_customer_has_4_kib():
    long = "x" * 3000
    found = plain_values({"a": long, "b": long, "c": "short"}, {"d": long, "e": 1})
    assert found.custom_data == {"a": long, "c": "short"}
    assert found.facts == {"e": 1}
    assert found.left_out == ("custom_data.b", "profile.d")


def test_half_of_a_surrogate_pair_is_left_out():
    assert plain_values({"plan": "\ud800"}, {}) == ({}, {}, ("custom_data.plan",))


@given(st.dictionaries(NAMES, ANYTHING), st.dictionaries(NAMES, ANYTHING))
def test_any_row_leaves_bounded_json_that_meta_takes(custom_data, facts):
    found = plain_values(custom_data, facts)
    assert len(orjson.dumps([found.custom_data, found.facts])) <= ROOM + 16
    assert CustomData.model_validate(found.custom_data).model_dump(exclude_none=True) == found.custom_data
    assert all(isinstance(value, str | int | float) for value in found.facts.values())


@pytest.mark.parametrize("text", ["x" * (10 << 20), "a@" * 2000, "a%40" * 1000, "+1" * 2000, "a@b" + "c" * 4000])
def test_long_texts_take_no_time(text):
    began = time.perf_counter()
    plain_values({"note": text}, {"note": text})
    assert time.perf_counter() - began < 0.1
