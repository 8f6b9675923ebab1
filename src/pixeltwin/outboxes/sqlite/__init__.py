"""Kind `sqlite`: a file on this machine's disk. What `append` has accepted survives a kill and a power cut.

One thread writes, and what waits to be written shares a transaction. The leases are in memory: after a crash
everything that was not settled is ready again, and the disk tells what may have been sent. What is stored has a
checksum; an item that the disk has changed becomes a letter instead of an event.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pixeltwin.delivery.encryption import Encryption
from pixeltwin.delivery.outbox import (
    KEEP_LETTERS,
    Appended,
    Depth,
    Lease,
    Letter,
    NewItem,
    Outbox,
    Outcome,
    Park,
    Tally,
    Waiting,
)
from pixeltwin.kinds import KindSettings
from pixeltwin.outboxes.sqlite import sharing
from pixeltwin.outboxes.sqlite.space import KEEP_FREE, MAX_SIZE, Limits
from pixeltwin.outboxes.sqlite.store import Store
from pixeltwin.outboxes.sqlite.writer import Writer
from pixeltwin.units import Duration, Size

SYNCHRONOUS: Final = {"full": "full", "normal": "normal", "async": "off"}  # SQLite's word for each durability
PAGE: Final = 100  # letters or items


class Settings(KindSettings):
    """`path` is relative to the config file.

    `max_size`: how big the file may get, its log of some 64 MiB not counted, or half of what the disk has for it where
    that is less. When it fills up events are shed, page views first. An event that waits takes some 1.5 KB, and the key
    of one that was delivered 100 B for two to three days. `keep_free`: nothing is taken while less than that is free
    on the disk, or less than an eighth of it.

    `durability`: `full`, the default, has fsynced what is accepted, together with all that waited. `normal` leaves the
    fsync to SQLite's next checkpoint: a kill loses nothing, but a power cut or a crash of the system may take the last
    transactions (it did in 147 of 160 trials). `async` never waits for the disk: a power cut may take the whole file.

    `keep_letters`: for how long letters are kept. `encryption`: with which keys what is stored is encrypted.
    """

    kind: Literal["sqlite"] = "sqlite"
    path: Path = Path("data/outbox.db")
    durability: Literal["full", "normal", "async"] = "full"
    max_size: Size = MAX_SIZE
    keep_free: Size = KEEP_FREE
    keep_letters: Duration = KEEP_LETTERS
    encryption: Encryption | None = None


async def open_outbox(
    settings: Settings, *, base: Path, clock: Callable[[], float] = time.time, may_repeat: bool = False
) -> Outbox:
    """Open the file, created where there is none. Raises OSError where it cannot be had, saying what to do.

    Of those who share the file, the last one to open it says how durable and how big it is. One that is damaged is put
    aside, and what can be read of it salvaged. `may_repeat`: where the items go a repeat is known for ever, so that no
    deadline follows from a lease that was lost.
    """
    path = (base / settings.path).resolve()
    limits = Limits(settings.max_size, settings.keep_free)
    writer = await asyncio.to_thread(sharing.acquire, path, SYNCHRONOUS[settings.durability], limits)
    return SqliteOutbox(writer, path, clock, settings.keep_letters, may_repeat=may_repeat)


class SqliteOutbox:
    """One opener's view of the file; those of one process share its writer."""

    def __init__(
        self, writer: Writer, path: Path, clock: Callable[[], float], keep_letters: float, *, may_repeat: bool = False
    ) -> None:
        self._writer = writer
        self._keep_letters = keep_letters
        self._may_repeat = may_repeat
        self._path = path
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._closed = False

    @property
    def commits(self) -> int:
        """Transactions written to the disk so far, by all who share the file."""
        return self._writer.commits

    def append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]:
        self._check_open()
        return self._writer.append(items, self._clock())

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        now = self._clock()
        return await self._do(
            lambda store: store.lease(
                destination, limit=limit, seconds=seconds, holder=self._holder, may_repeat=self._may_repeat, now=now
            )
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

    async def expire(self, *, limit: int) -> int:
        now, keep = self._clock(), self._keep_letters
        return await self._do(lambda store: store.expire(limit=limit, keep_letters=keep, now=now))

    async def park(self, destination: str, pixel_id: str, *, until: float, reason: str) -> None:
        now = self._clock()
        await self._do(lambda store: store.park(destination, pixel_id, Park(until, reason), now))

    async def parks(self) -> Mapping[tuple[str, str], Park]:
        now = self._clock()
        return await self._do(lambda store: store.parks(now))

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Letter]:
        return await self._do(lambda store: store.letters(destination, pixel_id, after, limit))

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = PAGE
    ) -> list[Waiting]:
        now = self._clock()
        return await self._do(lambda store: store.waiting(destination, pixel_id, after, limit, now))

    async def withdraw(self, seqs: Collection[int]) -> int:
        now = self._clock()
        return await self._do(lambda store: store.withdraw(seqs, now))

    async def requeue(self, seqs: Collection[int]) -> int:
        now = self._clock()
        return await self._do(lambda store: store.requeue(seqs, now))

    async def discard(self, seqs: Collection[int]) -> int:
        return await self._do(lambda store: store.discard(seqs))

    async def wait(self, destination: str, *, seconds: float) -> None:
        self._check_open()
        await self._writer.wait(destination, seconds=seconds, now=self._clock())

    async def stats(self) -> Mapping[str, Depth]:
        now = self._clock()
        return await self._do(lambda store: store.stats(now))

    async def tally(self) -> Mapping[str, Tally]:
        return await self._do(lambda store: store.tally())

    async def unaccounted(self) -> Mapping[str, int]:
        return await self._do(lambda store: store.unaccounted())

    def trouble(self) -> str | None:
        return self._writer.refusal()

    async def close(self) -> None:
        """Finish what was begun. What this opener still leases is ready for the others who share the file."""
        if self._closed:
            return
        self._closed = True
        now = self._clock()
        try:
            await self._writer.do(lambda store: store.let_go(self._holder, now))
        finally:
            await asyncio.to_thread(sharing.release, self._path)

    async def _do[T](self, work: Callable[[Store], T]) -> T:
        self._check_open()
        return await self._writer.do(work)

    def _check_open(self) -> None:
        if self._closed:
            raise OSError(f"the outbox {self._path} is closed")
