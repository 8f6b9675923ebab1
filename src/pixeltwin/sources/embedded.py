"""The embedded customer store: one SQLite file beside the gateway. It holds hashes; plaintext is never stored."""

import asyncio
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, Literal

import apsw
import orjson

from pixeltwin.capi.normalize import NORMALIZERS, hashes
from pixeltwin.enrich.source import Profile, SourceSettings

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS customers(
    key TEXT PRIMARY KEY, user_data TEXT NOT NULL, updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID
"""


class Settings(SourceSettings):
    """`path` is the store's file."""

    kind: Literal["embedded"]
    path: Path = Path("data/customers.db")


class EmbeddedSource:
    """Customers by key. Calls run in a thread of their own, so that the disk never holds up a hit."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = apsw.Connection(str(path))
        path.chmod(0o600)
        self._connection.set_busy_timeout(5000)
        self._connection.pragma("journal_mode", "wal")
        self._connection.execute(SCHEMA)

    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        try:
            return await asyncio.to_thread(self._select, orjson.dumps(list(keys)).decode())
        except apsw.Error as error:
            raise OSError(str(error)) from error

    async def put(self, key: str, person: Mapping[str, str]) -> None:
        """Store what is known of a customer: plaintext or hashes by Meta's key. Raises KeyError for another key."""
        user_data = {name: values for name, text in person.items() if (values := hashes(name, text))}
        await asyncio.to_thread(
            self._connection.execute,
            "INSERT OR REPLACE INTO customers VALUES(?, ?, ?)",
            (key, orjson.dumps(user_data).decode(), time.time()),
        )

    async def close(self) -> None:
        self._connection.close()

    def _select(self, keys: str) -> dict[str, Profile]:
        rows = self._connection.execute(
            "SELECT key, user_data FROM customers WHERE key IN (SELECT value FROM json_each(?))", (keys,)
        )
        return {key: _profile(stored) for key, stored in rows}


def _profile(stored: str) -> Profile:
    return Profile({name: tuple(values) for name, values in orjson.loads(stored).items() if name in NORMALIZERS})


def open_source(settings: Settings, base: Path) -> EmbeddedSource:
    """The store of these settings; a relative path counts from `base`, the config file's folder."""
    return EmbeddedSource(base / settings.path)
