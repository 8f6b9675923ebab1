"""The worker: leases what is due, prepares it, has it sent, settles every item.

What one verdict makes of an item is decided in `flight.py`, who may be posted for in `lanes.py`.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Final

from pixeltwin.delivery.batches import Ready, groups, size_for
from pixeltwin.delivery.clocks import ClockGuard
from pixeltwin.delivery.destination import Destination
from pixeltwin.delivery.flight import TOO_LATE, Ends, is_late
from pixeltwin.delivery.lanes import NO_NAMES, Lanes
from pixeltwin.delivery.outbox import Dropped, Expired, Item, Later, Lease, Outbox, Outcome, Refused
from pixeltwin.delivery.sender import Sender
from pixeltwin.telemetry import log

__all__ = ["Ended", "Prepare", "Prepared", "Ready", "Report", "Worker"]

LEASE_SECONDS: Final = 120.0  # longer than most searches for bad events; what does not fit is let go
MAX_LEASES: Final = 4  # at a time, so that a slow pixel does not hold up the others
POLL_SECONDS: Final = 5.0
REST_AFTER_FAULT: Final = 1.0  # seconds; a fault of ours must not become a busy loop
REST_AFTER_NOTHING: Final = 0.05  # nor may a lease of which nothing could be tried
HOUSE_SECONDS: Final = 60.0  # between two looks at deadlines and parks
EXPIRE_LIMIT: Final = 1000  # items in one stroke: appends wait meanwhile
EXPIRE_ROUNDS: Final = 20
DEPTH_SECONDS: Final = 5.0  # counting a long backlog costs tens of milliseconds

type Prepared = Ready | Later | Refused | Dropped | Expired
type Prepare = Callable[[Sequence[Item]], Awaitable[Mapping[int, Prepared]]]
type Ended = tuple[Item, Outcome, str]
type Report = Callable[[Sequence[Ended]], None]


class Worker:
    """Delivers one destination's items until it is stopped.

    `prepare` turns a lease's items into bytes, or decides that they go later or nowhere. `report` hears how the items
    of a lease ended, each with the destination's answer. `linger` is how many seconds to wait for a batch to fill; a
    lease takes `lease_limit` items at most, for `lease_seconds`. `names` are the labels by which metrics know the
    pixels. `clock` tells unix seconds, `ticks` a steady time, `guard` holds the one against the other, `chance` is in
    [0, 1).
    """

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        prepare: Prepare,
        report: Report,
        *,
        linger: float = 0.0,
        lease_limit: int = 1000,
        lease_seconds: float = LEASE_SECONDS,
        names: Mapping[str, str] = NO_NAMES,
        guard: ClockGuard | None = None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._destination = destination
        self._prepare = prepare
        self._report = report
        self._linger = linger
        self._limit = lease_limit
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._ticks = ticks
        self._lanes = Lanes(destination, outbox, names, clock=clock, ticks=ticks)
        self._guard = guard or ClockGuard(clock, ticks)
        self._turned_back = self._guard.back
        self._sender = Sender(destination, self._lanes, self._guard, clock=clock, ticks=ticks, chance=chance)
        self._leases = asyncio.Semaphore(MAX_LEASES)
        self._stopping = asyncio.Event()
        self._is_full = False  # the last lease: more waits than it took
        self._backlog = 0
        self._counted_at = float("-inf")

    def stop(self) -> None:
        """Let `run` return once everything that is due has been tried."""
        self._stopping.set()

    def halt(self) -> None:
        """Let `run` return once the posts that are under way have ended: no other begins."""
        self._sender.halt()
        self.stop()

    def cut(self) -> None:
        """Let `run` return at once: posts under way are given up, and settled as those whose answer was lost."""
        self._sender.cut()
        self.stop()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_house())
            while not self._stopping.is_set():
                await self._rest()
                await self._leases.acquire()
                await self._begin(tasks)
        while not self._sender.is_halted and (lease := await self._safely_lease()):
            if not await self._safely_deliver(lease):
                return

    async def deliver_due(self) -> int:
        """Try once to deliver what is due; answers how many items were tried."""
        lease = await self._lease()
        return await self._deliver(lease) if lease else 0

    async def tidy(self) -> None:
        """Look once at the clock, the parks and the deadlines."""
        self._guard.look()
        if self._turned_back != self._guard.back:
            await self._lanes.shorten()
            self._turned_back = self._guard.back
        await self._lanes.refresh()
        await self._expire()

    async def _begin(self, tasks: asyncio.TaskGroup) -> None:
        """Deliver what is due while the next is leased; but while the host is asked by one event, wait for that."""
        lease = await self._safely_lease()
        if lease is None:
            self._leases.release()
            return
        delivering = tasks.create_task(self._safely_deliver(lease))
        delivering.add_done_callback(lambda _: self._leases.release())
        if not self._lanes.host.is_closed:
            await delivering

    async def _lease(self) -> Lease | None:
        """What is due; of a host that failed one event, once its rest is over."""
        if self._lanes.rest_seconds() > 0:
            return None
        limit = self._limit if self._lanes.host.is_closed else 1
        lease = await self._outbox.lease(self._destination.name, limit=limit, seconds=self._lease_seconds)
        self._is_full = len(lease.items) == self._limit
        return lease if lease.items else None

    async def _safely_lease(self) -> Lease | None:
        try:
            lease = await self._lease()
        except Exception:
            log.exception("nothing could be leased", destination=self._destination.name)
            await asyncio.sleep(REST_AFTER_FAULT)
            return None
        if lease is None:
            await asyncio.sleep(REST_AFTER_NOTHING)
        return lease

    async def _safely_deliver(self, lease: Lease) -> int:
        try:
            tried = await self._deliver(lease)
        except Exception:
            log.exception("delivery failed", destination=self._destination.name)
            await asyncio.sleep(REST_AFTER_FAULT)
            return 0
        if not tried:
            await asyncio.sleep(REST_AFTER_NOTHING)
        return tried

    async def _deliver(self, lease: Lease) -> int:
        """Send the lease's items and settle what ended, whatever stops us; what did not end is let go."""
        ends: Ends = {}
        try:
            await self._send(lease, ends)
        finally:
            await self._outbox.settle(lease, {seq: outcome for seq, (outcome, _) in ends.items()})
        self._guard.ended(seq for seq, (outcome, _) in ends.items() if not isinstance(outcome, Later))
        self._report([(item, *ends[item.seq]) for item in lease.items if item.seq in ends])
        return len(ends)

    async def _send(self, lease: Lease, ends: Ends) -> None:
        now = self._clock()
        fresh = [item for item in lease.items if not is_late(item, now)]
        if len(fresh) < len(lease.items) and self._guard.believes():
            ends.update((item.seq, (TOO_LATE, TOO_LATE.reason)) for item in lease.items if is_late(item, now))
        prepared = await self._prepare(fresh) if fresh else {}
        ends.update((seq, (made, made.reason)) for seq, made in prepared.items() if not isinstance(made, Ready))
        ready = [(item, made) for item in fresh if isinstance(made := prepared.get(item.seq), Ready)]
        size = size_for(await self._count_backlog(), self._destination.max_batch)
        sending = (self._sender.send(group, size, lease.ends_at, ends) for group in groups(ready))
        await asyncio.gather(*sending)

    async def _count_backlog(self) -> int:
        """About how many items wait; counted now and then, and only while leases are full."""
        if not self._is_full:
            return 0
        if self._ticks() - self._counted_at >= DEPTH_SECONDS:
            self._counted_at = self._ticks()
            depth = (await self._outbox.stats()).get(self._destination.name)
            self._backlog = depth.ready if depth else 0
        return self._backlog

    async def _rest(self) -> None:
        """Wait for work, then for more of it, but no longer than a stop allows."""
        await self._unless_stopped(self._wait_for_work())

    async def _wait_for_work(self) -> None:
        await asyncio.sleep(self._lanes.rest_seconds())
        await self._outbox.wait(self._destination.name, seconds=POLL_SECONDS)
        await asyncio.sleep(0.0 if self._is_full else self._linger)

    async def _unless_stopped(self, work: Coroutine[None, None, None]) -> None:
        """Wait for the work's end or a stop, whichever is first."""
        waiting = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(work)]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _keep_house(self) -> None:
        while not self._stopping.is_set():
            try:
                await self.tidy()
            except Exception:
                log.exception("deadlines and parks could not be looked at", destination=self._destination.name)
            await self._unless_stopped(asyncio.sleep(HOUSE_SECONDS))

    async def _expire(self) -> None:
        """Make letters of what is past its deadline, in strokes that hold up no append, and of no more than is sane."""
        depth = (await self._outbox.stats()).get(self._destination.name)
        ration = self._guard.ration(depth.ready + depth.held if depth else 0)
        left = EXPIRE_LIMIT * EXPIRE_ROUNDS if ration is None else ration
        while left:
            limit = min(left, EXPIRE_LIMIT)
            expired = await self._outbox.expire(limit=limit)
            if expired:
                log.warning("events were not delivered in time", expired=expired)
            left = left - expired if expired == limit else 0
