"""The detector: several filters at once, whatever percent-encoding their finds are in."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pixeltwin.privacy.detector import Detector
from pixeltwin.privacy.filter import filter_type, words
from pixeltwin.privacy.settings import STANDARD

ANY = TypeAdapter(filter_type())
ALL = Detector([ANY.validate_python(kind) for kind in ("email", "phone", "token")], removes=False)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("a@b.example+49 151 2345678", "_removed_+49 151 2345678"),  # a plus after a word is a space
        ("a@b.example, +49 151 2345678", "_removed_, _removed_"),
        ("+49 151 2345678@b.example", "_removed_"),
        ("%61%40%62.example%20x", "_removed_%20x"),
        ("%2561%2540%2562.example%2520x", "_removed_%2520x"),
        ("%252561%252540b.example", "_removed_"),
        ("j%C3%BCrgen%40b%C3%BCro.example!", "_removed_!"),
        ("%FF%40%C3a%40b.example%", "%FF%40%C3_removed_%"),
        ("100% of a%4gb", "100% of a%4gb"),
        ("Jane%20jane@b.example", "Jane%20_removed_"),
        ("100%dejane@b.example", "100%de_removed_"),
        ("x%aa@b.example", "x%aa_removed_"),
    ],
)
def test_finds_are_masked_where_they_stand(text, masked):
    assert ALL.masked(text) == masked


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 3))
def test_what_is_around_a_find_stays_as_it_was_encoded(around, times):
    before, after = f"{around}<", f">{around}"
    for _ in range(times):
        before, after = quote(before), quote(after)
    email = "a@b.example"
    if "@" not in around and "+" not in around and "%" not in around and ALL.masked(around) == around:
        assert ALL.masked(before + email + after) == f"{before}_removed_{after}"


@pytest.mark.parametrize("name", sorted(STANDARD))
def test_no_name_of_metas_own_tells_that_its_text_is_personal(name):
    assert not ALL.is_told_by([name])


def test_without_filters_nothing_is_found():
    nothing = Detector([], removes=True)
    assert nothing.clean("a%40b.example a@b.example", "password") == "a%40b.example a@b.example"
    assert not nothing.suspects("a@b.example", "phone")


@pytest.mark.parametrize(
    ("name", "has"),
    [
        ("customerPhone", {"customer", "phone", "customerphone"}),
        ("API_KEY", {"api", "key", "apikey"}),
        ("PHPSessId2", {"php", "sess", "id", "phpsess", "sessid"}),
        ("hotel", {"hotel"}),
        ("téléphone", {"t", "l", "phone", "tl", "lphone"}),
        ("", set()),
        ("x" * 101, set()),
    ],
)
def test_a_name_is_taken_apart_into_words(name, has):
    assert words(name) == has
