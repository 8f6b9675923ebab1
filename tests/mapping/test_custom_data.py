"""`cd[…]` as custom_data (PROTOCOL 1.6 and 5): typed where Meta has a type, nothing invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData
from pixeltwin.mapping.custom_data import custom_data


def mapped(**given: str) -> dict[str, object]:
    found = custom_data(given)
    return found.model_dump(mode="json", exclude_none=True) if found else {}


@pytest.mark.parametrize(
    ("text", "value"),
    [("129.9", 129.9), ("1e3", 1000.0), ("-0", 0.0), ("0", 0.0), (" 24.00 ", 24.0), ("-5", -5.0)],
)
def test_a_numeric_text_is_a_number(text, value):
    assert mapped(value=text) == {"value": value}


@pytest.mark.parametrize("text", ["12,50", "abc", "Infinity", "nan", "", "1_000", "١٢"])
def test_what_is_no_number_is_left_out_and_nothing_put_in_its_place(text):
    assert mapped(value=text, currency="EUR") == {"currency": "EUR"}


@pytest.mark.parametrize(("text", "code"), [("eur", "EUR"), ("USD", "USD"), (" gbp ", "GBP")])
def test_a_currency_is_upper_case(text, code):
    assert mapped(currency=text) == {"currency": code}


@pytest.mark.parametrize("text", ["Euro", "€", "", "US"])
def test_what_is_no_currency_is_left_out(text):
    assert mapped(currency=text) == {}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ('["a","b"]', ["a", "b"]),
        ("[55,55]", ["55", "55"]),
        ("[880011223344]", ["880011223344"]),
        ("sku-1,sku-2", ["sku-1", "sku-2"]),
        ("sku-1", ["sku-1"]),
        ("42", ["42"]),
        ('"a"', ["a"]),
    ],
)
def test_content_ids_come_from_json_and_from_comma_lists(text, ids):
    assert mapped(content_ids=text) == {"content_ids": ids}


def test_contents_are_typed_and_keep_what_else_they_say():
    text = '[{"id":55,"name":"Row A","quantity":"1","item_price":3,"member_discount":0}]'
    assert mapped(contents=text)["contents"] == [
        {"id": "55", "name": "Row A", "quantity": 1, "item_price": 3.0, "member_discount": 0}
    ]


@pytest.mark.parametrize("text", ["[]", 'x[{"id":"1234"}]', "null", "{}", '[{"quantity":1}]', '[{"id":"a"}]', "[1,2]"])
def test_contents_without_products_are_left_out(text):
    assert mapped(contents=text) == {}


def test_json_in_other_properties_becomes_what_it_says():
    assert mapped(plan='{"tier":"gold"}', tags="[1,2]", note="{not json", segID="1,2") == {
        "plan": {"tier": "gold"},
        "tags": [1, 2],
        "note": "{not json",
        "segID": "1,2",
    }


def test_json_that_is_too_deep_stays_text():
    assert mapped(deep="[" * 20 + "]" * 20) == {"deep": "[" * 20 + "]" * 20}


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=30) | st.sampled_from(['{"a":NaN}', "1e999", "9" * 400])))
def test_no_text_breaks_the_mapping(given):
    found = custom_data(given | {"value": given.get("value", "1")})
    assert found is None or isinstance(found, CustomData)
