"""What hits leave that are decided about in one turn of the event loop is appended with one call.

So hits share the way to the outbox, whatever engine it is and in whatever process: one task, one message, one order
for all of them. A hit of its own has no task and no future: it is called back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.appends import Appends
from pixeltwin.telemetry import log

MOST: Final = 100  # hits in one call; an engine looks at its room in between

type Answer = list[Appended] | BaseException  # what the outbox says of a hit's items


class Hit:
    """What a hit leaves, and who hears of it.

    `told` gets the outbox's answer, or None when the time is up; then the answer goes to `late`.
    """

    def __init__(
        self, items: Sequence[NewItem], told: Callable[[Answer | None], None], late: Callable[[Answer], None]
    ) -> None:
        self.items = items
        self.told = told
        self.late = late
        self.is_over = False

    def tell(self, answer: Answer | None) -> None:
        """The outbox has answered, or the time is up. Never raises: other hits wait for their turn."""
        try:
            if not self.is_over:
                self.is_over = True
                self.told(answer)
            elif answer is not None:
                self.late(answer)
        except Exception:
            log.exception("a hit could not be told what became of it")


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

    def append(self, hit: Hit, size: int, seconds: float) -> None:
        """Append a hit's items, of so many bytes. It is told what becomes of them, within so many seconds."""
        if not self._hits:
            self._seconds = seconds
            asyncio.get_running_loop().call_soon(self.hand_over)
        self._hits.append(hit)
        self._size += size
        if len(self._hits) == MOST:
            self.hand_over()

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
        if not hit.is_over:
            hit.tell(None)
