"""Patterns of our own, in Rust's engine."""

import pytest

from pixeltwin.patterns import finder


@pytest.mark.parametrize(
    ("text", "found"),
    [("a-1", True), ("é-1\n", True), ("", False), ("a1", False), ("\ud83d-1", True), ("\ud83d1", False)],
)
def test_a_match_is_found_anywhere_in_any_text(text: str, found: bool) -> None:
    assert finder("-[0-9]")(text) == found


def test_what_is_no_character_is_a_question_mark() -> None:
    assert finder(r"a\?b")("a\ud83db")
