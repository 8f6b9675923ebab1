"""The outbox of one node: what its commands ask of the database, and what runs beside them."""

import asyncio
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pixeltwin.delivery.outbox import (
    Appended,
    Delivered,
    Depth,
    Dropped,
    Expired,
    Later,
    Lease,
    Letter,
    NewItem,
    Outcome,
    Park,
    Refused,
    Tally,
    Waiting,
    misses,
)
from pixeltwin.outboxes.postgres import Settings, statements
from pixeltwin.outboxes.postgres.appending import Appender
from pixeltwin.outboxes.postgres.bells import Bells
from pixeltwin.outboxes.postgres.crew import Crew
from pixeltwin.outboxes.postgres.faults import BadItemError, UnwelcomeError
from pixeltwin.outboxes.postgres.house import House
from pixeltwin.outboxes.postgres.leasing import PAUSES, SURVEY, TAKE, is_enough, items, owner_of, share_out
from pixeltwin.outboxes.postgres.line import Line
from pixeltwin.outboxes.postgres.link import Connection, Connector, Link
from pixeltwin.outboxes.postgres.spool import Spool
from pixeltwin.telemetry import log

POLL: Final = 1.0  # seconds; a notification may get lost
SETTLE_AGAIN: Final = 0.5  # seconds
GOODBYE: Final = 5.0  # seconds; leases that cannot be given back end by themselves
SHARDS: Final = 16
PAGE: Final = 100  # letters or items

WORDS: Final[Mapping[type[Outcome], str]] = {
    Delivered: "delivered",
    Dropped: "dropped",
    Refused: "dead",
    Expired: "expired",
    Later: "later",
}


class PostgresOutbox:
    """One node's view of the outbox that all nodes share. `clock` is a test's; None: the database's."""

    def __init__(self, settings: Settings, base: Path, clock: Callable[[], float] | None) -> None:
        self._now: Callable[[], float | None] = clock or (lambda: None)
        self._keep_letters = settings.keep_letters
        self._name = secrets.token_hex(8)
        self._shard = secrets.randbelow(SHARDS)
        self._firsts: defaultdict[str, str] = defaultdict(str)  # the pixel that began the last lease, by destination
        connect = Connector(settings.url.get_secret_value(), settings.schema_)
        self._link = Link(connect)
        self._bells = Bells(self._link, f"pixeltwin_{settings.schema_}")
        self._crew = Crew(self._link, self._now, self._name)
        self._aside = Link(connect)
        self._house = House(self._aside, self._now)
        self._line = Line(connect, self._now, shard=self._shard, timeout=settings.append_timeout)
        self._spool = Spool(settings.spool, base, Link(connect), self._now, shard=self._shard, moved=self._bells.ring)
        self._appender = Appender(self._line, self._spool, self._bells.ring)
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    async def start(self) -> None:
        """Begin, with the database or without it. Raises OSError where it turns us away."""
        try:
            await self._line.open()
        except UnwelcomeError:
            raise
        except OSError as error:
            log.warning("the outbox begins without its database", error=str(error) or type(error).__name__)
        beside = (self._line.keep(), self._spool.drain(), self._bells.tell(), self._crew.stay(), self._house.keep())
        self._tasks = [asyncio.create_task(work) for work in beside]

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        self._check_open()
        for item in items:
            _ = item.destination, item.pixel_id, item.key  # what is no item raises here, alone
        return await self._appender.append(items)

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        self._check_open()
        token, now = secrets.token_hex(16), self._now()
        free = await self._survey(destination, limit, now)
        parts = share_out(limit, free, self._firsts[destination])
        if not parts:
            return Lease(token=token, destination=destination, ends_at=now or time.time(), items=())
        self._firsts[destination] = parts[0].pixel_id
        columns = [[getattr(part, name) for part in parts] for name in ("pixel_id", "priority", "newest", "oldest")]
        rows = await self._fetch(TAKE, now, destination, *columns, token, seconds, self._name)
        ends_at = rows[0]["ends_at"] if rows else now or time.time()
        return Lease(token=token, destination=destination, ends_at=ends_at, items=tuple(items(rows)))

    async def _survey(self, destination: str, limit: int, now: float | None) -> Mapping[str, Mapping[int, int]]:
        """How much is free of each of this worker's pixels and priorities, counted no further than is of use."""
        workers = await self._crew.members(destination)
        free: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for most in (None, limit + 1):
            rows = await self._fetch(SURVEY, now, destination, self._name, most, limit)
            for row in rows:
                if owner_of(row["pixel_id"], workers) == self._name:
                    free[row["pixel_id"]][row["priority"]] = row["free"]
            if not rows or is_enough(limit, rows[0]["most"], free):
                break
        return free

    async def settle(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> int:
        self._check_open()
        seqs = [item.seq for item in lease.items]
        given = [(seq, outcomes[seq]) for seq in seqs if seq in outcomes]
        let_go = [seq for seq in seqs if seq not in outcomes]
        columns = [list(column) for column in zip(*(_outcome_row(*one) for one in given), strict=True)] or [[]] * 7
        (row,) = await self._insist(lease, statements.SETTLE, self._shard, lease.token, *columns, let_go)
        if let_go or any(isinstance(outcome, Later) for _, outcome in given):
            self._bells.ring([lease.destination])
        return int(row[0])

    async def release(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        return self._rang(await self._fetch(statements.RELEASE, self._now(), pixel_id, subject))

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        self._check_open()
        spooled = await self._spool.purge(pixel_id, subject)
        (row,) = await self._fetch(statements.PURGE, self._now(), self._shard, pixel_id, subject)
        return spooled + int(row[0])

    async def withdraw(self, seqs: Collection[int]) -> int:
        self._check_open()
        (row,) = await self._fetch(statements.WITHDRAW, self._now(), self._shard, _known(seqs))
        return int(row[0])

    async def expire(self, *, limit: int) -> int:
        self._check_open()
        await self._fetch(statements.GIVE_UP, self._now())
        (row,) = await self._fetch(statements.EXPIRE, self._now(), self._shard, limit, self._keep_letters)
        return int(row[0])

    async def park(self, destination: str, pixel_id: str, *, until: float, reason: str) -> None:
        self._check_open()
        await self._fetch(statements.PARK, self._now(), destination, pixel_id, until, _text(reason))
        self._bells.ring([destination])

    async def parks(self) -> Mapping[tuple[str, str], Park]:
        self._check_open()
        rows = await self._fetch(statements.PARKS, self._now())
        return {(row["destination"], row["pixel_id"]): Park(row["until"], row["reason"]) for row in rows}

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Letter]:
        self._check_open()
        return [
            Letter(**row)
            for row in await self._fetch(statements.LETTERS, self._now(), destination, pixel_id, after, limit)
        ]

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Waiting]:
        self._check_open()
        return [
            Waiting(**row)
            for row in await self._fetch(statements.WAITING, self._now(), destination, pixel_id, after, limit)
        ]

    async def requeue(self, seqs: Collection[int]) -> int:
        self._check_open()
        return self._rang(await self._fetch(statements.REQUEUE, self._now(), self._shard, _known(seqs)))

    async def discard(self, seqs: Collection[int]) -> int:
        self._check_open()
        (row,) = await self._fetch(statements.DISCARD, self._now(), self._shard, _known(seqs))
        return int(row[0])

    async def wait(self, destination: str, *, seconds: float) -> None:
        self._check_open()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._closed:
            rang = self._bells.of(destination).event
            pause = await self._pause(destination)
            if pause <= 0 or await _happens(rang, min(pause, left, POLL)):
                return

    async def _pause(self, destination: str) -> float:
        """How long until something is free for this worker; while nobody can tell, a while."""
        try:
            workers = await self._crew.members(destination)
            rows = await self._fetch(PAUSES, self._now(), destination, self._name)
        except OSError:
            return POLL
        mine = (row["pause"] for row in rows if owner_of(row["pixel_id"], workers) == self._name)
        return min(mine, default=math.inf)

    async def stats(self) -> Mapping[str, Depth]:
        """The spool's items are ready, as far as anybody knows by now."""
        self._check_open()
        rows = await self._aside.run(lambda db: db.fetch(statements.DEPTHS, self._now()))
        spooled = await self._spool.stats()
        depths = {row["destination"]: _depth(row) for row in rows}
        names = sorted(depths.keys() | spooled.keys())
        return {name: _together(depths.get(name, Depth()), spooled.get(name, Depth())) for name in names}

    async def tally(self) -> Mapping[str, Tally]:
        """Of all nodes, and of what this node's spool has not moved to the database yet."""
        self._check_open()
        tallies = _tallies(await self._fetch(statements.TALLY))
        for name, spooled in (await self._spool.tally()).items():
            tallies[name] = _sum(tallies.get(name, Tally()), spooled)
        return tallies

    async def unaccounted(self) -> Mapping[str, int]:
        """Of the database, and of this node's spool."""
        self._check_open()
        counts, items, letters = await self._aside.run(_books)
        missing = misses(_tallies(counts), dict(items), dict(letters))
        spooled = await self._spool.unaccounted()
        return {name: missing.get(name, 0) + spooled.get(name, 0) for name in sorted({*missing, *spooled})}

    def trouble(self) -> str | None:
        return None  # without its database there is the spool

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._appender.finish()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._bells.ring_all()
        await self._let_go()
        await self._spool.close()
        await self._line.close()
        await self._link.close()
        await self._aside.close()

    async def _let_go(self) -> None:
        """Give back what is still under lease, and tell the others."""
        with suppress(OSError):
            async with asyncio.timeout(GOODBYE):
                rows = await self._fetch(statements.LET_GO_ALL, self._now(), self._name)
                await self._bells.tell_at_once(row["destination"] for row in rows)

    async def _insist(self, lease: Lease, statement: str, *arguments: Any) -> Sequence[Any]:
        """Try for as long as the lease lasts: what was sent and is not settled is sent again."""
        while True:
            try:
                return await self._fetch(statement, self._now(), *arguments)
            except BadItemError:
                raise
            except OSError:
                if self._closed or (self._now() or time.time()) >= lease.ends_at:
                    raise
                await asyncio.sleep(SETTLE_AGAIN)

    async def _fetch(self, statement: str, *arguments: Any) -> Sequence[Any]:
        rows: Sequence[Any] = await self._link.run(lambda db: db.fetch(statement, *arguments))
        return rows

    def _rang(self, rows: Iterable[Any]) -> int:
        """How many items these rows count, after waking who waits for them."""
        counts = {row["destination"]: int(row["count"]) for row in rows}
        self._bells.ring(counts)
        return sum(counts.values())

    def _check_open(self) -> None:
        if self._closed:
            raise OSError("the outbox in PostgreSQL is closed")


def _outcome_row(seq: int, outcome: Outcome) -> tuple[Any, ...]:
    reason, code = _text(getattr(outcome, "reason", "")), _text(getattr(outcome, "code", ""))
    later = outcome if isinstance(outcome, Later) else Later(0.0, "")
    return seq, WORDS[type(outcome)], reason, code, later.at, later.ambiguous, int(later.counts)


def _text(text: str) -> str:
    """What PostgreSQL can store of a text that came from anywhere."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _known(seqs: Collection[int]) -> list[int]:
    """Those that can be a letter's at all."""
    return [seq for seq in set(seqs) if 0 < seq < 1 << 63]


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


async def _books(db: Connection) -> list[Sequence[Any]]:
    """The counts, and how many items and letters there are, of one moment."""
    async with db.transaction(isolation="repeatable_read", readonly=True):
        return [await db.fetch(one) for one in (statements.TALLY, statements.ITEMS, statements.LETTER_COUNT)]


def _tallies(rows: Iterable[Any]) -> dict[str, Tally]:
    counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        counts[row["destination"]][row["what"]] = row["number"]
    return {name: Tally(**theirs) for name, theirs in counts.items()}


def _depth(row: Any) -> Depth:
    ready = row["waiting"] - row["leased"] - row["held"]
    return Depth(ready=ready, leased=row["leased"], held=row["held"], dead=row["dead"], oldest_at=row["oldest_at"])


def _together(depth: Depth, spooled: Depth) -> Depth:
    ages = [one.oldest_at for one in (depth, spooled) if one.oldest_at is not None]
    return Depth(
        ready=depth.ready + spooled.ready + spooled.leased + spooled.held,
        leased=depth.leased,
        held=depth.held,
        dead=depth.dead + spooled.dead,
        oldest_at=min(ages, default=None),
    )


def _sum(tally: Tally, spooled: Tally) -> Tally:
    """What the spool has delivered, it has delivered to the database, where it was accepted."""
    counts = asdict(spooled) | {"accepted": spooled.accepted - spooled.delivered, "delivered": 0}
    return Tally(**{what: number + counts[what] for what, number in asdict(tally).items()})
