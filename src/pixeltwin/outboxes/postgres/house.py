"""What is done beside the work: old rows go, marks are raised, and who keeps them from it is named."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from pixeltwin.outboxes.postgres.link import Link
from pixeltwin.outboxes.postgres.marks import FIND, HIGHEST, RAISE
from pixeltwin.outboxes.postgres.statements import FORGET, OLDEST_SNAPSHOT, TIDY
from pixeltwin.telemetry import OLDEST_TRANSACTION, log

TURN: Final = 2.0  # seconds
TIDY_EVERY: Final = 5  # turns
FIND_EVERY: Final = 150  # turns
AT_ONCE: Final = 1000  # rows, some 5 ms
STEPS: Final = 20
LONG: Final = 300.0  # seconds that a transaction may be open before it is worth a line


class House:
    """Keeps the tables in order, on a connection of its own: nobody waits for it."""

    def __init__(self, link: Link, clock: Callable[[], float | None]) -> None:
        self._link = link
        self._clock = clock
        self._was_long = False

    async def keep(self) -> None:
        """Do it in turns, until cancelled; what fails is done the next time."""
        for turn in itertools.count(1):
            await asyncio.sleep(TURN)
            with suppress(OSError):
                highest = await self._link.run(lambda db: db.fetchval(HIGHEST, self._clock()))
                await self._execute(RAISE, highest)
                if turn % TIDY_EVERY == 0:
                    await self._tidy()
                if turn % FIND_EVERY == 1:
                    await self._execute(FIND)

    async def _tidy(self) -> None:
        """Forget what nobody needs any more, in small steps."""
        for _ in range(STEPS):
            if await self._link.run(lambda db: db.fetchval(FORGET, self._clock(), AT_ONCE)) < AT_ONCE:
                break
        for statement in TIDY:
            await self._execute(statement, self._clock(), AT_ONCE)
        await self._look_at_transactions()

    async def _look_at_transactions(self) -> None:
        """A transaction that stays open keeps what is dead in the tables of its database, which grow."""
        oldest = await self._link.run(lambda db: db.fetchrow(OLDEST_SNAPSHOT))
        OLDEST_TRANSACTION.set(oldest["seconds"])
        is_long = oldest["seconds"] > LONG
        if is_long and not self._was_long:
            log.warning(
                "a transaction in the outbox's database is open for long; what is delivered cannot be cleared away",
                minutes=round(oldest["seconds"] / 60),
                pid=oldest["pid"],
                application=oldest["application"],
                to_do="end it, or run long reports on a replica",
            )
        self._was_long = is_long

    async def _execute(self, statement: str, *arguments: Any) -> None:
        await self._link.run(lambda db: db.execute(statement, *arguments))
