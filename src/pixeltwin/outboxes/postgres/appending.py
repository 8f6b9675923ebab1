"""Appends that wait are stored together: a commit costs the same for one item as for five hundred."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.outboxes.postgres.faults import BadItemError
from pixeltwin.outboxes.postgres.line import Line, UnsureError
from pixeltwin.outboxes.postgres.spool import Spool

MAX_GROUP: Final = 250  # items; bigger ones are hardly cheaper, and each has to be stored in time


@dataclass(frozen=True, slots=True)
class Order:
    """The items of one append, and who waits for it."""

    items: tuple[NewItem, ...]
    answer: asyncio.Future[list[Appended]]


class Appender:
    """Stores what is appended in the database, or else in the spool. `stored` hears of the items in the database."""

    def __init__(self, line: Line, spool: Spool, stored: Callable[[set[str]], None]) -> None:
        self._line = line
        self._spool = spool
        self._stored = stored
        self._orders: deque[Order] = deque()
        self._busy: asyncio.Task[None] | None = None

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        """What became of each item. Raises OSError when neither the database nor the spool took them."""
        order = Order(tuple(items), asyncio.get_running_loop().create_future())
        self._orders.append(order)
        if self._busy is None:
            self._busy = asyncio.create_task(self._serve())
        return await order.answer

    async def finish(self) -> None:
        """Return when everything was stored."""
        if self._busy:
            await self._busy

    async def _serve(self) -> None:
        while self._orders:
            await self._store(self._next_orders())
        self._busy = None

    def _next_orders(self) -> list[Order]:
        orders, room = [self._orders.popleft()], MAX_GROUP
        while self._orders and (room := room - len(orders[-1].items)) > 0:
            orders.append(self._orders.popleft())
        return orders

    async def _store(self, orders: Sequence[Order]) -> None:
        """Store the orders together; should one be bad, one by one, so that it fails alone."""
        try:
            answers = iter(await self._store_all([item for order in orders for item in order.items]))
        except BadItemError as error:
            if len(orders) > 1:
                for order in orders:
                    await self._store([order])
            else:
                _fail(orders, error)
        except Exception as error:
            _fail(orders, error)
        else:
            for order in orders:
                _answer(order, [next(answers) for _ in order.items])

    async def _store_all(self, items: Sequence[NewItem]) -> list[Appended]:
        try:
            kept = await self._line.store(items)
        except BadItemError:
            raise
        except UnsureError as unsure:
            return await self._spool.append(items, unsure.group)
        except OSError:
            return await self._spool.append(items)
        self._stored({item.destination for item, is_new in zip(items, kept, strict=True) if is_new})
        return [Appended.ACCEPTED if is_new else Appended.DUPLICATE for is_new in kept]


def _answer(order: Order, answer: list[Appended]) -> None:
    if not order.answer.done():  # its task was cancelled
        order.answer.set_result(answer)


def _fail(orders: Sequence[Order], error: Exception) -> None:
    for order in orders:
        if not order.answer.done():
            order.answer.set_exception(error)
