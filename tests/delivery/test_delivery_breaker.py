"""Whoever keeps failing is left alone, and found again by one post."""

import pytest

from pixeltwin.delivery.breaker import FIRST_REST, IN_A_ROW, LONGEST_REST, PROBE_SECONDS, WINDOW, Breaker, State


def opened(now: float = 1000.0) -> Breaker:
    breaker = Breaker()
    assert [breaker.failed(now) for _ in range(IN_A_ROW)] == [False] * (IN_A_ROW - 1) + [True]
    return breaker


def test_it_opens_after_five_failures_in_a_row():
    breaker = opened()
    assert (breaker.state(1000), breaker.admits(1000)) == (State.OPEN, False)


def test_a_success_between_them_starts_the_row_again():
    breaker = Breaker()
    for failed in (True, True, True, True, False, True, True, True, True):
        _ = breaker.failed(0) if failed else breaker.succeeded()
    assert breaker.state(0) is State.CLOSED


def test_it_opens_when_half_of_the_last_twenty_failed():
    breaker = Breaker()
    opened = [breaker.failed(0) if number % 2 else breaker.succeeded() for number in range(WINDOW)]
    assert opened == [False] * (WINDOW - 1) + [True]


def test_fewer_than_half_is_no_reason():
    breaker = Breaker()
    for number in range(200):
        assert not (breaker.failed(0) if number % 3 == 0 else breaker.succeeded())


def test_after_the_rest_one_post_goes_and_no_other():
    breaker = opened()
    after = 1000 + FIRST_REST
    assert breaker.state(after) is State.HALF_OPEN
    assert [breaker.admits(after) for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it():
    breaker = opened()
    assert breaker.admits(1000 + FIRST_REST)
    assert breaker.succeeded()
    assert (breaker.state(1006), breaker.admits(1006)) == (State.CLOSED, True)


def test_each_probe_that_fails_begins_a_longer_rest_up_to_a_minute():
    breaker, now, rests = opened(), 1000 + FIRST_REST, []
    for _ in range(6):
        assert breaker.admits(now)
        assert breaker.failed(now)
        rests.append(breaker.until - now)
        now = breaker.until
    assert rests == [10, 20, 40, 60, 60, 60]
    assert rests[-1] == LONGEST_REST


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_a_post_that_was_under_way_when_it_opened_changes_nothing(end):
    breaker = opened()
    assert not (breaker.succeeded() if end == "succeeded" else breaker.failed(1001))
    assert (breaker.state(1001), breaker.until) == (State.OPEN, 1000 + FIRST_REST)


def test_a_probe_that_is_never_heard_of_again_does_not_close_it_for_ever():
    breaker = opened()
    assert breaker.admits(1005)
    assert not breaker.admits(1005 + PROBE_SECONDS - 1)
    assert breaker.admits(1005 + PROBE_SECONDS)


def test_it_opens_on_order():
    breaker = Breaker()
    breaker.open(60)
    assert [breaker.admits(now) for now in (0, 59, 60)] == [False, False, True]
