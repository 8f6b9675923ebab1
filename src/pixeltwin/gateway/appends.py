"""What is written to the outbox for hits: each waits for it as long as a browser may, and it is finished in any case.

A write that takes longer goes on without its hit. What waits is bounded, so that a disk that hangs fills no memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pixeltwin.telemetry import log

MOST: Final = 10_000  # writes under way
MOST_BYTES: Final = 64 << 20  # of what they write
PAUSE: Final = 0.01  # seconds between two looks at all of them, should a disk that hangs leave ten thousand to look at


@dataclass(slots=True, eq=False)
class Write:
    """One write under way: until when it is waited for (the loop's time), its bytes, and who waits."""

    deadline: Final[float]
    size: Final[int]
    waiter: Final[asyncio.Future[None]]

    def wake(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)


class Appends:
    """The writes under way."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._writes: dict[asyncio.Future[Any], Write] = {}
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None  # one for all, as nearly all writes end long before theirs

    def has_room(self, size: int) -> bool:
        """Whether one more of so many bytes may begin. A large one may, when it is alone."""
        return not self._writes or (len(self._writes) < self._most and self._bytes + size <= self._most_bytes)

    async def within[T](
        self, seconds: float, work: Awaitable[T], *, size: int, late: Callable[[T | BaseException], None]
    ) -> T | None:
        """The work's result; None when it takes longer, and then `late` is told how it ended.

        Whoever waits may be cancelled, the work is not.
        """
        writing = asyncio.ensure_future(work)
        try:
            await self.begun(writing, size, seconds)
        except asyncio.CancelledError:
            writing.add_done_callback(partial(_tell_end, late))
            raise
        if writing.done():
            return writing.result()
        writing.add_done_callback(partial(_tell_end, late))
        return None

    async def flush(self, seconds: float) -> None:
        """Wait for what is under way, but no longer than so many seconds."""
        if self._writes:
            _, waiting = await asyncio.wait(self._writes, timeout=seconds)
            if waiting:
                log.error("the outbox does not answer: what it was given last may be lost", writes=len(waiting))

    def begun(self, writing: asyncio.Future[Any], size: int, seconds: float) -> asyncio.Future[None]:
        """What is done when the writing is, or its time is up."""
        loop = asyncio.get_running_loop()
        write = self._writes[writing] = Write(loop.time() + seconds, size, loop.create_future())
        self._bytes += size
        writing.add_done_callback(self._ended)
        self._watch_from(write.deadline)
        return write.waiter

    def _ended(self, writing: asyncio.Future[Any]) -> None:
        write = self._writes.pop(writing)
        self._bytes -= write.size
        write.wake()

    def _watch_from(self, deadline: float) -> None:
        if self._timer:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(deadline, self._watch)

    def _watch(self) -> None:
        """Let go whose time is up, and come again when the next one's is."""
        self._timer, now = None, asyncio.get_running_loop().time()
        later: list[float] = []
        for write in self._writes.values():
            if write.deadline <= now:
                write.wake()
            elif not write.waiter.done():
                later.append(write.deadline)
        if later:
            self._watch_from(max(min(later), now + PAUSE))


def _tell_end[T](late: Callable[[T | BaseException], None], writing: asyncio.Future[T]) -> None:
    late(asyncio.CancelledError() if writing.cancelled() else writing.exception() or writing.result())
