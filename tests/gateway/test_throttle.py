"""Rates: who comes more often than he may is told apart from everybody else, in all processes, whatever he sends."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.config import Config
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.throttle import Cells, Throttle
from pixeltwin.mirror import admit
from pixeltwin.pixel.skip import Reason
from pixeltwin.units import Rate, parse_rate
from tests.factories import PIXEL, hit_query, request

PAUSES = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=80)
ADDRESS, OTHER = "84.10.0.1", "84.10.0.2"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def throttle(
    clock: Clock, visitor: str | None = None, pixel: str | None = None, cells: Cells | None = None
) -> Throttle:
    per_visitor, per_pixel = (parse_rate(text) if text else None for text in (visitor, pixel))
    return Throttle(cells or Cells(), per_visitor=per_visitor, per_pixel=per_pixel, clock=clock)


def admitted(one: Throttle, clock: Clock, pauses: list[float]) -> list[float]:
    """When hits of one visitor were let in, that come after these pauses."""
    times = []
    for pause in pauses:
        clock.now += pause
        if not one("1", ADDRESS):
            times.append(clock.now)
    return times


@given(PAUSES, st.integers(1, 20), st.sampled_from([1.0, 60.0]))
def test_nobody_brings_more_in_any_time_than_one_period_s_worth_and_his_rate(pauses, number, period):
    clock = Clock()
    one = Throttle(Cells(), per_visitor=Rate(number, period), per_pixel=None, clock=clock)
    times = admitted(one, clock, pauses)
    for (first, begins), (last, ends) in itertools.combinations(enumerate(times), 2):
        assert last - first + 1 <= number * (1 + (ends - begins) / period) + 1e-6


@given(PAUSES, st.integers(1, 20))
def test_who_never_comes_faster_than_his_rate_is_never_one_too_many(pauses, number):
    clock, slow = Clock(), [60 / number + pause for pause in pauses]
    one = Throttle(Cells(), per_visitor=Rate(number, 60.0), per_pixel=None, clock=clock)
    assert len(admitted(one, clock, slow)) == len(slow)


def test_a_period_s_worth_may_come_at_once_and_then_one_at_a_time():
    clock = Clock()
    one = throttle(clock, "60/m")
    assert len(admitted(one, clock, [0.0] * 100)) == 60
    assert len(admitted(one, clock, [1.0] * 10)) == 10
    assert len(admitted(one, clock, [0.5] * 10)) == 5


def test_a_flood_from_one_address_is_nobody_else_s_trouble():
    clock = Clock()
    one = throttle(clock, "5/m")
    assert sum(not one("1", ADDRESS) for _ in range(1000)) == 5
    assert sum(not one("1", OTHER) for _ in range(1000)) == 5


def test_a_flood_of_addresses_is_stopped_at_its_pixel_and_at_no_other():
    one = throttle(Clock(), "5/m", "100/s")
    flood = [one("1", f"84.{number // 250}.{number % 250}.9") for number in range(1000)]
    assert flood.count(False) == 100
    assert not one("2", ADDRESS)


def test_the_addresses_of_one_ipv6_site_are_one_visitor():
    one = throttle(Clock(), "5/m")
    flood = [one("1", f"2001:db8:1:2::{number:x}") for number in range(100)]
    assert flood.count(False) == 5
    assert not one("1", "2001:db8:1:3::1")


def test_visitors_of_unknown_address_are_not_taken_for_one():
    one = throttle(Clock(), "1/m")
    assert not any(one("1", None) for _ in range(10))


def test_another_process_counts_in_the_same_table():
    cells, clock = Cells(), Clock()
    assert sum(not throttle(clock, "5/m", cells=cells)("1", ADDRESS) for _ in range(3)) == 3
    other = f"""
from pixeltwin.gateway.throttle import Cells, Throttle
from pixeltwin.units import Rate
one = Throttle(Cells({cells.fd}), per_visitor=Rate(5, 60.0), per_pixel=None, clock=lambda: 1000.0)
print(sum(not one("1", "{ADDRESS}") for _ in range(10)))
"""
    run = subprocess.run(
        [sys.executable, "-c", other], pass_fds=[cells.fd], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == "2"


@pytest.mark.parametrize("limits", ["rate_per_visitor: 2/m", "rate_per_pixel: 2/m"])
def test_a_hit_that_is_one_too_many_goes_nowhere_and_says_why(limits):
    text = f'pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]\nserver: {{ limits: {{ {limits} }} }}\n'
    policy = policy_of(Config.from_text(text, base=Path(), env={"T": "t"}), Cells())
    decisions = [
        admit(request(hit_query(eid=f"e{n}"), peer=ADDRESS), policy, record_id="", random_below=lambda below: 1)
        for n in range(3)
    ]
    assert [one.skip for one in decisions] == [None, None, Reason.RATE_LIMITED]
    assert decisions[-1].hit
    assert (decisions[-1].relay, decisions[-1].withheld, decisions[-1].cookies) == (None, True, ())


def test_hits_of_strangers_do_not_count():
    text = f'pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]\nserver: {{ limits: {{ rate_per_visitor: 1/m }} }}\n'
    policy = policy_of(Config.from_text(text, base=Path(), env={"T": "t"}), Cells())
    for query, skip in (("id=99&ev=PageView", Reason.UNKNOWN_PIXEL), (hit_query(), None)):
        decision = admit(request(query, peer=ADDRESS), policy, record_id="", random_below=lambda below: 1)
        assert decision.skip is skip
