"""Kind `embedded`: one SQLite file beside the gateway. What Meta matches people by is stored as hashes alone.

Rows come in by `pixeltwin customers import` and `put`, or from the admin API. Custom data, facts, and ids that Meta
wants as they are stay readable, as far as the settings name them.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.plain import plain_values
from pixeltwin.enrich.profiles import EVERY_KEY
from pixeltwin.enrich.source import NOTHING, CacheSettings, Columns, Profile, SourceSettings
from pixeltwin.sources.embedded.customer import Customer, profile_of_customer
from pixeltwin.sources.embedded.store import Store


class Settings(SourceSettings):
    """`path` is the store's file. Columns and `default_country` are for imports: the store itself has hashes.

    The names under `custom_data` and `profile` are the only ones that are stored and found. No cache by default: the
    file is as near.
    """

    kind: Literal["embedded"]
    path: Path = Path("data/customers.db")
    cache: CacheSettings | None = None


class EmbeddedSource:
    """Customers by key. Calls run in a thread of their own, so that the disk never holds up a hit."""

    def __init__(self, path: Path, columns: Columns = EVERY_KEY, default_country: str | None = None) -> None:
        self._store = Store(path)
        self._columns = columns
        self._country = default_country

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Profile]:
        return await asyncio.to_thread(self._known, keys)

    async def put(
        self,
        key: str,
        user_data: Mapping[str, Any],
        custom_data: Mapping[str, Any] = NOTHING,
        facts: Mapping[str, Any] = NOTHING,
    ) -> list[str]:
        """Store one customer, as `put_all` does."""
        return await self.put_all([Customer(key, user_data, custom_data, facts)])

    async def put_all(self, customers: Sequence[Customer]) -> list[str]:
        """Store customers in place of what was known of them; answers the names of values that could not be used.

        Raises `ValueError` as `profile_of_customer` does; then none of them is stored.
        """
        return await asyncio.to_thread(self._put_all, customers)

    async def forget(self, keys: Collection[str]) -> int:
        """Remove customers, down to the bytes of the file; answers how many were known."""
        return await asyncio.to_thread(self._store.forget, keys)

    async def close(self) -> None:
        await asyncio.to_thread(self._store.close)

    def _known(self, keys: Collection[str]) -> dict[str, Profile]:
        return {key: self._named(profile) for key, profile in self._store.select(keys).items()}

    def _named(self, stored: Profile) -> Profile:
        """What of a stored profile the settings still name."""
        columns = self._columns
        if columns.user_data and not (stored.custom_data or stored.facts or stored.ids):  # most
            return stored
        user_data = stored.user_data if columns.user_data else {}
        custom_data = {name: value for name, value in stored.custom_data.items() if name in columns.custom_data}
        facts = {name: value for name, value in stored.facts.items() if name in columns.facts}
        ids = {name: value for name, value in stored.ids.items() if name in columns.ids}
        return Profile(user_data, *plain_values(custom_data, facts), ids)

    def _put_all(self, customers: Sequence[Customer]) -> list[str]:
        profiles = [profile_of_customer(customer, self._columns, self._country) for customer in customers]
        pairs = list(zip(customers, profiles, strict=True))
        self._store.write([self._store.record(customer.key, profile) for customer, profile in pairs])
        return [f"{customer.place}{name}" for customer, profile in pairs for name in profile.left_out]


class WritableSource(Guarded):
    """The store as a source; what is put or forgotten through it counts at once, cached or not."""

    def __init__(self, store: EmbeddedSource, settings: Settings) -> None:
        super().__init__(store, settings)
        self._store = store

    async def put_all(self, customers: Sequence[Customer]) -> list[str]:
        """As the store's own."""
        left_out = await self._store.put_all(customers)
        self.changed([customer.key for customer in customers])
        return left_out

    async def forget(self, keys: Collection[str]) -> int:
        """As the store's own."""
        known = await self._store.forget(keys)
        self.changed(keys)
        return known


def open_source(settings: Settings, base: Path) -> WritableSource:
    """The store of these settings; a relative path counts from `base`, the config file's folder."""
    store = EmbeddedSource(base / settings.path, settings.columns, settings.default_country)
    return WritableSource(store, settings)
