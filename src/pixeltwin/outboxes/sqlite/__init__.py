"""Kind `sqlite`: a file on this machine's disk. What `append` has accepted survives a kill and a power cut.

Items come due-time first, then in the order they were appended. The leases are in memory: after a crash everything
that was not settled is ready again.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pixeltwin.delivery.outbox import Appended, Depth, Lease, NewItem, Outbox, Outcome
from pixeltwin.kinds import KindSettings
from pixeltwin.outboxes.sqlite import sharing
from pixeltwin.outboxes.sqlite.store import Store
from pixeltwin.outboxes.sqlite.writer import Writer
from pixeltwin.sqlite_file import os_errors


class Settings(KindSettings):
    """`path` is relative to the config file. `full`: what is accepted was fsynced, together with all that waited."""

    kind: Literal["sqlite"] = "sqlite"
    path: Path = Path("data/outbox.db")
    durability: Literal["full"] = "full"


async def open_outbox(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Outbox:
    """Open the file, created where there is none. Raises OSError where it cannot be had, saying what to do."""
    path = (base / settings.path).resolve()
    return SqliteOutbox(await asyncio.to_thread(sharing.acquire, path), path, clock)


class SqliteOutbox:
    """One opener's view of the file; those of one process share its writer."""

    def __init__(self, writer: Writer, path: Path, clock: Callable[[], float]) -> None:
        self._writer = writer
        self._path = path
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._closed = False

    @property
    def commits(self) -> int:
        """Transactions written to the disk so far, by all who share the file."""
        return self._writer.commits

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        now = self._clock()
        return await self._do(lambda store: store.append(items, now))

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        now = self._clock()
        return await self._do(
            lambda store: store.lease(destination, limit=limit, seconds=seconds, holder=self._holder, now=now)
        )

    async def settle(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> int:
        now = self._clock()
        return await self._do(lambda store: store.settle(lease, outcomes, now))

    async def release(self, pixel_id: str, subject: bytes) -> int:
        now = self._clock()
        return await self._do(lambda store: store.release(pixel_id, subject, now))

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        now = self._clock()
        return await self._do(lambda store: store.purge(pixel_id, subject, now))

    async def wait(self, destination: str, *, seconds: float) -> None:
        self._check_open()
        with os_errors(self._path):
            await self._writer.wait(destination, seconds=seconds, now=self._clock())

    async def stats(self) -> Mapping[str, Depth]:
        now = self._clock()
        return await self._do(lambda store: store.stats(now))

    async def close(self) -> None:
        """Finish what was begun. What this opener still leases is ready for the others who share the file."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._writer.do(lambda store: store.let_go(self._holder))
        finally:
            await asyncio.to_thread(sharing.release, self._path)

    async def _do[T](self, work: Callable[[Store], T]) -> T:
        self._check_open()
        with os_errors(self._path):
            return await self._writer.do(work)

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(f"the outbox {self._path} is closed")
