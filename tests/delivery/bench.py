"""A worker between an outbox in memory and a scripted Meta, with a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from tests.delivery.scripted_meta import Answer, Post, ScriptedMeta, took

from pixeltwin.delivery.outbox import Item, NewItem, Outcome
from pixeltwin.delivery.worker import Ended, Prepared, Ready, Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.outboxes.memory import MemoryOutbox

PIXEL, OTHER = "1234567890", "2345678901"


class Clock:
    """Stands still until it is turned; long past the beginning of both of its uses."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


def event(name: str, **fields: Any) -> bytes:
    return orjson.dumps({"event_name": "Lead", "event_id": name, **fields})


async def as_it_is(items: Sequence[Item]) -> dict[int, Prepared]:
    return {item.seq: Ready(item.payload) for item in items}


class Bench:
    """`ends` are the outcomes so far, by event id, the latest last; `tokens` may be changed at any time."""

    name = "conversions_api"

    def __init__(self, meta: ScriptedMeta, **options: Any) -> None:
        self.meta = meta
        self.clock = Clock()
        self.outbox = MemoryOutbox(self.clock)
        self.tokens = {PIXEL: "token", OTHER: "other-token"}
        self.api = ConversionsApi(
            options.pop("url", meta.url),
            "v26.0",
            {pixel: (lambda pixel=pixel: self.tokens[pixel]) for pixel in self.tokens},
            clock=self.clock,
            timeout=httpx.Timeout(options.pop("timeout", 5.0)),
        )
        self.ends: dict[str, list[Outcome]] = {}
        self.options = {"prepare": as_it_is, "chance": lambda: 0.0, **options}
        self.worker = self.another_worker()

    def another_worker(self) -> Worker:
        prepare = self.options["prepare"]
        rest = {name: value for name, value in self.options.items() if name != "prepare"}
        names = {PIXEL: "shop", OTHER: "blog"}
        return Worker(
            self.outbox, self.api, prepare, self._report, clock=self.clock, ticks=self.clock, names=names, **rest
        )

    def _report(self, ended: Sequence[Ended]) -> None:
        for item, outcome, _ in ended:
            self.ends.setdefault(orjson.loads(item.payload)["event_id"], []).append(outcome)

    async def append(self, *names: str, pixel_id: str = PIXEL, **fields: Any) -> None:
        await self.append_events([event(name, **fields) for name in names], pixel_id)

    async def append_events(self, payloads: Sequence[bytes], pixel_id: str = PIXEL, **options: Any) -> None:
        await self.outbox.append(
            [
                NewItem(destination=self.name, pixel_id=pixel_id, key=None, payload=payload, **options)
                for payload in payloads
            ]
        )

    async def deliver(self, seconds: float = 0.0) -> list[Post]:
        """Let time pass, then deliver what is due once; answers the posts that it took."""
        self.clock.now += seconds
        before = len(self.meta.posts)
        await self.worker.deliver_due()
        return self.meta.posts[before:]

    def last(self, name: str) -> Outcome:
        return self.ends[name][-1]

    def ended_as(self, kind: type) -> set[str]:
        return {name for name, ends in self.ends.items() if isinstance(ends[-1], kind)}

    async def parked(self) -> Mapping[str, tuple[float, str]]:
        """For how many seconds each pixel is parked, and why."""
        parks = await self.outbox.parks()
        return {pixel: (park.until - self.clock.now, park.reason) for (_, pixel), park in parks.items()}


@asynccontextmanager
async def bench(answer: Answer | Callable[[Post], Answer] = took, **options: Any) -> AsyncIterator[Bench]:
    async with ScriptedMeta(answer).serving() as meta:
        made = Bench(meta, **options)
        try:
            yield made
        finally:
            await made.api.close()


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 what a test looks at rings no bell
            await asyncio.sleep(0.01)
