"""What every kind of source gets around its query: odd keys kept out, a cache, a time limit, a breaker, hashing."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Final

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.breaker import Breaker
from pixeltwin.enrich.cache import Known, ProfileCache
from pixeltwin.enrich.profiles import Hasher, profile_of
from pixeltwin.enrich.source import Profile, Query, Row, SourceSettings

MEMO: Final = 4096  # hashes remembered for a look-up: names, cities and countries come again and again
LONGEST_KEY: Final = 512  # characters; an e-mail address has 320 at most


def is_askable(key: str) -> bool:
    """Whether the key can be anybody's. One NUL or lone surrogate would fail the query of a whole lease."""
    return 0 < len(key) <= LONGEST_KEY and key.isprintable()


class Guarded:
    """A `Source` made of a kind's query. Rows live inside `look_up` alone; what stays are profiles."""

    def __init__(self, query: Query, settings: SourceSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.query = query
        self._columns = settings.columns
        self._country = settings.default_country
        self._timeout = settings.timeout
        self._breaker = Breaker(clock)
        self._cache = ProfileCache(settings.cache, clock) if settings.cache else None

    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        asked = list(dict.fromkeys(filter(is_askable, keys)))
        if self._cache is None:
            return await self._ask(asked)
        known, unknown = self._cache.split(asked)
        generation = self._cache.generation
        found = await self._ask(unknown)
        if generation == self._cache.generation:
            self._cache.remember(unknown, found)
        return known | found

    def changed(self, keys: Collection[str]) -> list[Known]:
        """Customers were written or removed: what is remembered of them, which is answered, counts no longer."""
        return [] if self._cache is None else self._cache.forget(keys)

    def forget_hashes(self, hashes: Collection[str]) -> int:
        """Drop what is remembered of customers with these hashes; answers of how many."""
        return 0 if self._cache is None else self._cache.forget_hashes(hashes)

    async def close(self) -> None:
        await self.query.close()

    async def _ask(self, keys: list[str]) -> dict[str, Profile]:
        if not keys:
            return {}
        if not self._breaker.admits():
            raise OSError("it failed too often and is left alone for some seconds")
        try:
            found = await self._fetch(keys)
        except BaseException:  # a cancelled probe has not come back either
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return found

    async def _fetch(self, keys: list[str]) -> dict[str, Profile]:
        """Profiles by key. Whatever goes wrong is an `OSError`, whose text repeats nothing of what was read."""
        try:
            async with asyncio.timeout(self._timeout):
                rows = await self.query.fetch(keys)
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout:g} s") from None
        except OSError:
            raise
        except Exception as error:  # drivers raise what they like
            raise OSError(f"no answer that can be used: {type(error).__name__}") from None
        # a lease's hashing takes tens of milliseconds, which are the hits' in the meantime
        return await asyncio.to_thread(self._profiles, keys, rows)

    def _profiles(self, keys: list[str], rows: Mapping[str, Row | Profile]) -> dict[str, Profile]:
        remembering = lru_cache(MEMO)(hashes)  # of this look-up alone: plaintext is not kept
        return {key: self._profile(rows[key], remembering) for key in keys if key in rows}

    def _profile(self, row: Row | Profile, hashes: Hasher) -> Profile:
        return row if isinstance(row, Profile) else profile_of(row, self._columns, self._country, hashes)
