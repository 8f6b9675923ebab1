"""The machine's clock jumps: by an hour, by eight days, either way, with items under lease. Nothing is lost.

The steady clock goes on, and so does Meta's; only the machine's time of day jumps, as when somebody sets it.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.reliability.lines import DAY, Line, line
from tests.reliability.meta import API, Answer, reset

from pixeltwin.delivery.outbox import Delivered

HOUR = 3600.0
JUMPS = {"an hour on": HOUR, "an hour back": -HOUR, "eight days on": 8 * DAY, "eight days back": -8 * DAY}


@pytest.fixture
async def a_line(tmp_path: Path) -> AsyncIterator[Line]:
    async with line(tmp_path) as made:
        yield made


@pytest.mark.parametrize("seconds", JUMPS.values(), ids=JUMPS)
async def test_a_jump_and_its_correction_lose_nothing(a_line, seconds):
    """What Meta would refuse for its wrong time, or what seems too late, is a letter with a reason."""
    await a_line.append(50)
    lease = await a_line.outbox.lease(API, limit=20, seconds=120)
    a_line.clock.now += seconds
    await a_line.append(50)
    await a_line.run(60.0)
    a_line.clock.now -= seconds
    await a_line.append(50)
    await a_line.drain(9 * DAY)  # what was put off by a clock that was eight days ahead waits so long
    assert await a_line.outbox.settle(lease, {item.seq: Delivered() for item in lease.items}) == 0  # another had them
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.answered, verdict.repeated) == (151, 0)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_a_jump_of_an_hour_costs_no_event_that_was_kept_before(a_line, seconds):
    await a_line.append(50)
    lease = await a_line.outbox.lease(API, limit=20, seconds=120)
    a_line.clock.now += seconds
    await a_line.run(2 * HOUR)
    a_line.clock.now -= seconds
    assert await a_line.outbox.settle(lease, {}) == 0
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (51, 0, 0)


@pytest.mark.parametrize("seconds", [HOUR, 8 * DAY])
async def test_a_jump_forward_brings_no_repeat_outside_of_the_window(a_line, seconds):
    a_line.meta.script = lambda post: Answer(takes=True, send=reset)
    await a_line.append(30)
    await a_line.run(HOUR / 4)
    a_line.clock.now += seconds
    await a_line.run(HOUR / 4)
    a_line.clock.now -= seconds
    a_line.clock.pass_by(46.75 * HOUR)  # nobody works
    await a_line.run(2 * HOUR)
    a_line.meta.script = lambda post: None
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert verdict.repeated > 0


@pytest.mark.parametrize("seconds", [HOUR, 8 * DAY])
async def test_a_jump_back_brings_no_repeat_outside_of_the_window(a_line, seconds):
    a_line.meta.script = lambda post: Answer(takes=True, send=reset)
    await a_line.append(30)
    await a_line.run(HOUR / 4)
    a_line.clock.now -= seconds
    await a_line.worker.tidy()  # as once a minute: the breaker's parks are shortened
    await a_line.run(HOUR / 4)
    a_line.clock.pass_by(46.75 * HOUR)  # nobody works
    await a_line.run(2 * HOUR)
    a_line.clock.now += seconds
    a_line.meta.script = lambda post: None
    verdict = await a_line.judge()
    assert verdict.complaints == []
    assert verdict.repeated > 0
    assert verdict.expired == 30
