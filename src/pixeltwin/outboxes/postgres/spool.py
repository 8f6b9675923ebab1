"""What the database did not take: an outbox of kind `sqlite` on this node's disk, moved over as soon as it can be.

Each item has an id of its own, which is remembered in the transaction that moves it until the spool has forgotten it.
So an item is moved once, whatever dies in between. Of a group that may have been stored after all, the session knows.
"""

import asyncio
import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import orjson

from pixeltwin.delivery.outbox import (
    Appended,
    Delivered,
    Depth,
    Item,
    Lease,
    NewItem,
    Outbox,
    Outcome,
    Refused,
    Tally,
)
from pixeltwin.outboxes import sqlite
from pixeltwin.outboxes.postgres.faults import BadItemError
from pixeltwin.outboxes.postgres.line import Group, store
from pixeltwin.outboxes.postgres.link import Connection, Link
from pixeltwin.outboxes.postgres.statements import BRING, BROUGHT, CLOSE_SESSIONS, COUNT, WISHES
from pixeltwin.telemetry import log

MOVED_AT_ONCE: Final = 500
LEASE_SECONDS: Final = 300.0  # longer than any transaction
PAUSE: Final = 1.0  # seconds until the next try

type Wishes = Mapping[tuple[str, bytes, str], float]  # when a browser's items were last released or purged


@dataclass(frozen=True, slots=True)
class Spooled:
    """An item in the spool: what it is to become, and what became of it already."""

    id: bytes
    new: NewItem
    appended_at: float
    group: Group | None

    @classmethod
    def read(cls, item: Item, destination: str) -> Self:
        head, _, payload = item.payload.partition(b"\n")
        written = orjson.loads(head)
        new = NewItem(
            destination=destination,
            pixel_id=item.pixel_id,
            key=_bytes(written["key"]),
            payload=payload,
            subject=_bytes(written["subject"]),
            hold_until=written["hold_until"],
            priority=item.priority,
            deadline=math.inf if written["deadline"] is None else written["deadline"],
        )
        group = written["group"]
        return cls(bytes.fromhex(written["id"]), new, item.appended_at, (group[0], group[1]) if group else None)

    def is_purged(self, wishes: Wishes) -> bool:
        return self.appended_at <= self._wished("purge", wishes)

    def granted(self, wishes: Wishes) -> NewItem:
        """The item to store, held no longer when it was released meanwhile."""
        is_released = self.appended_at <= self._wished("release", wishes)
        return self.new._replace(hold_until=None) if is_released else self.new

    def _wished(self, what: str, wishes: Wishes) -> float:
        subject = self.new.subject
        return -math.inf if subject is None else wishes.get((self.new.pixel_id, subject, what), -math.inf)


def spooled(new: NewItem, group: Group | None) -> NewItem:
    """An item for the spool. There it is never late nor held, that is decided where it goes; and a purge finds it."""
    head = {
        "id": secrets.token_hex(16),
        "key": _hex(new.key),
        "subject": _hex(new.subject),
        "hold_until": new.hold_until,
        "deadline": None if new.deadline == math.inf else new.deadline,
        "group": group,
    }
    return new._replace(payload=orjson.dumps(head) + b"\n" + new.payload, hold_until=None, deadline=math.inf)


class Spool:
    """The file, opened when it is needed, or when there is one already; `moved` hears where items have gone.

    `link` is for moving alone, and up as long as there is something to move: who leases does not wait for it.
    """

    def __init__(
        self,
        settings: sqlite.Settings,
        base: Path,
        link: Link,
        clock: Callable[[], float | None],
        *,
        shard: int,
        moved: Callable[[Iterable[str]], None],
    ) -> None:
        self._settings = settings
        self._base = base
        self._link = link
        self._clock = clock
        self._shard = shard
        self._moved = moved
        self._outbox: Outbox | None = None
        self._opening = asyncio.Lock()
        self._moving = asyncio.Lock()
        self._filled = asyncio.Event()
        self._is_used = False

    async def append(self, items: Sequence[NewItem], group: Group | None = None) -> list[Appended]:
        """Keep the items here; durable when it returns. Raises OSError."""
        self._is_used = True
        outbox = await self._open()
        answers = await outbox.append([spooled(item, group) for item in items])
        self._filled.set()
        return answers

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        """Delete what is here of a browser."""
        async with self._moving:
            return await self._outbox.purge(pixel_id, subject) if self._outbox else 0

    async def stats(self) -> Mapping[str, Depth]:
        return await self._outbox.stats() if self._outbox else {}

    async def tally(self) -> Mapping[str, Tally]:
        return await self._outbox.tally() if self._outbox else {}

    async def unaccounted(self) -> Mapping[str, int]:
        return await self._outbox.unaccounted() if self._outbox else {}

    async def close(self) -> None:
        await self._link.close()
        async with self._opening:
            outbox, self._outbox = self._outbox, None  # at once: nobody may ask one that closes
            if outbox:
                await outbox.close()

    async def drain(self) -> None:
        """Move what is here to the database whenever that can be reached, until cancelled."""
        if (self._base / self._settings.path).exists():
            await self._drain_what_was_left()
        while True:
            await self._filled.wait()
            self._filled.clear()
            await self._move_all()

    async def _drain_what_was_left(self) -> None:
        """Then let go of the file: a gateway beside this process may want it."""
        try:
            await self._open()
        except OSError as error:
            log.info("the outbox's spool is another process's", error=str(error))
            return
        await self._move_all()
        if not self._is_used:
            await self.close()

    async def _move_all(self) -> None:
        while True:
            try:
                if not await self._move_some():
                    return await self._link.close()
            except OSError:
                await asyncio.sleep(PAUSE)

    async def _open(self) -> Outbox:
        async with self._opening:
            if self._outbox is None:
                now = self._clock()
                given = {} if now is None else {"clock": self._clock}
                self._outbox = await sqlite.open_outbox(self._settings, base=self._base, may_repeat=True, **given)  # type: ignore[arg-type]
            return self._outbox

    async def _move_some(self) -> int:
        async with self._moving:
            outbox = await self._open()
            depths = await outbox.stats()
            waiting = [name for name, depth in depths.items() if depth.ready]
            return sum([await self._move(outbox, destination) for destination in waiting])

    async def _move(self, outbox: Outbox, destination: str) -> int:
        lease = await outbox.lease(destination, limit=MOVED_AT_ONCE, seconds=LEASE_SECONDS)
        outcomes: dict[int, Outcome] = {}
        try:
            outcomes = await self._bring(lease)
        finally:
            await outbox.settle(lease, outcomes)
        await self._link.run(lambda db: db.execute(BROUGHT, [one.id for one in _read(lease)]))
        self._moved([destination])
        return len(outcomes)

    async def _bring(self, lease: Lease) -> dict[int, Outcome]:
        """Store the items in the database; should one be bad, one by one, so that it alone stays here, as a letter."""
        try:
            await self._link.run(lambda db: self._store(db, _read(lease)))
        except BadItemError as error:
            if len(lease.items) == 1:
                return {lease.items[0].seq: Refused(str(error))}
            alone = [await self._bring(replace(lease, items=(item,))) for item in lease.items]
            return {seq: outcome for outcomes in alone for seq, outcome in outcomes.items()}
        return {item.seq: Delivered() for item in lease.items}

    async def _store(self, db: Connection, given: Sequence[Spooled]) -> None:
        now = self._clock()
        async with db.transaction():
            new = await _not_yet_there(db, given, now)
            wishes = await _wishes(db, new)
            purged = [one for one in new if one.is_purged(wishes)]
            staying = [one for one in new if not one.is_purged(wishes)]
            kept = await store(
                db,
                [one.granted(wishes) for one in staying],
                now=now,
                shard=self._shard,
                ats=[one.appended_at for one in staying],
            )
            repeats = [one for n, one in enumerate(staying, 1) if n not in set(kept)]
            ends = [(one.new.destination, "purged") for one in purged]
            ends += [(one.new.destination, "dropped") for one in repeats]
            happened = ends + [(destination, "accepted") for destination, _ in ends]
            await db.execute(COUNT, now, self._shard, *([row[n] for row in happened] for n in (0, 1)))


async def _not_yet_there(db: Connection, given: Sequence[Spooled], now: float | None) -> list[Spooled]:
    sessions = sorted({one.group[0] for one in given if one.group})
    last = {row["id"]: row["last_group"] for row in await db.fetch(CLOSE_SESSIONS, sessions)}
    ids = {row["id"] for row in await db.fetch(BRING, now, [one.id for one in given])}
    return [one for one in given if one.id in ids and not (one.group and last.get(one.group[0], 0) >= one.group[1])]


async def _wishes(db: Connection, given: Sequence[Spooled]) -> Wishes:
    names = [(one.new.pixel_id, one.new.subject) for one in given if one.new.subject is not None]
    rows = await db.fetch(WISHES, *([name[n] for name in names] for n in (0, 1)))
    return {(row["pixel_id"], row["subject"], row["what"]): row["at"] for row in rows}


def _read(lease: Lease) -> list[Spooled]:
    return [Spooled.read(item, lease.destination) for item in lease.items]


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
