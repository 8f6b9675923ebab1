"""Kind `memory`: nothing is written anywhere, and all is lost with the process. For a first look and for tests.

Every lease looks through all that waits, which is fine for some ten thousand items.
"""

import asyncio
import math
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, groupby, takewhile
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from pixeltwin.delivery.outbox import (
    DEADLINE_PASSED,
    KEEP_LETTERS,
    REMEMBERED,
    REPEATABLE,
    Appended,
    Delivered,
    Depth,
    Dropped,
    Expired,
    Item,
    Later,
    Lease,
    Letter,
    NewItem,
    Outbox,
    Outcome,
    Park,
    Refused,
    Tally,
    Waiting,
    misses,
)
from pixeltwin.delivery.shares import ends, in_turn, shares
from pixeltwin.delivery.shedding import FULL, Gauge, is_shed
from pixeltwin.kinds import KindSettings

PAGE: Final = 100  # letters or items
MAX_ITEMS: Final = 100_000  # some 300 MB


class Settings(KindSettings):
    """`max_items`: how many items and letters there is room for."""

    kind: Literal["memory"]
    max_items: Annotated[int, Field(gt=0)] = MAX_ITEMS


async def open_outbox(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Outbox:
    return MemoryOutbox(clock, settings.max_items)


@dataclass(slots=True, kw_only=True)
class Row:
    """An item that waits, and the lease it is or was under."""

    seq: int
    new: NewItem
    appended_at: float
    due: float
    held: bool
    deadline: float
    attempts: int = 0
    last_reason: str = ""
    token: str = ""
    began: float = -math.inf
    ends_at: float = -math.inf

    def is_leased(self, now: float) -> bool:
        return self.ends_at > now

    def is_late(self, now: float) -> bool:
        return self.deadline <= now

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
            priority=self.new.priority,
            deadline=self.deadline,
        )

    def waiting(self) -> Waiting:
        return Waiting(
            seq=self.seq,
            destination=self.new.destination,
            pixel_id=self.new.pixel_id,
            payload=self.new.payload,
            priority=self.new.priority,
            due=self.due,
            attempts=self.attempts,
            last_reason=self.last_reason,
            appended_at=self.appended_at,
            deadline=self.deadline,
            held=self.held,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A row that ended as a letter."""

    row: Row
    reason: str
    code: str
    at: float
    is_expired: bool

    def letter(self) -> Letter:
        return Letter(
            seq=self.row.seq,
            destination=self.row.new.destination,
            pixel_id=self.row.new.pixel_id,
            payload=self.row.new.payload,
            reason=self.reason,
            code=self.code,
            at=self.at,
            is_expired=self.is_expired,
            appended_at=self.row.appended_at,
            attempts=self.row.attempts,
            deadline=self.row.deadline,
        )


class MemoryOutbox:
    """An outbox for one event loop."""

    def __init__(self, clock: Callable[[], float], max_items: int = MAX_ITEMS) -> None:
        self._clock = clock
        self._max_items = max_items
        self._gauge = Gauge("memory")
        self._closed = False
        self._seqs = count(1)
        self._rows: dict[int, Row] = {}
        self._letters: dict[int, Ended] = {}
        self._seen: dict[tuple[str, str, bytes], float] = {}  # oldest first
        self._parks: dict[tuple[str, str], Park] = {}
        self._firsts: dict[str, str] = {}  # the pixel that began the last lease, by destination
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._bells: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]:
        """Done at once: whoever waits for it goes straight on."""
        done: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        done.set_result(self._append_all(items))
        return done

    def _append_all(self, items: Sequence[NewItem]) -> list[Appended]:
        self._check_open()
        now = self._clock()
        names = [(item.destination, item.pixel_id, item.key) for item in items]  # what is no item raises here
        self._forget(now)
        fill = self._fill()
        return [self._append(item, name, fill, now) for item, name in zip(items, names, strict=True)]

    def _append(self, item: NewItem, name: tuple[str, str, bytes | None], fill: float, now: float) -> Appended:
        destination, pixel_id, key = name
        if key is not None and (destination, pixel_id, key) in self._seen:
            return Appended.DUPLICATE
        if is_shed(item, fill):
            self._counts[destination]["shed"] += 1
            return Appended.SHED
        if key is not None:
            self._seen[destination, pixel_id, key] = now
        seq = next(self._seqs)
        held, due = (False, now) if item.hold_until is None else (True, item.hold_until)
        self._rows[seq] = Row(seq=seq, new=item, appended_at=now, due=due, held=held, deadline=item.deadline)
        self._counts[destination]["accepted"] += 1
        self._bells[destination].set()
        return Appended.ACCEPTED

    def _fill(self) -> float:
        fill = (len(self._rows) + len(self._letters)) / self._max_items
        self._gauge.show(fill)
        return fill

    def _forget(self, now: float) -> None:
        old = list(takewhile(lambda seen: seen[1] <= now - REMEMBERED, self._seen.items()))
        for name, _ in old:
            del self._seen[name]

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        self._check_open()
        now = self._clock()
        token, ends_at = secrets.token_hex(16), now + seconds
        self._doubt(now)
        rows = self._choose(destination, limit, now)
        for row in rows:
            row.token, row.began, row.ends_at = token, now, ends_at
        return Lease(token=token, destination=destination, ends_at=ends_at, items=tuple(row.item() for row in rows))

    def _doubt(self, now: float) -> None:
        """What is held by leases whose time ran out may have been sent."""
        for row in self._rows.values():
            if row.token and not row.is_leased(now):
                row.deadline = min(row.deadline, row.began + REPEATABLE)

    def _choose(self, destination: str, limit: int, now: float) -> list[Row]:
        free: defaultdict[str, list[Row]] = defaultdict(list)
        for row in sorted(self._of(destination), key=_order):
            if self._free_at(row, now) <= now:
                free[row.new.pixel_id].append(row)
        turns = in_turn(free, self._firsts.get(destination, ""))
        given = shares(limit, turns, lambda pixel_id, most: min(len(free[pixel_id]), most))
        if given:
            self._firsts[destination] = next(iter(given))
        return sorted((row for pixel, number in given.items() for row in _best(free[pixel], number)), key=_order)

    def _free_at(self, row: Row, now: float) -> float:
        """When the row can be leased, its pixel not parked; never once its deadline has passed."""
        park = self._parks.get((row.new.destination, row.new.pixel_id))
        return math.inf if row.is_late(now) else max(row.free_at(now), park.until if park else -math.inf)

    async def settle(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> int:
        self._check_open()
        self._doubt(self._clock())
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
            case Later():
                self._postpone(row, outcome)
            case Refused(reason, code):
                self._bury(row, "dead", reason, code)
            case Expired(reason):
                self._bury(row, "expired", reason)
            case Delivered():
                self._end(row, "delivered")
            case Dropped():
                self._end(row, "dropped")

    def _postpone(self, row: Row, later: Later) -> None:
        row.due, row.last_reason = later.at, later.reason
        row.attempts += later.counts
        if later.ambiguous:
            row.deadline = min(row.deadline, self._clock() + REPEATABLE)

    def _end(self, row: Row, what: str) -> None:
        del self._rows[row.seq]
        self._counts[row.new.destination][what] += 1

    def _bury(self, row: Row, what: str, reason: str, code: str = "") -> None:
        self._end(row, what)
        self._letters[row.seq] = Ended(
            row=row, reason=reason, code=code, at=self._clock(), is_expired=what == "expired"
        )

    async def release(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        now = self._clock()
        self._doubt(now)
        rows = [row for row in self._about(pixel_id, subject, now) if row.held]
        for row in rows:
            row.held, row.due, row.token = False, now, ""
            self._bells[row.new.destination].set()
        return len(rows)

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        rows = self._about(pixel_id, subject, self._clock())
        for row in rows:
            self._end(row, "purged")
        letters = [ended for ended in self._letters.values() if _is_about(ended.row, pixel_id, subject)]
        return len(rows) + self._discard(letters)

    async def withdraw(self, seqs: Collection[int]) -> int:
        self._check_open()
        now = self._clock()
        rows = [row for seq in set(seqs) if (row := self._rows.get(seq)) and not row.is_leased(now)]
        for row in rows:
            self._end(row, "purged")
        return len(rows)

    def _about(self, pixel_id: str, subject: bytes, now: float) -> list[Row]:
        """The rows of the pixel and subject that are under no lease."""
        rows = (row for row in self._rows.values() if _is_about(row, pixel_id, subject))
        return [row for row in rows if not row.is_leased(now)]

    async def expire(self, *, limit: int) -> int:
        self._check_open()
        now = self._clock()
        self._doubt(now)
        late = (row for row in self._rows.values() if row.is_late(now) and not row.is_leased(now))
        rows = sorted(late, key=lambda row: (row.deadline, row.seq))[:limit]
        for row in rows:
            self._bury(row, "expired", f"{DEADLINE_PASSED}: {row.last_reason}" if row.last_reason else DEADLINE_PASSED)
        old = sorted((one.at, one.row.seq) for one in self._letters.values() if one.at <= now - KEEP_LETTERS)
        self._discard([self._letters[seq] for _, seq in old[:limit]])
        return len(rows)

    async def park(self, destination: str, pixel_id: str, *, until: float, reason: str) -> None:
        self._check_open()
        self._parks[destination, pixel_id] = Park(until, reason)
        self._bells[destination].set()

    async def parks(self) -> Mapping[tuple[str, str], Park]:
        self._check_open()
        now = self._clock()
        self._parks = {name: park for name, park in self._parks.items() if park.until > now}
        return dict(self._parks)

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Letter]:
        self._check_open()
        rows = _page([ended.row for ended in self._letters.values()], destination, pixel_id, after, limit)
        return [self._letters[row.seq].letter() for row in rows]

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Waiting]:
        self._check_open()
        self._doubt(self._clock())
        return [row.waiting() for row in _page(self._rows.values(), destination, pixel_id, after, limit)]

    async def requeue(self, seqs: Collection[int]) -> int:
        self._check_open()
        now = self._clock()
        found = [ended for seq in set(seqs) if (ended := self._letters.get(seq)) and not ended.row.is_late(now)]
        for row in (ended.row for ended in found):
            del self._letters[row.seq]
            row.due, row.attempts, row.last_reason = now, 0, ""
            self._rows[row.seq] = row
            self._counts[row.new.destination]["requeued"] += 1
            self._bells[row.new.destination].set()
        return len(found)

    async def discard(self, seqs: Collection[int]) -> int:
        self._check_open()
        return self._discard([ended for seq in set(seqs) if (ended := self._letters.get(seq))])

    def _discard(self, letters: Collection[Ended]) -> int:
        for ended in letters:
            del self._letters[ended.row.seq]
            self._counts[ended.row.new.destination]["discarded"] += 1
        return len(letters)

    async def wait(self, destination: str, *, seconds: float) -> None:
        self._check_open()
        bell = self._bells[destination]
        bell.clear()
        now = self._clock()
        next_due = min((self._free_at(row, now) for row in self._of(destination)), default=math.inf)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(next_due - now, seconds)):
                await bell.wait()

    async def stats(self) -> Mapping[str, Depth]:
        self._check_open()
        waiting = {row.new.destination for row in self._rows.values()}
        dead = {ended.row.new.destination for ended in self._letters.values()}
        return {destination: self._depth(destination) for destination in sorted(waiting | dead)}

    def _depth(self, destination: str) -> Depth:
        rows, now = self._of(destination), self._clock()
        leased = sum(row.is_leased(now) for row in rows)
        held = sum(row.held and not row.is_leased(now) for row in rows)
        return Depth(
            ready=len(rows) - leased - held,
            leased=leased,
            held=held,
            dead=sum(ended.row.new.destination == destination for ended in self._letters.values()),
            oldest_at=min((row.appended_at for row in rows if not row.held), default=None),
        )

    async def tally(self) -> Mapping[str, Tally]:
        self._check_open()
        return {destination: Tally(**counts) for destination, counts in self._counts.items()}

    async def unaccounted(self) -> Mapping[str, int]:
        items = Counter(row.new.destination for row in self._rows.values())
        letters = Counter(ended.row.new.destination for ended in self._letters.values())
        return misses(await self.tally(), items, letters)

    def trouble(self) -> str | None:
        return "the outbox in memory is full" if self._fill() >= FULL else None

    async def close(self) -> None:
        self._closed = True
        for bell in self._bells.values():
            bell.set()

    def _of(self, destination: str) -> list[Row]:
        return [row for row in self._rows.values() if row.new.destination == destination]

    def _check_open(self) -> None:
        if self._closed:
            raise OSError("the outbox in memory is closed")


def _order(row: Row) -> tuple[int, float, int]:
    """Highest priority first, then oldest first."""
    return -row.new.priority, row.due, row.seq


def _best(free: Iterable[Row], number: int) -> list[Row]:
    """So many of one pixel's rows, which come in their order: of the last priority that has room, both ends."""
    best: list[Row] = []
    for _, group in groupby(free, key=lambda row: row.new.priority):
        rows, room = list(group), number - len(best)
        newest, oldest = ends(room) if len(rows) > room else (0, len(rows))
        best += rows[:oldest] + rows[len(rows) - newest :]
    return best


def _is_about(row: Row, pixel_id: str, subject: bytes) -> bool:
    return (row.new.pixel_id, row.new.subject) == (pixel_id, subject)


def _page(rows: Iterable[Row], destination: str | None, pixel_id: str | None, after: int, limit: int) -> list[Row]:
    found = (
        row
        for row in rows
        if row.seq > after and destination in (None, row.new.destination) and pixel_id in (None, row.new.pixel_id)
    )
    return sorted(found, key=lambda row: row.seq)[:limit]
