"""Kind `sqlite`: a file on this machine's disk, for its owner's eyes. It survives a restart.

An entry that says nothing new is not written again while nearly all of its time lies ahead, so that a visitor whose
pages all name him costs a read a hit. Forgetting reads the whole file, some seconds a million entries: an index of all
hashes would make it instant, and every new entry ten times as dear.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple

import apsw
import orjson

from pixeltwin.enrich.memory import MaxEntries, Memory, Remembered, needles, unpacked, updated
from pixeltwin.kinds import KindSettings
from pixeltwin.sqlite_file import open_private, os_errors, transaction

TABLES: Final = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    entry BLOB NOT NULL,
    until REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_until ON entries (until);  -- finds what has expired, and the oldest
"""
HAS_BROWSER: Final = "SELECT 1 FROM pragma_table_info('entries') WHERE name = 'browser'"
# An older file's entries name no browser: who withdraws his consent takes along what was told since.
BROWSER: Final = """
ALTER TABLE entries ADD COLUMN browser TEXT NOT NULL DEFAULT '';
CREATE INDEX entries_browser ON entries (browser) WHERE browser <> '';
"""
PRAGMAS: Final[Mapping[str, str | int]] = {
    "busy_timeout": 5000,  # milliseconds; `pixeltwin customers forget` may run beside the gateway
    "journal_mode": "wal",
    "synchronous": "normal",  # a power cut may cost the last seconds' entries; never the file
    "secure_delete": "on",  # what is forgotten is overwritten
    "cache_size": -65_536,  # KiB
    "wal_autocheckpoint": 16_384,  # pages, 64 MiB: fewer pages are written twice
}
SELECT: Final = """
SELECT key, entry, until FROM entries WHERE key IN (SELECT unhex(value) FROM json_each(?)) AND until > ?
"""
UPSERT: Final = """
INSERT INTO entries (key, entry, until, browser) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET entry = excluded.entry, until = excluded.until, browser = excluded.browser
"""
EXPIRE: Final = "DELETE FROM entries WHERE id IN (SELECT id FROM entries WHERE until <= ? ORDER BY until LIMIT ?)"
SHRINK: Final = """
DELETE FROM entries WHERE id IN (
    SELECT id FROM entries ORDER BY until LIMIT max(0, (SELECT count(*) FROM entries) - ?)
)
"""
SCAN: Final = "SELECT id, entry FROM entries WHERE id > ? ORDER BY id LIMIT ?"
DELETE: Final = "DELETE FROM entries WHERE id = ?"
WITHDRAW: Final = "DELETE FROM entries WHERE browser = ? AND browser <> ''"

SLACK: Final = 1 / 32  # of an entry's time, by which it may end earlier than if it had been written again
EXPIRE_AT_ONCE: Final = 1000  # entries, some milliseconds: the lease that comes along waits for it
SCAN_AT_ONCE: Final = 5000  # entries, some tens of milliseconds: leases get a turn in between


class Settings(KindSettings):
    """`path` is relative to the config file. At most `max` entries, a kilobyte each."""

    kind: Literal["sqlite"] = "sqlite"
    path: Path = Path("data/identities.db")
    max: MaxEntries = 1_000_000


async def open_memory(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Memory:
    """Open the file, made where there is none. Raises OSError where it cannot be had."""
    store = await asyncio.to_thread(Store, base / settings.path, settings.max)
    return SqliteMemory(store, clock)


class SqliteMemory:
    """The file's entries. Calls run in a thread of their own, so that the disk never holds up a hit."""

    def __init__(self, store: "Store", clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def recall(self, keys: Collection[bytes]) -> Mapping[bytes, Remembered]:
        return await asyncio.to_thread(self._store.recall, keys, self._clock())

    async def remember(self, entries: Mapping[bytes, Remembered], seconds: float) -> None:
        await asyncio.to_thread(self._store.remember, entries, self._clock(), seconds)

    async def forget(self, hashes: Collection[str]) -> int:
        wanted, gone, last = needles(hashes), 0, 0
        while swept := await asyncio.to_thread(self._store.forget, wanted, last):
            gone, last = gone + swept.gone, swept.last
        await asyncio.to_thread(self._store.empty_log)
        return gone

    async def withdraw(self, browser: bytes) -> int:
        return await asyncio.to_thread(self._store.withdraw, browser)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)


class Stored(NamedTuple):
    """An entry as the file has it."""

    entry: bytes
    until: float


class Swept(NamedTuple):
    """How many entries of a stretch of the file are gone, and the `id` where it ends."""

    gone: int
    last: int


class Store:
    """One connection, used by one thread at a time. Every failure is an OSError."""

    def __init__(self, path: Path, most: int) -> None:
        self._using = threading.Lock()
        self._path = path
        self._most = most
        self._db = open_private(path)
        with os_errors(path):
            for name, value in PRAGMAS.items():
                self._db.pragma(name, value)
            with transaction(self._db):
                self._db.execute(TABLES)
                if not next(self._db.execute(HAS_BROWSER), None):
                    self._db.execute(BROWSER)

    def recall(self, keys: Collection[bytes], now: float) -> dict[bytes, Remembered]:
        with os_errors(self._path), self._using:
            found = self._select(keys, now)
        return {key: known for key, stored in found.items() if (known := unpacked(stored.entry))}

    def remember(self, entries: Mapping[bytes, Remembered], now: float, seconds: float) -> None:
        """Merge with what is there, in one transaction, and drop what is too old or too much."""
        until, slack = now + seconds, seconds * SLACK
        with os_errors(self._path), self._using, transaction(self._db):
            old = self._select(entries, now)
            changes = (
                (key, entry, until, new.browser)
                for key, new in entries.items()
                if (entry := _change(old.get(key), new, until, slack))
            )
            self._db.executemany(UPSERT, changes)
            self._db.execute(EXPIRE, (now, EXPIRE_AT_ONCE))
            self._db.execute(SHRINK, (self._most,))

    def forget(self, wanted: Collection[bytes], after: int) -> Swept | None:
        """Remove the entries with any of these bytes from the stretch after an `id`; None at the end of the file."""
        with os_errors(self._path), self._using, transaction(self._db):
            rows = list(self._db.execute(SCAN, (after, SCAN_AT_ONCE)))
            gone = [(number,) for number, entry in rows if any(needle in entry for needle in wanted)]
            self._db.executemany(DELETE, gone)
        return Swept(len(gone), rows[-1][0]) if rows else None

    def withdraw(self, browser: bytes) -> int:
        with os_errors(self._path), self._using, transaction(self._db):
            self._db.execute(WITHDRAW, (browser.hex(),))
            return self._db.changes()

    def empty_log(self) -> None:
        """Write everything into the file proper: the log still has pages as they were."""
        with os_errors(self._path), self._using:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def close(self) -> None:
        with os_errors(self._path), self._using:
            self._db.close()

    def _select(self, keys: Iterable[bytes], now: float) -> dict[bytes, Stored]:
        wanted = orjson.dumps([key.hex() for key in keys]).decode()
        return {key: Stored(entry, until) for key, entry, until in self._db.execute(SELECT, (wanted, now))}


def _change(old: Stored | None, new: Remembered, until: float, slack: float) -> bytes | None:
    """What to write; None where the entry stays as it is, and would end hardly earlier than `until`."""
    entry = updated(old and old.entry, new)
    return None if old and entry == old.entry and 0 <= until - old.until < slack else entry
