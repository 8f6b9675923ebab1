"""The store's SQLite file: digests of customers' keys, their hashes, and what stays readable."""

import hashlib
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw
import orjson

from pixeltwin.enrich.source import Profile
from pixeltwin.sources.embedded.codec import pack, pack_plain, unpack_profile
from pixeltwin.sqlite_file import make_private_folder

type Stored = tuple[bytes, bytes, bytes | None]  # a key's digest, packed hashes, custom data and facts

# Rows are appended and only the small index is written all over the place: a million rows a minute need that.
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS profiles(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, hashes BLOB NOT NULL, updated_at INTEGER NOT NULL, plain BLOB
) STRICT
"""
IS_NEW: Final = "SELECT count(*) FROM pragma_table_info('profiles') WHERE name = 'plain'"
MIGRATION: Final = "ALTER TABLE profiles ADD COLUMN plain BLOB"  # files of version 0.1 have hashes alone
PRAGMAS: Final[Mapping[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": "normal",  # a power cut may cost the last import, which can be repeated; never the file
    "secure_delete": "on",  # what is forgotten is overwritten
    "cache_size": -65_536,  # KiB: the index of two million customers
    "wal_autocheckpoint": 16_384,  # pages, 64 MiB: an import rewrites the index's pages again and again
}
SELECT: Final = "SELECT key, hashes, plain FROM profiles WHERE key IN (SELECT unhex(value) FROM json_each(?))"
UPSERT: Final = """
INSERT INTO profiles(key, hashes, plain, updated_at) VALUES(?, ?, ?, ?)
ON CONFLICT(key) DO UPDATE SET hashes = excluded.hashes, plain = excluded.plain, updated_at = excluded.updated_at
"""
DELETE: Final = "DELETE FROM profiles WHERE key = ?"
BUSY_MS: Final = 5000  # an import beside a running gateway writes in short transactions


def digest(key: str) -> bytes:
    """A key as the store has it: keys may be e-mail addresses."""
    return hashlib.blake2b(key.encode(), digest_size=16, person=b"pixeltwin").digest()


class Store:
    """Two connections, of which one reads: what is being written holds up no look-up. Every failure is an `OSError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _os_errors(path):
            make_private_folder(path.parent)
            path.touch(mode=0o600)
            path.chmod(0o600)  # one that was there before may have been open to all; SQLite's other files get the same
            self._writer, self._reader = Shared(_opened(path)), Shared(_opened(path))

    @staticmethod
    def record(key: str, profile: Profile) -> Stored:
        """What `write` takes."""
        return digest(key), pack(profile.user_data), pack_plain(profile)

    def select(self, keys: Collection[str]) -> dict[str, Profile]:
        """The customers that are known, by key."""
        by_digest = {digest(key): key for key in keys}
        wanted = orjson.dumps([known.hex() for known in by_digest]).decode()
        with _os_errors(self._path), self._reader.held() as connection:
            rows = list(connection.execute(SELECT, (wanted,)))
        return {by_digest[key]: unpack_profile(hashes, plain) for key, hashes, plain in rows}

    def write(self, rows: Iterable[Stored]) -> None:
        """Store customers in one transaction; what was known of them before is replaced."""
        now = int(time.time())
        with _os_errors(self._path), self._writer.held() as connection, connection:
            connection.executemany(UPSERT, ((*row, now) for row in rows))

    def forget(self, keys: Collection[str]) -> int:
        """Remove customers; how many were known. The log is emptied too, as it has their pages."""
        with _os_errors(self._path), self._writer.held() as connection:
            before = connection.total_changes()
            with connection:
                connection.executemany(DELETE, ((digest(key),) for key in keys))
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return connection.total_changes() - before

    def close(self) -> None:
        """Wait for what is being done, and close."""
        for shared in (self._writer, self._reader):
            with _os_errors(self._path), shared.held() as connection:
                connection.close()


class Shared:
    """A connection that threads take turns with: apsw refuses one that another thread is using."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[apsw.Connection]:
        with self._lock:
            yield self.connection


def _opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_MS)
    for name, value in PRAGMAS.items():
        connection.pragma(name, value)
    connection.execute(SCHEMA)
    _migrate(connection)
    return connection


def _migrate(connection: apsw.Connection) -> None:
    """Give an older file the column that it lacks."""
    if not connection.execute(IS_NEW).get:
        with suppress(apsw.SQLError):  # another process that opens it now has been quicker
            connection.execute(MIGRATION)


@contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise OSError(f"{path}: {error}") from error
