"""Kind `memory`: nothing is written anywhere, and all is lost with the process. For a first look and for tests.

Every lease looks through all that waits, which is fine for some ten thousand items.
"""

import asyncio
import heapq
import math
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Literal

from pixeltwin.delivery.outbox import (
    REMEMBERED,
    Appended,
    Delivered,
    Depth,
    Dropped,
    Item,
    Later,
    Lease,
    NewItem,
    Outbox,
    Outcome,
    Refused,
)
from pixeltwin.kinds import KindSettings


class Settings(KindSettings):
    kind: Literal["memory"]


async def open_outbox(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Outbox:
    return MemoryOutbox(clock)


@dataclass(slots=True, kw_only=True)
class Row:
    """An item that waits, and the lease it is or was under."""

    seq: int
    new: NewItem
    appended_at: float
    due: float
    held: bool
    attempts: int = 0
    token: str = ""
    ends_at: float = -math.inf

    def is_leased(self, now: float) -> bool:
        return self.ends_at > now

    def free_at(self, now: float) -> float:
        """When the row can be leased."""
        return self.ends_at if self.is_leased(now) else self.due

    def item(self) -> Item:
        return Item(
            seq=self.seq,
            pixel_id=self.new.pixel_id,
            payload=self.new.payload,
            attempts=self.attempts,
            appended_at=self.appended_at,
            held=self.held,
        )


class MemoryOutbox:
    """An outbox for one event loop."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._closed = False
        self._seqs = count(1)
        self._rows: dict[int, Row] = {}
        self._dead: Counter[tuple[str, str, bytes | None]] = Counter()  # by destination, pixel and subject
        self._seen: dict[tuple[str, str, bytes], float] = {}  # oldest first
        self._bells: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        self._check_open()
        now = self._clock()
        names = [(item.destination, item.pixel_id, item.key) for item in items]  # what is no item raises here
        self._forget(now)
        return [self._append(item, name, now) for item, name in zip(items, names, strict=True)]

    def _append(self, item: NewItem, name: tuple[str, str, bytes | None], now: float) -> Appended:
        destination, pixel_id, key = name
        if key is not None:
            if (destination, pixel_id, key) in self._seen:
                return Appended.DUPLICATE
            self._seen[destination, pixel_id, key] = now
        seq = next(self._seqs)
        held, due = (False, now) if item.hold_until is None else (True, item.hold_until)
        self._rows[seq] = Row(seq=seq, new=item, appended_at=now, due=due, held=held)
        self._bells[destination].set()
        return Appended.ACCEPTED

    def _forget(self, now: float) -> None:
        old = list(takewhile(lambda name: self._seen[name] <= now - REMEMBERED, self._seen))
        for name in old:
            del self._seen[name]

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        self._check_open()
        now = self._clock()
        token, ends_at = secrets.token_hex(16), now + seconds
        free = (row for row in self._of(destination) if row.free_at(now) <= now)
        rows = heapq.nsmallest(limit, free, key=lambda row: (row.due, row.seq))
        for row in rows:
            row.token, row.ends_at = token, ends_at
        return Lease(token=token, destination=destination, ends_at=ends_at, items=tuple(row.item() for row in rows))

    async def settle(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> int:
        self._check_open()
        ours = [row for item in lease.items if (row := self._rows.get(item.seq)) and row.token == lease.token]
        for row in ours:
            row.token, row.ends_at = "", -math.inf
        named = [row for row in ours if row.seq in outcomes]
        for row in named:
            self._settle(row, outcomes[row.seq])
        if any(row.seq in self._rows for row in ours):
            self._bells[lease.destination].set()
        return len(named)

    def _settle(self, row: Row, outcome: Outcome) -> None:
        match outcome:
            case Later(at):
                row.due = at
                row.attempts += 1
            case Refused():
                self._dead[row.new.destination, row.new.pixel_id, row.new.subject] += 1
                del self._rows[row.seq]
            case Delivered() | Dropped():
                del self._rows[row.seq]

    async def release(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        now = self._clock()
        rows = [row for row in self._about(pixel_id, subject, now) if row.held]
        for row in rows:
            row.held, row.due, row.token = False, now, ""
            self._bells[row.new.destination].set()
        return len(rows)

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        rows = self._about(pixel_id, subject, self._clock())
        for row in rows:
            del self._rows[row.seq]
        dead = [name for name in self._dead if name[1:] == (pixel_id, subject)]
        return len(rows) + sum(self._dead.pop(name) for name in dead)

    def _about(self, pixel_id: str, subject: bytes, now: float) -> list[Row]:
        """The rows of the pixel and subject that are under no lease."""
        rows = (row for row in self._rows.values() if (row.new.pixel_id, row.new.subject) == (pixel_id, subject))
        return [row for row in rows if not row.is_leased(now)]

    async def wait(self, destination: str, *, seconds: float) -> None:
        self._check_open()
        bell = self._bells[destination]
        bell.clear()
        now = self._clock()
        next_due = min((row.free_at(now) for row in self._of(destination)), default=math.inf)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(next_due - now, seconds)):
                await bell.wait()

    async def stats(self) -> Mapping[str, Depth]:
        self._check_open()
        waiting = {row.new.destination for row in self._rows.values()}
        dead = {destination for destination, _, _ in self._dead}
        return {destination: self._depth(destination) for destination in sorted(waiting | dead)}

    def _depth(self, destination: str) -> Depth:
        rows, now = self._of(destination), self._clock()
        leased = sum(row.is_leased(now) for row in rows)
        held = sum(row.held and not row.is_leased(now) for row in rows)
        return Depth(
            ready=len(rows) - leased - held,
            leased=leased,
            held=held,
            dead=sum(number for name, number in self._dead.items() if name[0] == destination),
            oldest_at=min((row.appended_at for row in rows if not row.held), default=None),
        )

    async def close(self) -> None:
        self._closed = True
        for bell in self._bells.values():
            bell.set()

    def _of(self, destination: str) -> list[Row]:
        return [row for row in self._rows.values() if row.new.destination == destination]

    def _check_open(self) -> None:
        if self._closed:
            raise OSError("the outbox in memory is closed")
