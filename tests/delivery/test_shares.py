"""Pixels take turns, and a backlog is worked off from both ends."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.delivery.shares import ends, in_turn, shares

BACKLOGS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 50))


def shared(limit: int, have: Mapping[str, int]) -> dict[str, int]:
    return shares(limit, list(have), lambda pixel, most: min(have[pixel], most))


@pytest.mark.parametrize(
    ("limit", "have", "expected"),
    [
        (10, {"a": 100, "b": 100}, {"a": 5, "b": 5}),
        (11, {"a": 100, "b": 100}, {"a": 6, "b": 5}),
        (10, {"a": 100, "b": 2, "c": 100}, {"a": 4, "b": 2, "c": 4}),
        (10, {"a": 3, "b": 2}, {"a": 3, "b": 2}),
        (2, {"a": 0, "b": 9, "c": 9, "d": 9}, {"b": 1, "c": 1}),
        (0, {"a": 9}, {}),
        (9, {}, {}),
    ],
)
def test_shares_are_even_and_nothing_is_left(limit: int, have: dict[str, int], expected: dict[str, int]) -> None:
    assert shared(limit, have) == expected


@given(limit=st.integers(0, 200), have=BACKLOGS)
def test_a_pixel_gets_less_than_another_only_if_it_has_no_more(limit: int, have: dict[str, int]) -> None:
    taken = shared(limit, have)
    assert sum(taken.values()) == min(limit, sum(have.values()))
    for pixel, number in have.items():
        got = taken.get(pixel, 0)
        assert got <= number
        assert got == number or max(taken.values(), default=0) <= got + 1


def test_a_long_backlog_is_not_counted_to_its_end() -> None:
    asked: list[int] = []
    shares(10, ["a", "b"], lambda pixel, most: asked.append(most) or min(most, 10**6))
    assert max(asked) == 5


@given(st.integers(0, 10_000))
def test_both_ends_make_the_whole_and_the_old_end_is_never_forgotten(number: int) -> None:
    newest, oldest = ends(number)
    assert newest + oldest == number
    assert oldest >= 0.3 * number - 1e-9
    assert oldest < 0.3 * number + 1


def test_the_turn_goes_on_from_pixel_to_pixel() -> None:
    assert in_turn({"c", "a", "b"}, "") == ["a", "b", "c"]
    assert in_turn({"c", "a", "b"}, "a") == ["b", "c", "a"]
    assert in_turn({"c", "a"}, "b") == ["c", "a"]
    assert in_turn({"c", "a"}, "z") == ["a", "c"]
