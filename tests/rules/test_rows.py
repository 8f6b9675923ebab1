"""Rows and JSON are two notations of one thing."""

from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.rules.rows import from_rows, steps, to_rows

KEYS = st.text(st.characters(blacklist_characters=".[]", blacklist_categories=["Cs"]), min_size=1, max_size=6)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(KEYS, inner, min_size=1, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(KEYS, NODES, max_size=4)

CONTENTS = {"order_id": "A-1", "contents": [{"id": "a", "quantity": 1}, {"id": "b"}], "deep": {"er": [[1, 2], [3]]}}
ROWS = [
    ("order_id", "A-1"),
    ("contents[0].id", "a"),
    ("contents[0].quantity", 1),
    ("contents[1].id", "b"),
    ("deep.er[0][0]", 1),
    ("deep.er[0][1]", 2),
    ("deep.er[1][0]", 3),
]


def test_rows_of_an_object_are_its_leaves_by_their_paths():
    assert to_rows(CONTENTS) == ROWS


def test_an_object_of_rows_has_what_they_say_in_any_order():
    assert from_rows(ROWS) == from_rows(reversed(ROWS)) == CONTENTS


def test_the_steps_of_a_path():
    assert steps("contents[0].id") == ("contents", 0, "id")


@given(OBJECTS)
def test_an_object_comes_back_from_its_rows(value):
    assert from_rows(to_rows(value)) == value


@given(OBJECTS)
def test_rows_come_back_from_their_object(value):
    rows = to_rows(value)
    assert to_rows(from_rows(rows)) == rows


@given(st.lists(st.tuples(st.text(".[]01ab", max_size=12) | st.text(max_size=250), st.integers()), max_size=5))
def test_whatever_paths_are_written_they_make_an_object_or_a_value_error(rows):
    try:
        made = from_rows(rows)
    except ValueError:
        return
    assert dict(to_rows(made)) == dict(rows)
