"""Sends what was leased and made ready, in batches, as many at a time as may be under way.

One bad event never sinks a batch, one bad pixel never another's, and nothing is sent past its deadline or its lease.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Final

from pixeltwin.delivery.batches import Batch, Size, cut
from pixeltwin.delivery.clocks import ClockGuard
from pixeltwin.delivery.destination import (
    Destination,
    Misconfigured,
    Rejected,
    Taken,
    Throttled,
    TooBig,
    TryAgain,
    Verdict,
)
from pixeltwin.delivery.flight import Ends, Flight
from pixeltwin.delivery.lanes import Lane, Lanes
from pixeltwin.delivery.search import Search
from pixeltwin.telemetry import (
    AMBIGUOUS,
    BATCH_SIZE,
    BISECT_POSTS,
    EVENT_DELAY,
    META_ERRORS,
    MISSING,
    REQUEST_SECONDS,
    log,
)

POST_SECONDS: Final = 15.0  # the longest that a post takes
PATIENCE: Final = 3.0  # seconds to wait for a free post; then the lease is given up, which others' items share
MOST_CODES: Final = 100  # pairs of code and subcode that metrics tell apart

OUTCOMES: Final[dict[type[Verdict], str]] = {
    Taken: "taken",
    TryAgain: "transient",
    Throttled: "throttle",
    Misconfigured: "setup",
    Rejected: "data",
    TooBig: "too_big",
}

# A look-up of labels takes longer than an observation; there are as many as destinations and outcomes.
_seconds: Final = cache(REQUEST_SECONDS.labels)
_batch_size: Final = cache(BATCH_SIZE.labels)
_delay: Final = cache(EVENT_DELAY.labels)


class Sender:
    """Sends one destination's batches. `chance` is in [0, 1)."""

    def __init__(
        self,
        destination: Destination,
        lanes: Lanes,
        guard: ClockGuard,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._destination = destination
        self._lanes = lanes
        self._guard = guard
        self._clock = clock
        self._ticks = ticks
        self._chance = chance
        self._slots = asyncio.Semaphore(destination.max_posts)
        self._posts: set[asyncio.Task[Verdict]] = set()
        self.is_halted = False
        self._codes: set[str] = set()

    def halt(self) -> None:
        """Begin no other post; what is not posted is let go."""
        self.is_halted = True

    def cut(self) -> None:
        """Give up the posts that are under way, too: their items end as those whose answer was lost."""
        self.halt()
        for post in self._posts:
            post.cancel()

    async def send(self, group: Batch, size: Size, ends_at: float, ends: Ends) -> None:
        """Send items of one pixel, test event code and token, and put into `ends` how they ended, as they do.

        No post begins that could last beyond `ends_at`. A pixel that was left alone is asked by one event first.
        """
        lane = self._lanes.of(group[0][0].pixel_id)
        if not lane.breaker.is_closed:
            probe = int(self._chance() * len(group))  # any of them: a bad one must not be asked every time
            await self._send_safely(group[probe : probe + 1], lane, ends_at, ends)
            group = group[:probe] + group[probe + 1 :]
        if lane.breaker.is_closed:
            batches = cut(group, replace(size, events=min(size.events, lane.largest)))
            await asyncio.gather(*(self._send_safely(batch, lane, ends_at, ends) for batch in batches))

    async def _send_safely(self, batch: Batch, lane: Lane, ends_at: float, ends: Ends) -> None:
        try:
            await self._send(self._flight(batch, lane, ends), ends_at)
        except Exception:
            log.exception("a batch could not be sent", destination=self._destination.name, pixel=lane.label)

    def _flight(self, batch: Batch, lane: Lane, ends: Ends) -> Flight:
        return Flight(
            search=Search(batch),
            guard=self._guard,
            lane=lane,
            lanes=self._lanes,
            ends=ends,
            began=self._ticks(),
            clock=self._clock,
            ticks=self._ticks,
            chance=self._chance,
        )

    async def _send(self, flight: Flight, ends_at: float) -> None:
        """Post until all is judged. What is not when the pixel, a free post or the lease is wanting is let go."""
        while part := flight.next_part():
            async with self._slot(flight.lane) as is_free:
                if not is_free or self.is_halted or self._clock() + POST_SECONDS > ends_at:
                    return
                fresh = flight.in_time(part)
                if fresh and not self._lanes.admits(flight.lane, len(fresh)):
                    return
                if not fresh:
                    continue
                verdict = await self._post(fresh, flight)
            if verdict is None:
                return
            self._measure(verdict, fresh, flight)
            if not await flight.follow(verdict, fresh):
                return

    @asynccontextmanager
    async def _slot(self, lane: Lane) -> AsyncIterator[bool]:
        """One of the posts that may be under way; False when none is free in time."""
        held: list[asyncio.Semaphore] = []
        try:
            yield await self._take(held, lane.slots, self._slots)
        finally:
            for slots in held:
                slots.release()

    @staticmethod
    async def _take(held: list[asyncio.Semaphore], *wanted: asyncio.Semaphore) -> bool:
        """Take one of each, patiently; what was taken is in `held`."""
        try:
            async with asyncio.timeout(PATIENCE if any(slots.locked() for slots in wanted) else None):
                for slots in wanted:
                    await slots.acquire()
                    held.append(slots)
        except TimeoutError:
            return False
        return True

    async def _post(self, batch: Batch, flight: Flight) -> Verdict | None:
        """The verdict; None when the post was cut off. One that did not come to its end may have arrived."""
        began = self._ticks()
        self._posts.add(post := asyncio.create_task(self._sent(batch, flight.lane)))
        verdict = None
        try:
            await asyncio.wait((post,))
            verdict = None if post.cancelled() else post.result()
        finally:
            self._posts.discard(post)
            post.cancel()  # if we were cancelled ourselves
            if verdict is None:
                AMBIGUOUS.labels(self._destination.name).inc(len(batch))
                flight.cut_off(batch, takes_repeats=self._destination.takes_repeats)
        if verdict is not None:
            _seconds(self._destination.name, OUTCOMES[type(verdict)]).observe(self._ticks() - began)
        return verdict

    async def _sent(self, batch: Batch, lane: Lane) -> Verdict:
        made = batch[0][1]
        return await self._destination.send(
            lane.pixel_id,
            [ready.payload for _, ready in batch],
            test_event_code=made.test_event_code,
            credential=made.credential,
        )

    def _measure(self, verdict: Verdict, batch: Batch, flight: Flight) -> None:
        name = self._destination.name
        _batch_size(name).observe(len(batch))
        if flight.search.posts > 1:
            BISECT_POSTS.labels(name).inc()
        match verdict:
            case Taken(missing=missing):
                self._measure_taken(batch, missing, flight.lane)
            case TryAgain(ambiguous=True):
                AMBIGUOUS.labels(name).inc(len(batch))
        if not isinstance(verdict, Taken) and verdict.code:
            META_ERRORS.labels(flight.lane.label, *self._label(verdict.code)).inc()

    def _measure_taken(self, batch: Batch, missing: int, lane: Lane) -> None:
        name, now = self._destination.name, self._clock()
        delay = _delay(name)
        for item, _ in batch:
            delay.observe(max(0.0, now - item.appended_at))
        if missing:
            MISSING.labels(name).inc(missing)
            log.warning("fewer events were counted than sent", pixel=lane.label, sent=len(batch), missing=missing)

    def _label(self, code: str) -> tuple[str, str]:
        """Code and subcode as labels, the first hundred pairs."""
        if len(self._codes) < MOST_CODES:
            self._codes.add(code)
        number, _, subcode = (code if code in self._codes else "other").partition("/")
        return number, subcode
