"""A stop: what is due goes out, no post begins late, and a post that is cut off may have arrived."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.delivery.bench import Bench, as_it_is, bench, until
from tests.delivery.scripted_meta import Post, took

from pixeltwin.delivery.destination import Taken, Verdict
from pixeltwin.delivery.outbox import REPEATABLE, Delivered, Later, NewItem, Outcome, Refused
from pixeltwin.delivery.worker import Ended, Worker
from pixeltwin.outboxes.memory import MemoryOutbox
from pixeltwin.telemetry import REGISTRY


class Hanging:
    """A destination whose posts end when the test lets them, or are cut off."""

    max_batch, max_posts, max_posts_of_a_pixel = 1, 2, 2

    def __init__(self, *, takes_repeats: bool) -> None:
        self.name, self.takes_repeats = "conversions_api", takes_repeats
        self.began: list[bytes] = []
        self.answer = asyncio.Event()

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        self.began.extend(payloads)
        await self.answer.wait()
        return Taken()

    async def close(self) -> None: ...


class Stopped:
    """A worker with two posts under way and a third item that waits for one of them."""

    def __init__(self, *, takes_repeats: bool = True) -> None:
        self.now = 1_795_000_000.0
        self.outbox = MemoryOutbox(lambda: self.now)
        self.meta = Hanging(takes_repeats=takes_repeats)
        self.ends: dict[bytes, Outcome] = {}
        self.worker = Worker(self.outbox, self.meta, as_it_is, self._report, clock=lambda: self.now)

    def _report(self, ended: Sequence[Ended]) -> None:
        self.ends.update((item.payload, outcome) for item, outcome, _ in ended)

    async def depth(self) -> tuple[int, int, int]:
        depth = (await self.outbox.stats()).get(self.meta.name)
        return (depth.ready, depth.leased, depth.dead) if depth else (0, 0, 0)


@asynccontextmanager
async def stopped(*, takes_repeats: bool = True) -> AsyncIterator[Stopped]:
    made = Stopped(takes_repeats=takes_repeats)
    await made.outbox.append(
        [NewItem(destination=made.meta.name, pixel_id="1", key=None, payload=b"%d" % n) for n in range(3)]
    )
    running = asyncio.create_task(made.worker.run())
    await until(lambda: len(made.meta.began) == 2)
    yield made
    await asyncio.wait_for(running, 5)


async def test_after_the_drain_time_no_post_begins_and_those_under_way_end_as_they_end():
    async with stopped() as made:
        made.worker.halt()
        made.meta.answer.set()
    assert made.meta.began == [b"0", b"1"]
    assert made.ends == {b"0": Delivered(), b"1": Delivered()}
    assert await made.depth() == (1, 0, 0)


async def test_a_post_that_is_cut_off_may_have_arrived():
    ambiguous = ("pixeltwin_ambiguous_total", {"destination": "conversions_api"})
    before = REGISTRY.get_sample_value(*ambiguous) or 0.0
    async with stopped() as made:
        made.worker.cut()
    assert set(made.ends) == {b"0", b"1"}
    assert all(isinstance(end, Later) and end.ambiguous for end in made.ends.values())
    assert await made.depth() == (3, 0, 0)
    assert REGISTRY.get_sample_value(*ambiguous) == before + 2
    deadlines = {one.payload: one.deadline for one in await made.outbox.waiting()}
    assert deadlines == {b"0": made.now + REPEATABLE, b"1": made.now + REPEATABLE, b"2": float("inf")}


async def test_a_copy_whose_post_is_cut_off_is_told_and_not_repeated_where_repeats_count_twice():
    async with stopped(takes_repeats=False) as made:
        made.worker.cut()
    assert all(isinstance(end, Refused) for end in made.ends.values())
    assert await made.depth() == (1, 0, 2)


async def test_a_cut_off_post_says_nothing_about_a_pixel():
    async with stopped() as made:
        made.worker.cut()
    assert await made.outbox.parks() == {}


async def test_a_stop_after_a_cut_changes_nothing():
    async with stopped() as made:
        made.worker.cut()
        made.worker.stop()
        made.worker.cut()
    assert await made.depth() == (3, 0, 0)


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_a_post_to_a_real_socket_is_cut_off_at_once(seconds):
    def slowly(post: Post):
        return replace(took(post), seconds=2.0)

    async with bench(answer=slowly) as made:
        await made.append("a", "b")
        running = asyncio.create_task(made.worker.run())
        await until(lambda: made.meta.at_once == 1)
        await asyncio.sleep(seconds)
        made.worker.cut()
        await asyncio.wait_for(running, 1.5)
        assert _ambiguous(made) == {"a", "b"}


def _ambiguous(made: Bench) -> set[str]:
    return {name for name, ends in made.ends.items() if isinstance(ends[-1], Later) and ends[-1].ambiguous}
