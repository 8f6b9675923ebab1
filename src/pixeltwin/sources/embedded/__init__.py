"""Kind `embedded`: one SQLite file beside the gateway. It holds hashes alone; plaintext is never stored.

Rows come in by `pixeltwin customers import` and `put`, or from the admin API.
"""

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal

from pixeltwin.capi.normalize import NORMALIZERS
from pixeltwin.enrich.guarded import Guarded, is_askable
from pixeltwin.enrich.profiles import profile_of
from pixeltwin.enrich.source import SAME_NAMES, CacheSettings, Profile, SourceSettings
from pixeltwin.sources.embedded.store import Store


class Settings(SourceSettings):
    """`path` is the store's file. `map` and `default_country` are for imports: the store itself has hashes.

    No cache by default: the file is as near, and what is put or forgotten counts at once.
    """

    kind: Literal["embedded"]
    path: Path = Path("data/customers.db")
    cache: CacheSettings | None = None


class EmbeddedSource:
    """Customers by key. Calls run in a thread of their own, so that the disk never holds up a hit."""

    def __init__(self, path: Path, default_country: str | None = None) -> None:
        self._store = Store(path)
        self._country = default_country

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Profile]:
        return await asyncio.to_thread(self._store.select, keys)

    async def put(self, key: str, person: Mapping[str, str]) -> None:
        """Store what is known of a customer, in place of what was: plaintext or hashes by Meta's key.

        Raises `KeyError` for a key that is not Meta's, `ValueError` for a customer who could never be looked up, or
        of whom nothing is left to store.
        """
        if unknown := person.keys() - NORMALIZERS.keys():
            raise KeyError(", ".join(sorted(unknown)))
        if not is_askable(key):
            raise ValueError("a customer's key is up to 512 printable characters")
        profile = profile_of(person, SAME_NAMES, self._country)
        if not profile.user_data:
            raise ValueError("there is nothing that Meta matches people by")
        await asyncio.to_thread(self._store.write, [self._store.record(key, profile)])

    async def forget(self, keys: Collection[str]) -> int:
        """Remove customers, down to the bytes of the file; answers how many were known."""
        return await asyncio.to_thread(self._store.forget, keys)

    async def close(self) -> None:
        self._store.close()


def open_source(settings: Settings, base: Path) -> Guarded:
    """The store of these settings; a relative path counts from `base`, the config file's folder."""
    return Guarded(EmbeddedSource(base / settings.path, settings.default_country), settings)
