"""`cd[…]` as custom_data (PROTOCOL 1.6 and 5): typed where Meta has a type, nothing invented."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData
from pixeltwin.mapping.custom_data import MAX_DEPTH, PARAMETERS, custom_data, is_shallow


def mapped(**given: str) -> dict[str, object]:
    return custom_data(given)


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


ODD = st.sampled_from(['{"a":NaN}', "1e999", "9" * 400, "0", "-0", "1.0", "[]", "{}", "[1]", '{"a":[{"b":null}]}'])
ITEMS = st.fixed_dictionaries(
    {}, optional={key: st.none() | st.integers() | st.text(max_size=3) for key in ("id", "quantity", "item_price", "x")}
)
CONTENTS = st.lists(ITEMS | st.integers(), max_size=3).map(json.dumps)
TEXTS = st.text(max_size=30) | ODD | CONTENTS


@given(st.dictionaries(st.sampled_from([*PARAMETERS]) | st.text(max_size=12), TEXTS))
def test_what_is_read_is_as_custom_data_has_it(given):
    found = custom_data(given)
    validated = CustomData.model_validate(found).model_dump(mode="json", exclude_none=True)
    assert json.dumps(validated, sort_keys=True) == json.dumps(found, sort_keys=True)  # 1 and 1.0 differ


def nested(brackets: str) -> object:
    """A text within lists and objects, opened as told."""
    value: object = "]"
    for bracket in brackets:
        value = [value, {}] if bracket == "[" else {"[": value}
    return value


@given(st.text("[{", min_size=1, max_size=12).map(nested))
def test_json_is_read_where_it_is_shallow_enough(value):
    text = json.dumps(value)
    assert custom_data({"x": text})["x"] == (value if is_shallow(value, MAX_DEPTH) else text)
