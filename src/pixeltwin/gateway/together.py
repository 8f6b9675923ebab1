"""What hits leave that are decided about in one turn of the event loop is appended with one call.

So hits share the way to the outbox, whatever engine it is and in whatever process: one future, one message, one order
for all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.appends import Appends

MOST: Final = 100  # hits in one call; an engine looks at its room in between

type Answer = list[Appended] | BaseException  # what the outbox says of a hit's items


@dataclass(slots=True, eq=False)
class Hit:
    """What a hit leaves, and who waits for it.

    `waiter` gets the outbox's answer, or None when the time is up. An answer that nobody waits for goes to `late`.
    """

    items: Final[Sequence[NewItem]]
    waiter: Final[asyncio.Future[list[Appended] | None]]
    late: Final[Callable[[Answer], None]]

    def tell(self, answer: Answer) -> None:
        if self.waiter.done():
            self.late(answer)
        elif isinstance(answer, BaseException):
            self.waiter.set_exception(answer)
        else:
            self.waiter.set_result(answer)

    def let_go(self) -> None:
        """The time is up."""
        if not self.waiter.done():
            self.waiter.set_result(None)

    def leave(self) -> None:
        """Whoever waited has been cancelled, with an answer on the way or not."""
        answer = None if self.waiter.cancelled() else self.waiter.exception() or self.waiter.result()
        if answer is not None:
            self.late(answer)


class Together:
    """Gathers hits for `append`, an outbox's. What is under way is among the `appends`."""

    def __init__(self, appends: Appends, append: Callable[[Sequence[NewItem]], Awaitable[list[Appended]]]) -> None:
        self._appends = appends
        self._append = append
        self._hits: list[Hit] = []
        self._size = 0
        self._seconds = 0.0

    def has_room(self, size: int) -> bool:
        """Whether one more hit of so many bytes may come."""
        return self._appends.has_room(self._size + size)

    async def append(
        self, items: Sequence[NewItem], *, size: int, seconds: float, late: Callable[[Answer], None]
    ) -> list[Appended] | None:
        """What becomes of the items; None when that takes longer than so many seconds. Raises what the outbox raises.

        An answer that comes after that is told to `late`, as it is when whoever waits is cancelled.
        """
        hit = self._joined(items, size, seconds, late)
        try:
            return await hit.waiter
        except asyncio.CancelledError:
            hit.leave()
            raise

    def _joined(self, items: Sequence[NewItem], size: int, seconds: float, late: Callable[[Answer], None]) -> Hit:
        loop = asyncio.get_running_loop()
        if not self._hits:
            self._seconds = seconds
            loop.call_soon(self.hand_over)
        hit = Hit(items, loop.create_future(), late)
        self._hits.append(hit)
        self._size += size
        if len(self._hits) == MOST:
            self.hand_over()
        return hit

    def hand_over(self) -> None:
        """Append what was gathered."""
        hits, size = self._hits, self._size
        if hits:
            self._hits, self._size = [], 0
            done = self._appends.begun(asyncio.ensure_future(self._write(hits)), size, self._seconds)
            done.add_done_callback(lambda _: _let_go(hits))

    async def _write(self, hits: Sequence[Hit]) -> None:
        for hit, answer in zip(hits, await self._answers(hits), strict=True):
            hit.tell(answer)

    async def _answers(self, hits: Sequence[Hit]) -> Sequence[Answer]:
        """The outbox's answers. Hits that it did not take together it is given one by one: a bad one fails alone."""
        try:
            appended = iter(await self._append([item for hit in hits for item in hit.items]))
        except Exception as error:
            if len(hits) == 1:
                return [error]
            return await asyncio.gather(*(self._alone(hit) for hit in hits), return_exceptions=True)
        return [[next(appended) for _ in hit.items] for hit in hits]

    async def _alone(self, hit: Hit) -> list[Appended]:
        return await self._append(hit.items)


def _let_go(hits: Sequence[Hit]) -> None:
    """Their time is up, or all of them have been told."""
    for hit in hits:
        hit.let_go()
