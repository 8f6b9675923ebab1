"""What a value has to be: one of some, within limits, or there at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pixeltwin.rules.comparison import Comparison, Wanted

ADAPTER: TypeAdapter[Comparison] = TypeAdapter(Wanted)


def holds(written: Any, value: Any) -> bool:
    return ADAPTER.validate_python(written).holds(value)


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("gold", "gold", True),
        ("gold", "Gold", False),
        (["gold", "vip"], "vip", True),
        (["gold", "vip"], None, False),
        ({"is": ["gold"]}, "gold", True),
        (100, 100.0, True),
        (100, "100.00", True),
        ("100", 100.0, True),
        ("100", "100.0", False),  # texts are compared as texts
        (100, "1_00", False),
        (100, True, False),
        (1, True, False),
        (True, True, True),
        (True, "true", True),
        ("true", True, True),
        (False, None, False),
        ("a", {"a": 1}, False),
        ("a", ["a"], False),
        ({"above": 10}, 10, False),
        ({"above": 10}, 10.01, True),
        ({"at_least": 10}, "10", True),
        ({"below": 10}, "9.99", True),
        ({"below": 10}, 10, False),
        ({"at_most": 10}, 10, True),
        ({"above": 1, "below": 3}, 2, True),
        ({"above": 1, "below": 3}, 3, False),
        ({"below": 10}, None, False),
        ({"below": 10}, "few", False),
        ({"below": 10}, "-inf", False),
        ({"above": 10}, "nan", False),
        ({"above": 10}, True, False),
        ({"exists": True}, "", True),
        ({"exists": True}, None, False),
        ({"exists": False}, None, True),
        ({"exists": False}, 0, False),
        ({"exists": True, "above": 0}, 1, True),
        ({"is": [5, 50], "above": 10}, 5, False),
        ({"is": [5, 50], "above": 10}, 50, True),
    ],
)
def test_a_value_is_as_wanted_or_not(written, value, expected):
    assert holds(written, value) is expected


@pytest.mark.parametrize(
    "written",
    [
        {"above": 3, "below": 3},
        {"at_least": 3, "below": 3},
        {"above": 5, "at_most": 4},
        {"exists": False, "is": ["a"]},
        {"exists": False, "above": 1},
        {"is": [1, 2], "above": 2},
        {"is": ["gold"], "below": 5},
        [],
    ],
)
def test_wishes_that_no_value_can_fulfil_are_an_error_in_the_file(written):
    with pytest.raises(ValidationError, match="exclude each other"):
        ADAPTER.validate_python(written)


@pytest.mark.parametrize("written", [{}, {"over": 3}, {"above": "x"}, None, [None], [["a"]]])
def test_what_is_no_wish_is_an_error_in_the_file(written):
    with pytest.raises(ValidationError):
        ADAPTER.validate_python(written)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just("9" * 5000)
LIMITS = st.floats(-100, 100, width=16)


@given(at_least=LIMITS, at_most=LIMITS, value=LIMITS)
def test_limits_that_are_taken_leave_room_for_a_value(at_least, at_most, value):
    try:
        wanted = ADAPTER.validate_python({"at_least": at_least, "at_most": at_most})
    except ValidationError:
        assert at_least > at_most
        return
    assert wanted.holds(at_least)
    assert wanted.holds(value) is (at_least <= value <= at_most)


@given(VALUES)
def test_no_value_breaks_it(value):
    for written in ("a", 1, True, [1, "a"], {"above": 1}, {"exists": True}, {"is": [2], "at_most": 2}):
        assert holds(written, value) in (True, False)
