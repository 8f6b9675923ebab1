"""Which workers are alive: each says so in the database for as long as it asks for work."""

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from pixeltwin.outboxes.postgres.leasing import ALIVE, SEEN_ALIVE
from pixeltwin.outboxes.postgres.link import Link

BEAT: Final = ALIVE / 3  # seconds
RESIGNS: Final = 150.0  # seconds without asking for work; longer than the longest delivery


@dataclass(slots=True)
class Muster:
    """Who was alive at `at`; `asked_at` is when this worker last wanted work. Monotonic times."""

    names: Collection[str]
    at: float
    asked_at: float


class Crew:
    """The workers of each destination, this one, `me`, among them once it has asked for work."""

    def __init__(self, link: Link, clock: Callable[[], float | None], me: str) -> None:
        self._link = link
        self._clock = clock
        self._me = me
        self._musters: dict[str, Muster] = {}

    async def members(self, destination: str) -> Collection[str]:
        """Who shares the work at the destination. Raises OSError."""
        now = time.monotonic()
        muster = self._musters.get(destination)
        if muster is None or muster.at <= now - BEAT:
            muster = self._musters[destination] = await self._muster(destination, now)
        muster.asked_at = now
        return muster.names

    async def stay(self) -> None:
        """Keep this worker among the living while it delivers, until cancelled."""
        while True:
            await asyncio.sleep(BEAT)
            for destination, muster in list(self._musters.items()):
                if muster.asked_at > time.monotonic() - RESIGNS:
                    with suppress(OSError):
                        self._musters[destination] = await self._muster(destination, muster.asked_at)

    async def _muster(self, destination: str, asked_at: float) -> Muster:
        now = self._clock()
        rows = await self._link.run(lambda db: db.fetch(SEEN_ALIVE, now, destination, self._me, ALIVE))
        return Muster({self._me, *(row["name"] for row in rows)}, time.monotonic(), asked_at)
