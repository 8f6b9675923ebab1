"""A connection that is made again when it is lost. Whatever goes wrong with it is an OSError."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]  # it has no types

from pixeltwin.outboxes.postgres.faults import BadItemError, DatabaseError, LostError, os_errors
from pixeltwin.outboxes.postgres.marks import NAME
from pixeltwin.outboxes.postgres.schema import prepare

CONNECT_SECONDS: Final = 5.0
COMMAND_SECONDS: Final = 30.0  # what takes longer than this waits for a server that is not there
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between attempts to connect

OPTIONS: Final = {
    "application_name": NAME,
    "synchronous_commit": "on",
    "default_transaction_isolation": "read committed",  # statements look again at rows they had to wait for
    "idle_in_transaction_session_timeout": "30s",  # a frozen node must not hold on to rows
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    # What is known about how many rows a queue has is always wrong, and every question has its index.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",  # a plan for one item is no plan for a thousand
}

type Connection = Any  # asyncpg's


class Connector:
    """Makes connections to one schema of a database, which has its tables when the first of them is handed out."""

    def __init__(self, url: str, schema: str) -> None:
        self._url = url
        self._schema = schema
        self._prepared = False

    async def __call__(self) -> Connection:
        with os_errors():
            db = await asyncpg.connect(
                self._url,
                timeout=CONNECT_SECONDS,
                command_timeout=COMMAND_SECONDS,
                target_session_attrs="read-write",  # after a failover, not the server that was the primary
                server_settings={**OPTIONS, "search_path": f'"{self._schema}"'},
            )
            try:
                await self._prepare(db)
            except BaseException:
                db.terminate()
                raise
            return db

    async def _prepare(self, db: Connection) -> None:
        if not self._prepared:
            await prepare(db, self._schema)
            self._prepared = True


class Link:
    """Work for one connection, one piece after the other."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._db: Connection | None = None
        self._lock = asyncio.Lock()
        self._pause = Pause()
        self.listeners: dict[str, Callable[..., None]] = {}

    async def run[T](self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """The result of the work, done once more when the connection was lost or a deadlock resolved meanwhile.

        So it may be done twice: work has to bear that. Raises OSError.
        """
        async with self._lock:
            try:
                return await self._attempt(work)
            except LostError:
                return await self._attempt(work)

    async def close(self) -> None:
        """Hang up, until the next piece of work."""
        async with self._lock:
            if self._db:
                await hang_up(self._db)
            self._db = None

    async def _attempt[T](self, work: Callable[[Connection], Awaitable[T]]) -> T:
        db = await self._connected()
        try:
            with os_errors():
                return await work(db)
        except BadItemError:
            raise
        except OSError:
            db.terminate()  # late, read-only since a failover, or gone: a new one will do better
            raise

    async def _connected(self) -> Connection:
        if self._db is None or self._db.is_closed():
            self._pause.check()
            self._db = None
            try:
                self._db = await self._connect()
                await self._listen(self._db)
            except OSError:
                self._pause.lengthen()
                raise
            self._pause = Pause()
        return self._db

    async def _listen(self, db: Connection) -> None:
        with os_errors():
            for channel, hear in self.listeners.items():
                await db.add_listener(channel, hear)


class Pause:
    """How long to leave a server alone that could not be reached: longer each time, and never the same for all."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE
        self._until = 0.0

    @property
    def left(self) -> float:
        return max(0.0, self._until - time.monotonic())

    def check(self) -> None:
        if self.left:
            raise DatabaseError("the outbox's database could not be reached a moment ago")

    def lengthen(self) -> None:
        self._until = time.monotonic() + self._seconds * random.uniform(0.5, 1.0)  # noqa: S311 jitter
        self._seconds = min(self._seconds * 2, LONGEST_PAUSE)


async def hang_up(db: Connection) -> None:
    """Close the connection, politely if the server still listens."""
    try:
        with suppress(OSError), os_errors():
            await db.close(timeout=1.0)
    finally:
        db.terminate()
