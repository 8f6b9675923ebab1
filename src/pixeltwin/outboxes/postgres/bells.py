"""Who waits hears of what happens on its own node at once, and through NOTIFY of what happens on the others."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from pixeltwin.outboxes.postgres.link import Connection, Link

# Seconds between notifications: each of them takes a lock of the whole database at its commit.
THROTTLE: Final = 0.1
NOTIFY: Final = "SELECT pg_notify($1, destination) FROM unnest($2::text[]) AS destination"


class Bell:
    """Wakes who waits. Take the event before looking whether there is something to do, or a ring may be missed."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def ring(self) -> None:
        self.event.set()
        self.event = asyncio.Event()


class Bells:
    """A bell for each destination, on all nodes."""

    def __init__(self, link: Link, channel: str) -> None:
        self._link = link
        self._channel = channel
        self._bells: defaultdict[str, Bell] = defaultdict(Bell)
        self._untold: set[str] = set()
        self._telling = asyncio.Event()
        link.listeners[channel] = self._hear

    def of(self, destination: str) -> Bell:
        return self._bells[destination]

    def ring(self, destinations: Iterable[str]) -> None:
        for destination in destinations:
            self._bells[destination].ring()
            self._untold.add(destination)
            self._telling.set()

    def ring_all(self) -> None:
        """Wake everybody on this node."""
        for bell in self._bells.values():
            bell.ring()

    async def tell(self) -> None:
        """Pass on what has rung, until cancelled. What gets lost is found by those who look every second."""
        while True:
            await self._telling.wait()
            self._telling.clear()
            told, self._untold = self._untold, set()
            with suppress(OSError):
                await self.tell_at_once(told)
            await asyncio.sleep(THROTTLE)

    async def tell_at_once(self, destinations: Iterable[str]) -> None:
        """Wake those who wait on other nodes. Raises OSError."""
        if told := sorted(destinations):
            await self._link.run(lambda db: db.execute(NOTIFY, self._channel, told))

    def _hear(self, db: Connection, pid: int, channel: str, destination: Any) -> None:
        if pid != db.get_server_pid():
            self._bells[destination].ring()
