"""The one connection of a node for appends. It is never waited for: while it is down, items go to the spool.

Every connection is a session in the database and numbers its groups. Who is not told whether a group was stored asks
for the session's last number later, after closing the session, so that nothing can be stored belatedly.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from pixeltwin.delivery.outbox import NewItem
from pixeltwin.outboxes.postgres.faults import BadItemError, os_errors
from pixeltwin.outboxes.postgres.link import Connection, Connector, Pause, hang_up
from pixeltwin.outboxes.postgres.statements import APPEND, OPEN_SESSION
from pixeltwin.telemetry import log

IN_TIME: Final = 250  # items that have to be stored within the time-out; an append of more has more time

type Group = tuple[int, int]  # a session and the number of one of its groups

COLUMNS: Final = ("destination", "pixel_id", "key", "payload", "subject", "hold_until", "priority", "deadline")


class UnsureError(OSError):
    """Nobody knows whether the group was stored."""

    def __init__(self, group: Group, error: OSError) -> None:
        super().__init__(str(error) or "the outbox's database does not answer in time")
        self.group = group


class Line:
    """Stores groups of items while its connection is up, and makes a new one when it is not."""

    def __init__(self, connect: Connector, clock: Callable[[], float | None], *, shard: int, timeout: float) -> None:
        self._connect = connect
        self._clock = clock
        self._shard = shard
        self._timeout = timeout
        self._db: Connection | None = None
        self._session = 0
        self._number = 0
        self._lost = asyncio.Event()

    async def open(self) -> None:
        """Connect. Raises OSError."""
        db = await self._connect()
        with os_errors():
            self._session = await db.fetchval(OPEN_SESSION, self._clock())
        self._db, self._number = db, 0

    async def keep(self) -> None:
        """Connect again whenever the connection is lost, until cancelled."""
        while True:
            if self._db is not None:
                await self._lost.wait()
            self._lost.clear()
            await self._reopen()

    async def _reopen(self) -> None:
        pause = Pause()
        while self._db is None:
            try:
                await self.open()
            except OSError as error:
                pause.lengthen()
                log.warning("the outbox's database is out of reach", error=str(error) or type(error).__name__)
                await asyncio.sleep(pause.left)

    async def store(self, items: Sequence[NewItem]) -> list[bool]:
        """Which of the items are no duplicates; those are stored, durably.

        Raises UnsureError, BadItemError where the items are to blame, another OSError where nothing was stored.
        """
        if self._db is None or self._db.is_closed():
            self._drop()
            raise OSError("the outbox's database is out of reach")
        self._number += 1
        group = (self._session, self._number)
        firsts = _firsts(items)
        try:
            async with asyncio.timeout(self._timeout * max(1, len(items) / IN_TIME)):
                row = await store(
                    self._db, [items[n] for n in firsts], now=self._clock(), shard=self._shard, group=group
                )
        except BadItemError:
            raise
        except OSError as error:
            self._drop()
            raise UnsureError(group, error) from error
        kept = {firsts[n - 1] for n in row}
        return [n in kept for n in range(len(items))]

    def _drop(self) -> None:
        if self._db is not None:
            self._db.terminate()
        self._db = None
        self._lost.set()

    async def close(self) -> None:
        if self._db is not None:
            await hang_up(self._db)


async def store(
    db: Connection,
    items: Sequence[NewItem],
    *,
    now: float | None,
    shard: int,
    group: Group | None = None,
    ats: Sequence[float] | None = None,
) -> list[int]:
    """Store the items and answer which were kept, counted from 1; the others are duplicates. No key twice among them.

    `ats` is when they were appended, when not now.
    """
    session, number = group or (None, None)
    columns: list[Sequence[Any]] = [[getattr(item, name) for item in items] for name in COLUMNS]
    columns.append(ats or [now] * len(items))
    with os_errors():
        row = await db.fetchrow(APPEND, now, shard, session, number, *columns)
    if not row["is_open"]:
        raise OSError("the session was closed")
    return list(row["kept"])


def _firsts(items: Sequence[NewItem]) -> list[int]:
    """The positions of the items without those whose key came before."""
    names: dict[Any, int] = {}
    for n, item in enumerate(items):
        names.setdefault(n if item.key is None else (item.destination, item.pixel_id, item.key), n)
    return list(names.values())
