"""Transforms beyond their examples: what has no answer becomes nothing, and nothing is invented."""

from hashlib import sha256
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pixeltwin.mapping.transform import TransformSettings, transform_type

ANY = TypeAdapter(transform_type())


def transform(written: object) -> TransformSettings:
    loaded: TransformSettings = ANY.validate_python(written)
    return loaded


def apply(written: object, text: str) -> str | None:
    return transform(written).apply(text)


@pytest.mark.parametrize(
    ("currency", "amount"), [("EUR", "12.50"), ("JPY", "1250"), ("KWD", "1.250"), ("CLF", "0.1250"), (0, "1250")]
)
def test_minor_units_have_as_many_digits_as_the_currency(currency, amount):
    assert apply({"minor_units": currency}, "1250") == amount


@given(st.integers(-(10**18) + 1, 10**18 - 1))
def test_minor_units_are_exact(cents):
    text = apply({"minor_units": 2}, str(cents))
    assert text is not None
    assert int(text.replace(".", "")) == cents


@given(st.text())
def test_sha256_is_of_the_text_as_it_is(text):
    assert apply("sha256", text) == sha256(text.encode()).hexdigest()


@given(st.text())
def test_url_decode_undoes_encoding(text):
    assert apply("url_decode", quote(text)) == text


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.1.b", "x"),
        ("n", "12345678901234567890"),
        ("f", "1.10"),
        ("yes", "true"),
        ("nothing", None),
        ("missing", None),
        ("a", None),
        ("a.9", None),
        ("a.-1", None),
        ("a.b", None),
        ("n.0", None),
    ],
)
def test_json_finds_scalars_as_they_were_written(path, found):
    text = '{"a": [1, {"b": "x"}], "n": 12345678901234567890, "f": 1.10, "yes": true, "nothing": null}'
    assert apply({"json": path}, text) == found


@pytest.mark.parametrize("text", ["", "{", "[" * 9000, "NaN", '{"a": ' * 5000])
def test_json_that_cannot_be_read_is_nothing(text):
    assert apply({"json": "a"}, text) is None


@pytest.mark.parametrize("text", ["1e3", "1000.0", " 1000 ", "+1000"])
def test_whole_numbers_are_whole_however_they_are_written(text):
    assert apply("int", text) == "1000"


@pytest.mark.parametrize("text", ["", "x", "1.5", "1,000", "1_000", "١", "nan", "1e999"])
def test_what_is_no_whole_number_is_nothing(text):
    assert apply("int", text) is None


@pytest.mark.parametrize(
    ("written", "remedy"),
    [
        ({"minor_units": "euro"}, "currency such as EUR"),
        ({"minor_units": 5}, "0 to 4"),
        ({"minor_units": True}, "0 to 4"),
        ({"split": ""}, "at least 1"),
        ({"split": ",", "index": "first"}, "integer"),
        ({"json": ""}, "at least 1"),
        ({"map": ["a"]}, "mapping"),
        ("map", "needs options"),
        ("lowr", "one of"),
        ({"lower": True}, "not permitted"),
    ],
)
def test_settings_that_cannot_work_are_refused(written, remedy):
    with pytest.raises(ValidationError, match=remedy):
        transform(written)
