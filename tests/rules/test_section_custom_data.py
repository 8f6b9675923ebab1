"""Custom data: as JSON, as one data element, or as rows; typed as a hit's, and never more than the JSON that it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pixeltwin.mirror import Draft

from .factories import faults, ruled, rules, twin

ELEMENT = {"x": {"custom_data": "x"}, "y": {"custom_data": "y"}}
CONTENTS = [{"id": "A-1", "quantity": 2, "item_price": 5.0}]


def set_to(**properties: object) -> dict[str, object]:
    return {"custom_data": {"json": properties}}


def custom_data(then: dict[str, object], **hit: str) -> dict[str, object]:
    return twin(then, hit, elements=ELEMENT).get("custom_data", {})


def rows(*pairs: tuple[str, object]) -> dict[str, object]:
    return {"custom_data": {"rows": [{"key": key, "value": value} for key, value in pairs]}}


# Three ways to write it.


@pytest.mark.parametrize(
    "then",
    [
        {
            "custom_data": {
                "json": '{"colour": "red", "contents": [{"id": "A-1", "quantity": 2, "item_price": "{{ x }}"}]}'
            }
        },
        set_to(colour="red", contents=[{"id": "A-1", "quantity": 2, "item_price": {"cel": "double(hit['cd[x]'])"}}]),
        rows(
            ("colour", "red"),
            ("contents[0].id", "A-1"),
            ("contents[0].quantity", 2),
            ("contents[0].item_price", "{{ x }}"),
        ),
    ],
    ids=["text", "YAML", "rows"],
)
def test_json_as_text_as_yaml_and_as_rows_say_the_same(then):
    found = custom_data(then, cd_x="5")
    assert (found["colour"], found["contents"]) == ("red", CONTENTS)
    assert found["value"] == 12.5  # the page's own stays


@pytest.mark.parametrize("given", ["{{ x }}", " {{ x }} ", {"cel": "hit['cd[x]']"}])
def test_one_element_or_expression_may_hold_it_all(given):
    found = custom_data({"custom_data": {"json": given}}, cd_x='{"colour":"red","value":"7","coupon":null}')
    assert (found["colour"], found["value"], found["currency"]) == ("red", 7.0, "EUR")
    assert "coupon" not in found


def test_an_expression_may_be_an_object():
    assert custom_data({"custom_data": {"json": {"cel": "{'colour': 'red', 'n': 1}"}}})["colour"] == "red"


@pytest.mark.parametrize("given", ["[1]", "red", "7", '"x"', "{", [1], 7, {"a": {"cel": "1 +"}}, "{{ x", "{{ x y }}"])
def test_what_is_no_object_is_an_error_in_the_file(given):
    with pytest.raises(ValidationError):
        rules({"then": {"custom_data": {"json": given}}})


def test_the_error_says_where_the_json_breaks():
    with pytest.raises(ValidationError, match=r"at character 7: "):
        rules({"then": {"custom_data": {"json": '{"a": }'}}})


def test_json_and_rows_are_not_written_together():
    with pytest.raises(ValidationError, match="json or rows"):
        rules({"then": {"custom_data": {"json": {"a": 1}, "rows": [{"key": "a", "value": 1}]}}})


@pytest.mark.parametrize(
    ("pairs", "remedy"),
    [
        ([("", 1)], "write a path such as"),
        ([("[0].id", 1)], "write a path such as"),
        ([("a..b", 1)], "write a path such as"),
        ([("a[x]", 1)], "write a path such as"),
        ([("a", 1), ("a", 2)], "there twice"),
        ([("a", 1), ("a.b", 2)], "below a row that has a value"),
        ([("a.b", 1), ("a", 2)], "goes on in another row"),
        ([("a[1]", 1)], "without a gap"),
        ([("a[0]", 1), ("a.b", 2)], "without a gap"),
        ([(".".join("abcdefghij"), 1)], "8 deep at most"),
    ],
)
def test_rows_that_make_no_object_are_an_error_in_the_file(pairs, remedy):
    with pytest.raises(ValidationError, match=remedy):
        rules({"then": rows(*pairs)})


# What becomes of each property.


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("value", 0, 0.0),
        ("value", "0", 0.0),
        ("value", "12.50", 12.5),
        ("value", {"cel": "event.custom_data.value * 0.2"}, 2.5),
        ("currency", "chf", "CHF"),
        ("num_items", {"cel": "2.0"}, 2),
        ("content_ids", ["a", 7], ["a", "7"]),
        ("content_type", "product", "product"),
        ("gift", True, True),
        ("size", 42, 42),
        ("when", {"cel": "timestamp('2026-11-25T12:00:00Z')"}, "2026-11-25T12:00:00Z"),
        ("nested", {"a": {"b": ["{{ x }}", "{{ y }}"]}}, {"a": {"b": ["X"]}}),
    ],
)
def test_a_property_is_typed_like_that_of_a_hit(key, given, expected):
    found = custom_data(set_to(**{key: given}), cd_x="X")[key]
    assert str(found).replace("+00:00", "Z") == str(expected)


def test_a_purchase_may_be_worth_nothing():
    then = {"custom_data": {"json": {"value": 0, "currency": "EUR"}}}
    assert custom_data(then)["value"] == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("value", "twelve"),
        ("value", {"cel": "1.0 / 0.0"}),
        ("currency", "euro"),
        ("num_items", 2.5),
        ("contents", [{"delivery_category": "home_delivery"}]),
        ("odd", {"cel": "b'abc'"}),
        ("odd", {"cel": "duration('1h')"}),
        ("odd", {"cel": "1.0 / 0.0"}),
        ("odd", {"cel": "[[[[[[[[[[1]]]]]]]]]]"}),
        ("odd", {"cel": "{1: 2}"}),
        ("odd", {"cel": "event.custom_data.order_id + 1.0"}),
    ],
)
def test_what_cannot_be_used_leaves_that_property_alone_and_is_named(key, value):
    then = set_to(colour="red", **{key: value})
    found = custom_data(then)
    assert found == {"value": 12.5, "currency": "EUR", "order_id": "A-1", "colour": "red"}
    assert faults(then) == [f"custom_data.{key}"]


@pytest.mark.parametrize("given", ["{{ x }}", "", {"a": "{{ x }}"}, ["{{ x }}"], {}, []])
def test_a_property_without_a_value_is_left_alone_and_is_no_fault(given):
    assert "note" not in custom_data(set_to(note=given))
    assert faults(set_to(note=given), elements=ELEMENT) == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        *(("red", "json"), ("[1]", "json"), ("7", "json"), ('{"a":', "json"), ("[" * 200 + "]" * 200, "json")),
        ('{"a":' * 300 + "1" + "}" * 300, "a"),
        ('{"a":[1,{"b":[[[[[[[2]]]]]]]}]}', "a"),
    ],
)
def test_an_element_that_holds_no_object_or_a_deep_one_leaves_custom_data_alone_and_is_named(text, field):
    then = {"custom_data": {"json": "{{ x }}"}}
    found = ruled(then, {"x": text}, elements={"x": {"query": "x"}})
    assert found.draft.event["custom_data"] == {"value": 12.5, "currency": "EUR", "order_id": "A-1"}
    assert found.ruled.faults == [f"r0: custom_data.{field}"]
    assert Draft.from_bytes(found.draft.as_bytes()) == found.draft


def test_remove_takes_properties_out_and_leaves_the_others():
    then = {"custom_data": {"remove": ["order_id", "nothing"], "json": {"colour": "red"}}}
    admission = ruled(then)
    assert admission.draft.event["custom_data"] == {"value": 12.5, "currency": "EUR", "colour": "red"}
    assert admission.ruled.origins == {"custom_data.colour": "r0"}


def test_an_event_of_which_all_is_removed_has_no_custom_data():
    assert "custom_data" not in twin({"custom_data": {"remove": ["value", "currency", "order_id"]}})


def test_what_rules_set_is_cleaned_of_personal_data_as_the_hit_is():
    then = set_to(note="ask jane@mail.example", link="https://shop.example/?email=jane&x=1")
    draft = ruled(then).draft
    found = draft.event["custom_data"]
    assert (found["note"], found["link"]) == ("ask _removed_", "https://shop.example/?x=1")
    assert {"personal_data_removed: custom_data.note", "personal_data_removed: custom_data.link"} <= set(draft.notes)


def test_what_rules_set_is_cleaned_within_lists_as_well():
    draft = ruled(set_to(content_ids=["A-1", "jane@mail.example"])).draft
    assert draft.event["custom_data"]["content_ids"] == ["A-1", "_removed_"]


# Whatever is written, and whatever an element holds.

leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


@given(given_object=st.dictionaries(st.text(max_size=8), trees, max_size=4))
def test_whatever_json_an_element_holds_ends_as_custom_data_that_can_be_kept(given_object):
    text = json.dumps(given_object)
    admission = ruled({"custom_data": {"json": {"cel": "hit.x"}}}, {"x": text})
    assert Draft.from_bytes(admission.draft.as_bytes()) == admission.draft
    json.dumps(admission.draft.event, allow_nan=False)
