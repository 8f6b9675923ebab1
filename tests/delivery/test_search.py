"""The events at fault are found, with few posts, and nobody else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.delivery.batches import Batch, Ready
from pixeltwin.delivery.outbox import Item
from pixeltwin.delivery.search import MAX_POSTS, Search


def batch(size: int) -> Batch:
    return tuple(
        (Item(seq=seq, pixel_id="1", payload=b"", attempts=0, appended_at=0), Ready(b"")) for seq in range(size)
    )


def find(size: int, bad: set[int], blame=lambda seqs, bad: ()) -> tuple[set[int], set[int], list[list[int]]]:
    """Refused, taken, and the posts that it took."""
    search, refused, taken, posts = Search(batch(size)), set(), set(), []
    while part := search.next_part():
        seqs = [item.seq for item, _ in part]
        posts.append(seqs)
        if not bad & set(seqs):
            taken |= set(seqs)
            search.taken()
            continue
        if len(seqs) == 1:
            refused |= set(seqs)
        search.rejected(blame(seqs, bad))
    assert search.rest() == ()
    return refused, taken, posts


def the_first(seqs: list[int], bad: set[int]) -> tuple[int, ...]:
    return (next(position for position, seq in enumerate(seqs) if seq in bad),)


SIZE_AND_BAD = st.integers(1, 80).flatmap(lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1))))


@given(SIZE_AND_BAD)
def test_exactly_the_bad_events_are_refused_and_all_others_taken(size_and_bad):
    size, bad = size_and_bad
    refused, taken, posts = find(size, bad)
    assert (refused, taken) == (bad, set(range(size)) - bad)
    assert all(bad & set(post) == bad & {post[0]} for post in posts if len(post) == 1)


@given(SIZE_AND_BAD, st.lists(st.integers(0, 1200), max_size=4))
def test_blaming_the_wrong_ones_costs_posts_and_no_event(size_and_bad, blamed):
    size, bad = size_and_bad
    refused, taken, _ = find(size, bad, lambda seqs, bad: blamed)
    assert (refused, taken) == (bad, set(range(size)) - bad)


@given(st.integers(0, 999))
def test_one_bad_event_of_a_thousand_costs_fewer_than_thirty_posts(bad):
    assert len(find(1000, {bad})[2]) < 30


@given(st.integers(0, 999))
def test_one_bad_event_that_is_blamed_costs_three_posts(bad):
    assert len(find(1000, {bad}, the_first)[2]) == 3


@pytest.mark.parametrize("blame", [lambda seqs, bad: (), the_first])
def test_ten_bad_events_of_a_thousand_are_found_within_twice_the_bound(blame):
    assert len(find(1000, set(range(0, 1000, 100)), blame)[2]) <= 2 * MAX_POSTS


def test_a_half_that_must_hold_the_culprit_is_not_posted_whole():
    posts = find(8, {7})[2]
    assert posts == [list(range(8)), [0, 1, 2, 3], [4, 5], [6], [7]]


def test_halves_of_what_was_too_big_are_not_suspected():
    search = Search(batch(4))
    search.next_part()
    search.halve()
    assert len(search.next_part()) == 2
    search.taken()
    assert len(search.next_part()) == 2


def test_those_that_were_left_out_prove_nothing_about_the_rest():
    search = Search(batch(4))
    search.next_part()
    search.rejected()
    left = search.next_part()
    search.narrow(left[:1])
    search.taken()
    assert [item.seq for item, _ in search.next_part()] == [2, 3]
