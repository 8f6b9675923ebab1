"""The worker: leases what is due, prepares it, sends it in batches of one pixel, settles every item.

One bad event never sinks a batch: a batch that is rejected is halved until the bad one stands alone.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, groupby
from typing import Final

from pixeltwin.delivery.backoff import retry_at
from pixeltwin.delivery.destination import Destination, Rejected, Taken, TryAgain
from pixeltwin.delivery.outbox import Delivered, Dropped, Item, Later, Lease, Outbox, Outcome, Refused
from pixeltwin.telemetry import log

LEASE_SECONDS: Final = 120.0  # longer than the longest attempt: ten halvings of a batch, 10 s each
POLL_SECONDS: Final = 5.0
REST_AFTER_FAULT: Final = 1.0  # seconds; a fault of ours must not become a busy loop


@dataclass(frozen=True, slots=True)
class Ready:
    """An item made ready: the bytes to send. Only items of one test event code travel together; empty: none.

    `credential` names whose token they travel with, empty for the pixel's own; they do not mix either.
    """

    payload: bytes
    test_event_code: str = ""
    credential: str = ""


type Batch = tuple[tuple[Item, Ready], ...]
type Prepared = Ready | Later | Refused | Dropped
type Prepare = Callable[[Sequence[Item]], Awaitable[Mapping[int, Prepared]]]
type Report = Callable[[Item, Outcome, str], None]


class Worker:
    """Delivers one destination's items until it is stopped.

    `prepare` turns a lease's items into bytes, or decides that they go later or nowhere. `report` hears how each
    item ended, with the destination's answer. `linger` is how many seconds to wait for a batch to fill.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outbox = outbox
        self._destination = destination
        self._prepare = prepare
        self._report = report
        self._linger = linger
        self._limit = lease_limit
        self._clock = clock
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let `run` return once everything that is due has been tried."""
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            await self._rest()
            await self._safely_deliver()
        while await self._safely_deliver():
            pass

    async def deliver_due(self) -> int:
        """Try once to deliver what is due; answers how many items were tried."""
        lease = await self._outbox.lease(self._destination.name, limit=self._limit, seconds=LEASE_SECONDS)
        if lease.items:
            await self._deliver_or_release(lease)
        return len(lease.items)

    async def _deliver_or_release(self, lease: Lease) -> None:
        try:
            await self._deliver(lease)
        except Exception:
            await self._outbox.settle(lease, {})
            raise

    async def _safely_deliver(self) -> int:
        try:
            return await self.deliver_due()
        except Exception:
            log.exception("delivery failed", destination=self._destination.name)
            await asyncio.sleep(REST_AFTER_FAULT)
            return 0

    async def _rest(self) -> None:
        """Wait for work, then for more of it, but no longer than a stop allows."""
        stopping = asyncio.create_task(self._stopping.wait())
        work = asyncio.create_task(self._wait_for_work())
        await asyncio.wait((stopping, work), return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, work):
            task.cancel()
        await asyncio.gather(stopping, work, return_exceptions=True)

    async def _wait_for_work(self) -> None:
        await self._outbox.wait(self._destination.name, seconds=POLL_SECONDS)
        await asyncio.sleep(self._linger)

    async def _deliver(self, lease: Lease) -> None:
        prepared = await self._prepare(lease.items)
        ends: dict[int, tuple[Outcome, str]] = {
            seq: (outcome, outcome.reason) for seq, outcome in prepared.items() if not isinstance(outcome, Ready)
        }
        ready = [(item, made) for item in lease.items if isinstance(made := prepared.get(item.seq), Ready)]
        batches = _batches(ready, self._destination.max_batch)
        for sent in await asyncio.gather(*(self._send(batch) for batch in batches)):
            ends |= sent
        await self._outbox.settle(lease, {seq: outcome for seq, (outcome, _) in ends.items()})
        for item in lease.items:
            if item.seq in ends:
                self._report(item, *ends[item.seq])

    async def _send(self, batch: Batch) -> dict[int, tuple[Outcome, str]]:
        first, made = batch[0]
        payloads = [ready.payload for _, ready in batch]
        verdict = await self._destination.send(
            first.pixel_id, payloads, test_event_code=made.test_event_code, credential=made.credential
        )
        match verdict:
            case Taken(answer):
                return {item.seq: (Delivered(), answer) for item, _ in batch}
            case TryAgain(reason, after):
                return {item.seq: (self._later(item, reason, after), reason) for item, _ in batch}
            case Rejected(reason) if len(batch) == 1:
                return {first.seq: (Refused(reason), reason)}
            case Rejected():
                middle = len(batch) // 2
                return await self._send(batch[:middle]) | await self._send(batch[middle:])

    def _later(self, item: Item, reason: str, after: float | None) -> Later:
        return Later(retry_at(self._clock(), item.attempts, after, random.random()), reason)  # noqa: S311 jitter


def _batches(ready: Iterable[tuple[Item, Ready]], size: int) -> Iterator[Batch]:
    """The items by pixel, test event code and token, never two of them in a batch, never more than `size`."""

    def kind(one: tuple[Item, Ready]) -> tuple[str, str, str]:
        return one[0].pixel_id, one[1].test_event_code, one[1].credential

    for _, group in groupby(sorted(ready, key=kind), key=kind):
        yield from batched(group, size)
