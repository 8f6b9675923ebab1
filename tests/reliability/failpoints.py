"""Points in the product's work at which a process of the tests kills itself, as kill -9 would.

`after_post:37` means: at the 37th time that a post has ended and nothing of it is settled. The
points are put around the product's own functions from here, in processes of the tests only: the product knows of none.
"""

import functools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import apsw

from pixeltwin.config import model
from pixeltwin.delivery import sender
from pixeltwin.delivery.search import Search
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.destinations.pixel_relay import PixelRelay
from pixeltwin.gateway import Gateway
from pixeltwin.outboxes.postgres import crew
from pixeltwin.outboxes.postgres.outbox import PostgresOutbox
from pixeltwin.outboxes.sqlite import SqliteOutbox
from pixeltwin.outboxes.sqlite.store import Store
from pixeltwin.outboxes.sqlite.tallies import Tallies
from pixeltwin.outboxes.sqlite.writer import Writer

OFTEN_CHECKPOINT: Final = 8  # pages of the log; SQLite's own 1,000 are seldom reached within a test's short lives
BASE: Final = "unix"  # SQLite's own way to files


@dataclass
class Fuse:
    """Kills the process at the n-th pass, and notes it first."""

    left: int
    note: int

    def burn(self) -> None:
        self.left -= 1
        if not self.left:
            os.write(self.note, b"killed\n")
            os.kill(os.getpid(), signal.SIGKILL)


def before(owner: type, name: str, fuse: Fuse) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        fuse.burn()
        return original(*arguments, **named)

    setattr(owner, name, wrapped)


def after(owner: type, name: str, fuse: Fuse) -> None:
    """Behind a coroutine function."""
    original = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        result = await original(*arguments, **named)
        fuse.burn()
        return result

    setattr(owner, name, wrapped)


def after_each(name: str, fuse: Fuse) -> None:
    """Behind a command of whichever engine the process has."""
    for engine in (SqliteOutbox, PostgresOutbox):
        after(engine, name, fuse)


def in_commit(fuse: Fuse) -> None:
    """Before the commit of a transaction that counts something."""
    original = Tallies.write

    def write(self: Tallies) -> None:
        is_new = bool(self._new)
        original(self)
        if is_new:
            fuse.burn()

    Tallies.write = write  # type: ignore[method-assign]


def after_commit(fuse: Fuse) -> None:
    """On the disk, and nobody has been told."""
    original = Store.transaction

    @contextmanager
    def transaction(self: Store) -> Iterator[None]:
        commits = self.commits
        with original(self):
            yield
        if self.commits > commits:
            fuse.burn()

    Store.transaction = transaction  # type: ignore[method-assign]


def in_file(wanted: int, fuse: Fuse) -> None:
    """Before a page is written to a file of this kind: the log's in a commit, the database's in a checkpoint."""

    class File(apsw.VFSFile):
        def __init__(self, base: str, name: Any, flags: list[int]) -> None:
            super().__init__(base, name, flags)
            self._is_wanted = bool(flags[0] & wanted)

        def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 SQLite's name
            if self._is_wanted:
                fuse.burn()
            super().xWrite(data, offset)

    class Vfs(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("failpoint", BASE, makedefault=True)

        def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 SQLite's name
            return File(BASE, name, flags)

    globals()["_vfs"] = Vfs()  # it must live as long as the process
    apsw.connection_hooks.append(lambda db: db.wal_autocheckpoint(OFTEN_CHECKPOINT))


def in_shutdown(fuse: Fuse) -> None:
    """One after the other: the workers are told, the destinations closed, the leases given back, the thread ended."""
    for owner, name in ((Worker, "stop"), (ConversionsApi, "close"), (SqliteOutbox, "close"), (Writer, "stop")):
        before(owner, name, fuse)
    after(Gateway, "close", fuse)


POINTS: Final[dict[str, Callable[[Fuse], None]]] = {
    "before_append": lambda fuse: before(Store, "append", fuse),
    "before_commit": in_commit,
    "in_commit": lambda fuse: in_file(apsw.SQLITE_OPEN_WAL, fuse),
    "after_commit": after_commit,
    "after_append": lambda fuse: after_each("append", fuse),
    "before_post": lambda fuse: before(ConversionsApi, "send", fuse),
    "after_post": lambda fuse: after(ConversionsApi, "send", fuse),
    "after_relay": lambda fuse: after(PixelRelay, "send", fuse),
    "in_bisect": lambda fuse: before(Search, "rejected", fuse),
    "in_settle": lambda fuse: before(Store, "settle", fuse),
    "after_settle": lambda fuse: after_each("settle", fuse),
    "in_checkpoint": lambda fuse: in_file(apsw.SQLITE_OPEN_MAIN_DB, fuse),
    "in_shutdown": in_shutdown,
}


def install(spec: str, note: int) -> None:
    """Put up the point of `name:n`, empty for none; `note` is the descriptor to write to when it kills."""
    name, _, times = spec.partition(":")
    if name:
        POINTS[name](Fuse(int(times), note))


def short_leases(seconds: float) -> None:
    """Allow for leases so short that a test can wait for the end of each; a dead worker's pixels are free by then."""
    model.SHORTEST_LEASE, sender.POST_SECONDS = seconds, seconds / 4  # type: ignore[misc]
    crew.ALIVE, crew.BEAT = seconds / 2, seconds / 6  # type: ignore[misc]


def witness(note: int) -> None:
    """Note of every hit that the gateway could not keep why, before it is answered."""
    original = Gateway.handle

    async def handle(self: Gateway, request: Any, *arguments: Any) -> Any:
        handled = await original(self, request, *arguments)
        hit = handled.admission.hit
        if hit and handled.state not in ("queued", "duplicate"):
            os.write(note, f"let go {hit.get('eid')} {handled.state} {handled.detail}\n".encode())
        return handled

    Gateway.handle = handle  # type: ignore[method-assign]
