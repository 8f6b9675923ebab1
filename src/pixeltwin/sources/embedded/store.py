"""The store's SQLite file: digests of customers' keys, and their hashes."""

import hashlib
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
import orjson

from pixeltwin.enrich.source import Profile
from pixeltwin.sources.embedded.codec import pack, unpack

type Stored = tuple[bytes, bytes]  # a key's digest, and packed hashes

# Rows are appended and only the small index is written all over the place: a million rows a minute need that.
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS profiles(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, hashes BLOB NOT NULL, updated_at INTEGER NOT NULL
) STRICT
"""
PRAGMAS: Final[Mapping[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": "normal",  # a power cut may cost the last import, which can be repeated; never the file
    "secure_delete": "on",  # what is forgotten is overwritten
    "cache_size": -65_536,  # KiB: the index of two million customers
    "wal_autocheckpoint": 16_384,  # pages, 64 MiB: an import rewrites the index's pages again and again
}
SELECT: Final = "SELECT key, hashes FROM profiles WHERE key IN (SELECT unhex(value) FROM json_each(?))"
UPSERT: Final = """
INSERT INTO profiles(key, hashes, updated_at) VALUES(?, ?, ?)
ON CONFLICT(key) DO UPDATE SET hashes = excluded.hashes, updated_at = excluded.updated_at
"""
DELETE: Final = "DELETE FROM profiles WHERE key = ?"
BUSY_MS: Final = 5000  # an import beside a running gateway writes in short transactions


def digest(key: str) -> bytes:
    """A key as the store has it: keys may be e-mail addresses."""
    return hashlib.blake2b(key.encode(), digest_size=16, person=b"pixeltwin").digest()


class Store:
    """One connection. Every failure is an `OSError`."""

    def __init__(self, path: Path) -> None:
        self._writing = threading.Lock()
        with _os_errors(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch()
            path.chmod(0o600)  # SQLite gives its other files the same mode
            self._path = path
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(BUSY_MS)
            for name, value in PRAGMAS.items():
                self._connection.pragma(name, value)
            self._connection.execute(SCHEMA)

    @staticmethod
    def record(key: str, profile: Profile) -> Stored:
        """What `write` takes."""
        return digest(key), pack(profile.user_data)

    def select(self, keys: Collection[str]) -> dict[str, Profile]:
        """The customers that are known, by key."""
        by_digest = {digest(key): key for key in keys}
        wanted = orjson.dumps([known.hex() for known in by_digest]).decode()
        with _os_errors(self._path):
            rows = list(self._connection.execute(SELECT, (wanted,)))
        return {by_digest[key]: Profile(unpack(stored)) for key, stored in rows}

    def write(self, rows: Iterable[Stored]) -> None:
        """Store customers in one transaction; what was known of them before is replaced."""
        now = int(time.time())
        with _os_errors(self._path), self._writing, self._connection:
            self._connection.executemany(UPSERT, ((key, hashes, now) for key, hashes in rows))

    def forget(self, keys: Collection[str]) -> int:
        """Remove customers; how many were known. The log is emptied too, as it has their pages."""
        with _os_errors(self._path), self._writing:
            before = self._connection.total_changes()
            with self._connection:
                self._connection.executemany(DELETE, ((digest(key),) for key in keys))
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return self._connection.total_changes() - before

    def close(self) -> None:
        with _os_errors(self._path):
            self._connection.close()


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise OSError(f"{path}: {error}") from error
