"""The machine's clock is turned by ± 1 h and ± 8 d: what waits survives it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.delivery.bench import as_it_is

from pixeltwin.delivery.backoff import LONGEST_PARK
from pixeltwin.delivery.clocks import DOUBT_SECONDS, SHARE, STEP, ClockGuard
from pixeltwin.delivery.destination import Taken, Verdict
from pixeltwin.delivery.outbox import Appended, Delivered, Depth, Later, NewItem, Outbox
from pixeltwin.delivery.worker import Worker
from pixeltwin.outboxes import memory, sqlite
from pixeltwin.telemetry import REGISTRY

HOUR, DAY = 3600.0, 24 * 3600.0
SHIFTS = [HOUR, -HOUR, 8 * DAY, -8 * DAY]
NAME, PIXEL = "conversions_api", "1"
WAITING = 5000


class Time:
    """A wall clock that can be turned, and the steady time that passes."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_795_000_000.0, 1000.0

    def clock(self) -> float:
        return self.wall

    def ticks(self) -> float:
        return self.steady

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Taking:
    """A destination that takes everything, and is able to turn the clock while it does."""

    name, max_batch, max_posts, max_posts_of_a_pixel, takes_repeats = NAME, 1000, 8, 2, True

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        self.taken.extend(payloads)
        return Taken()

    async def close(self) -> None: ...


class Made:
    def __init__(self, outbox: Outbox, time: Time) -> None:
        self.outbox, self.time, self.meta = outbox, time, Taking()
        self.worker = Worker(
            outbox, self.meta, as_it_is, lambda *_: None, clock=time.clock, ticks=time.ticks, lease_limit=1000
        )

    def item(self, name: str, key: bytes | None = None) -> NewItem:
        deadline = self.time.wall + 2 * DAY
        return NewItem(destination=NAME, pixel_id=PIXEL, key=key, payload=name.encode(), deadline=deadline)

    async def fill(self, number: int = WAITING) -> None:
        await self.outbox.append([self.item(str(n)) for n in range(number)])

    async def depth(self) -> Depth:
        return (await self.outbox.stats()).get(NAME, Depth())

    async def deliver_all(self) -> int:
        while await self.worker.deliver_due():
            pass
        return len(self.meta.taken)

    async def missing(self) -> int:
        """What the outbox's equation says is missing: nothing, ever."""
        tally, depth = (await self.outbox.tally())[NAME], await self.depth()
        waiting = depth.ready + depth.leased + depth.held
        ended = tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged
        return tally.accepted + tally.requeued - ended - waiting


@pytest.fixture(params=[memory, sqlite], ids=["memory", "sqlite"])
def engine(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@asynccontextmanager
async def made(engine: ModuleType, folder: Path) -> AsyncIterator[Made]:
    time = Time()
    kind = engine.__name__.rpartition(".")[2]
    outbox = await engine.open_outbox(engine.Settings(kind=kind), base=folder, clock=time.clock)
    try:
        yield Made(outbox, time)
    finally:
        await outbox.close()


# the guard


def jumps(direction: str) -> float:
    return REGISTRY.get_sample_value("pixeltwin_clock_jumps_total", {"direction": direction}) or 0.0


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_step_is_told_once(shift):
    time = Time()
    guard, direction = ClockGuard(time.clock, time.ticks), "forward" if shift > 0 else "back"
    before = jumps(direction)
    time.passes(60)
    time.wall += shift
    assert guard.look() == pytest.approx(shift)
    time.passes(60)
    assert guard.look() == 0.0
    assert jumps(direction) - before == 1


@given(st.lists(st.floats(-0.03, 0.03), max_size=50))
def test_a_clock_that_is_slewed_is_believed(gains):
    time = Time()
    guard = ClockGuard(time.clock, time.ticks)
    for gain in gains:
        time.passes(60)
        time.wall += gain
        assert guard.look() == 0.0
    assert guard.believes()


@settings(deadline=None)
@given(st.floats(STEP + 0.1, 100 * DAY), st.floats(0, DOUBT_SECONDS - 1), st.integers(0, 10**7))
def test_after_a_step_forward_a_hundredth_may_be_given_up_each_time(shift, later, waiting):
    time = Time()
    guard = ClockGuard(time.clock, time.ticks)
    time.passes(DOUBT_SECONDS + 1)
    assert guard.ration(waiting) is None
    time.wall += shift
    assert guard.ration(waiting) == max(20, int(waiting * 0.01))
    time.passes(later)
    assert guard.ration(waiting) == max(20, int(waiting * 0.01))
    time.passes(DOUBT_SECONDS + 1)
    assert guard.ration(waiting) is None


def test_who_has_just_begun_gives_little_up():
    """The clock may have been turned while nobody looked."""
    time = Time()
    assert ClockGuard(time.clock, time.ticks).ration(WAITING) == WAITING * SHARE


# what waits


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_step_that_is_put_right_costs_next_to_nothing(engine, tmp_path, shift):
    async with made(engine, tmp_path) as it:
        await it.fill()
        it.time.passes(3 * HOUR)
        it.time.wall += shift
        for _ in range(3):
            await it.worker.tidy()
            it.time.passes(60)
        given_up = (await it.depth()).dead
        assert given_up <= 3 * WAITING * SHARE
        assert given_up == 0 or shift == 8 * DAY
        it.time.wall -= shift
        assert await it.deliver_all() == WAITING - given_up
        assert await it.missing() == 0


async def test_what_is_late_by_a_clock_in_doubt_is_not_sent_either(engine, tmp_path):
    async with made(engine, tmp_path) as it:
        await it.fill(100)
        it.time.wall += 8 * DAY
        assert await it.deliver_all() == 0


async def test_a_clock_that_goes_on_is_believed_in_the_end(engine, tmp_path):
    async with made(engine, tmp_path) as it:
        await it.fill(100)
        it.time.wall += 8 * DAY
        await it.worker.tidy()
        it.time.passes(DOUBT_SECONDS + 1)
        await it.worker.tidy()
        assert await it.depth() == Depth(dead=100)


@pytest.mark.parametrize("shift", SHIFTS)
async def test_a_lease_that_meets_a_step_loses_no_item(engine, tmp_path, shift):
    async with made(engine, tmp_path) as it:
        await it.fill(10)
        lease = await it.outbox.lease(NAME, limit=10, seconds=120)
        it.time.wall += shift
        applied = await it.outbox.settle(lease, dict.fromkeys((item.seq for item in lease.items), Delivered()))
        depth = await it.depth()
        assert applied + depth.ready + depth.leased == 10
        assert await it.missing() == 0


async def test_items_leased_before_a_step_are_let_go_and_not_given_up(engine, tmp_path):
    async with made(engine, tmp_path) as it:
        turned = asyncio.Event()

        async def prepare(items):
            if not turned.is_set():  # while customers are looked up
                turned.set()
                it.time.wall += 8 * DAY
            return await as_it_is(items)

        worker = Worker(
            it.outbox, it.meta, prepare, lambda *_: None, clock=it.time.clock, ticks=it.time.ticks, lease_limit=1000
        )
        await it.fill(100)
        await worker.deliver_due()
        assert (await it.depth()).dead == 0
        it.time.wall -= 8 * DAY
        assert await it.deliver_all() == 100


@pytest.mark.parametrize("shift", SHIFTS)
async def test_new_events_are_delivered_whatever_the_clock_says(engine, tmp_path, shift):
    async with made(engine, tmp_path) as it:
        await it.fill(10)
        it.time.wall += shift
        await it.outbox.append([it.item("new")])
        await it.deliver_all()
        assert b"new" in it.meta.taken


@pytest.mark.parametrize("shift", [HOUR, -HOUR, -8 * DAY])
async def test_a_repeat_is_known_after_a_step(engine, tmp_path, shift):
    async with made(engine, tmp_path) as it:
        assert await it.outbox.append([it.item("a", b"k")]) == [Appended.ACCEPTED]
        it.time.wall += shift
        assert await it.outbox.append([it.item("a", b"k")]) == [Appended.DUPLICATE]


async def test_a_park_made_while_the_clock_was_ahead_ends_soon_after_it_was_put_right(engine, tmp_path):
    async with made(engine, tmp_path) as it:
        it.time.wall += 8 * DAY
        await it.worker.tidy()
        await it.outbox.park(NAME, PIXEL, until=it.time.wall + 60, reason="setup: 190")
        it.time.wall -= 8 * DAY
        await it.worker.tidy()
        (park,) = (await it.outbox.parks()).values()
        assert park.until <= it.time.wall + LONGEST_PARK
        assert park.reason == "setup: 190"


async def test_what_was_put_back_before_a_step_forward_comes_no_later(engine, tmp_path):
    async with made(engine, tmp_path) as it:
        await it.fill(1)
        lease = await it.outbox.lease(NAME, limit=1, seconds=120)
        await it.outbox.settle(lease, {lease.items[0].seq: Later(it.time.wall + 60, "HTTP 503")})
        it.time.wall += HOUR
        assert await it.deliver_all() == 1
