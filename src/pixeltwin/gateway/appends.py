"""What is written to the outbox for hits: each waits for it as long as a browser may, and it is finished in any case.

A write that takes longer goes on without its hit. What waits is bounded, so that a disk that hangs fills no memory.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from pixeltwin.telemetry import log

MOST: Final = 10_000  # writes under way
MOST_BYTES: Final = 64 << 20  # of what they write


class Appends:
    """The writes under way."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._sizes: dict[asyncio.Task[Any], int] = {}
        self._bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether one more of so many bytes may begin. A large one may, when it is alone."""
        return not self._sizes or (len(self._sizes) < self._most and self._bytes + size <= self._most_bytes)

    async def within[T](
        self, seconds: float, work: Coroutine[Any, Any, T], *, size: int, late: Callable[[asyncio.Task[T]], None]
    ) -> T | None:
        """The work's result; None when it takes longer, and then `late` is called once it has ended.

        Whoever waits may be cancelled, the work is not.
        """
        task = asyncio.create_task(work)
        self._sizes[task] = size
        self._bytes += size
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait((task,), timeout=seconds)
        except asyncio.CancelledError:
            task.add_done_callback(late)
            raise
        if task.done():
            return task.result()
        task.add_done_callback(late)
        return None

    async def flush(self, seconds: float) -> None:
        """Wait for what is under way, but no longer than so many seconds."""
        if self._sizes:
            _, waiting = await asyncio.wait(self._sizes, timeout=seconds)
            if waiting:
                log.error("the outbox does not answer: what it was given last may be lost", writes=len(waiting))

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._bytes -= self._sizes.pop(task)
