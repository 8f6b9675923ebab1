"""A worker between an outbox on disk and the oracle's Meta, over real sockets, with a clock that tests turn."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from tests.reliability.meta import API, OracleMeta
from tests.reliability.oracle import PIXELS, Hit, Oracle, Verdict

from pixeltwin.delivery.outbox import Item, NewItem, Outbox, Outcome
from pixeltwin.delivery.worker import Prepared, Ready, Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.gateway.items import MARGIN
from pixeltwin.outboxes import sqlite

NOW: Final = 1_795_461_800.0
DAY: Final = 24 * 3600.0
STEPS: Final = (1.0, 300.0)  # seconds that pass while nothing is due, twice as many each time


class Clock:
    """`now` is the machine's time of day, `ticks` its steady one and `true` Meta's time, which no jump touches."""

    def __init__(self) -> None:
        self.now = NOW
        self.steady = 0.0

    def __call__(self) -> float:
        return self.now

    def ticks(self) -> float:
        return self.steady

    def true(self) -> float:
        return NOW + self.steady

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds


async def as_it_is(items: Sequence[Item]) -> dict[int, Prepared]:
    return {item.seq: Ready(item.payload) for item in items}


class Line:
    """`token` is read at every post. `graph` may be another's address from the next `restart` on."""

    def __init__(self, outbox: Outbox, meta: OracleMeta, clock: Clock, **options: Any) -> None:
        self.outbox, self.meta, self.clock = outbox, meta, clock
        self.oracle = Oracle(meta, clock)
        self.token, self.graph = "token", meta.url
        self.ends: dict[str, list[Outcome]] = {}
        self._options = options
        self._apis: list[ConversionsApi] = []
        self.restart()

    def restart(self) -> None:
        """Another worker, which knows nothing but what the outbox says."""
        api = ConversionsApi(
            self.graph,
            "v26.0",
            dict.fromkeys(PIXELS, lambda: self.token),
            clock=self.clock,
            timeout=httpx.Timeout(0.3, connect=3.0),
            longest=1.0,
        )
        self._apis.append(api)
        times: dict[str, Callable[[], float]] = {"clock": self.clock, "ticks": self.clock.ticks}
        self.worker = Worker(
            self.outbox, api, as_it_is, lambda *end: None, chance=lambda: 0.5, **times, **self._options
        )

    async def append(self, number: int, pixel_id: str | None = None) -> list[Hit]:
        """So many events, answered once they are durable."""
        hits = [self.oracle.issue(pixel_id) for _ in range(number)]
        await self.outbox.append([self._item(hit) for hit in hits])
        for hit in hits:
            self.oracle.answer(hit)
        return hits

    def _item(self, hit: Hit) -> NewItem:
        return NewItem(
            destination=API,
            pixel_id=hit.pixel_id,
            key=hit.event_id.encode(),
            payload=hit.as_event(),
            priority=int(hit.event_name == "Purchase"),
            deadline=hit.at + 7 * DAY - MARGIN,
        )

    async def run(self, seconds: float) -> int:
        """Let time pass and the worker work; answers how many posts it made."""
        before, end = len(self.meta.posts), self.clock.steady + seconds
        step, longest = STEPS
        while self.clock.steady < end:
            if await self.worker.deliver_due():
                step = STEPS[0]
                continue
            self.clock.pass_by(min(step, end - self.clock.steady))
            step = min(longest, 2 * step)
            await self.outbox.expire(limit=1000)
        return len(self.meta.posts) - before

    async def drain(self, seconds: float = DAY) -> None:
        """Work until nothing waits."""
        end = self.clock.steady + seconds
        while self.clock.steady < end and await self.waiting():
            await self.run(60.0)

    async def waiting(self) -> int:
        depth = (await self.outbox.stats()).get(API)
        return depth.ready + depth.leased + depth.held if depth else 0

    async def judge(self) -> Verdict:
        """After a fresh event, which must pass like those before."""
        (fresh,) = await self.append(1)
        await self.drain()
        verdict = await self.oracle.judge(self.outbox, drained=True)
        if fresh.event_id not in self.meta.ids():
            verdict.complain("a fresh event did not pass", fresh)
        return verdict

    async def close(self) -> None:
        for api in self._apis:
            await api.close()


@asynccontextmanager
async def line(folder: Path, **options: Any) -> AsyncIterator[Line]:
    clock = Clock()
    outbox = await sqlite.open_outbox(
        sqlite.Settings(path=Path("outbox.db"), keep_letters="365d"), base=folder, clock=clock
    )
    async with OracleMeta(clock.true).serving() as meta:
        made = Line(outbox, meta, clock, **options)
        try:
            yield made
        finally:
            await made.close()
            await outbox.close()
