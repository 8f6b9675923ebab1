"""A source that keeps failing is left alone, and found again."""

from pixeltwin.enrich.breaker import FAILURES, REST_SECONDS, Breaker


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.admits()
        breaker.failed()
    return breaker, clock


def test_it_opens_after_five_failures_in_a_row():
    breaker, _ = opened()
    assert not breaker.admits()


def test_a_success_between_them_starts_the_count_again():
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    breaker.failed()
    assert breaker.admits()


def test_one_probe_is_let_through_after_the_rest():
    breaker, clock = opened()
    clock.now += REST_SECONDS
    assert [breaker.admits() for _ in range(3)] == [True, False, False]


def test_a_probe_that_succeeds_closes_it():
    breaker, clock = opened()
    clock.now += REST_SECONDS
    assert breaker.admits()
    breaker.succeeded()
    assert [breaker.admits() for _ in range(3)] == [True, True, True]


def test_a_probe_that_fails_begins_another_rest():
    breaker, clock = opened()
    clock.now += REST_SECONDS
    assert breaker.admits()
    breaker.failed()
    clock.now += REST_SECONDS - 1
    assert not breaker.admits()
    clock.now += 1
    assert breaker.admits()


def test_a_probe_that_is_never_heard_of_again_does_not_close_it_for_ever():
    breaker, clock = opened()
    clock.now += REST_SECONDS
    assert breaker.admits()
    clock.now += REST_SECONDS
    assert breaker.admits()
