"""Hits of one turn of the event loop are appended together; what becomes of each is its own."""

import asyncio
from collections.abc import Sequence

import pytest

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.appends import Appends
from pixeltwin.gateway.together import MOST, Together

ACCEPTED, DUPLICATE = Appended.ACCEPTED, Appended.DUPLICATE


def item(key: str) -> NewItem:
    return NewItem("conversions_api", "1", key.encode(), b"{}")


class Outbox:
    """Takes each key once, when it is `opened`; a call with `bad` among its keys fails as a whole."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.opened = asyncio.Event()
        if is_open:
            self.opened.set()
        self.calls: list[list[bytes]] = []
        self.seen: set[bytes] = set()

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        keys = [item.key for item in items]
        self.calls.append(keys)
        await self.opened.wait()
        if b"bad" in keys:
            raise OSError("one of them is bad")
        return [self._append(key) for key in keys]

    def _append(self, key: bytes) -> Appended:
        is_new = key not in self.seen
        self.seen.add(key)
        return ACCEPTED if is_new else DUPLICATE


def asked(together: Together, told: list[object], *keys: str, seconds: float = 60.0) -> asyncio.Task[object]:
    items = [item(key) for key in keys]
    return asyncio.create_task(together.append(items, size=1, seconds=seconds, late=told.append))


async def test_hits_of_one_turn_share_a_call_and_each_hears_of_its_own_items() -> None:
    outbox, told = Outbox(), []
    together = Together(Appends(), outbox.append)
    answers = await asyncio.gather(
        asked(together, told, "a", "b"), asked(together, told, "a"), asked(together, told, "c", "a", "d")
    )
    assert answers == [[ACCEPTED, ACCEPTED], [DUPLICATE], [ACCEPTED, DUPLICATE, ACCEPTED]]
    assert (len(outbox.calls), told) == (1, [])


async def test_a_bad_one_fails_alone() -> None:
    outbox, told = Outbox(), []
    together = Together(Appends(), outbox.append)
    tasks = [asked(together, told, "a"), asked(together, told, "bad"), asked(together, told, "b")]
    first, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, third) == ([ACCEPTED], [ACCEPTED])
    assert isinstance(second, OSError)
    assert told == []


async def test_no_call_has_more_than_so_many_hits() -> None:
    outbox = Outbox()
    together = Together(Appends(), outbox.append)
    await asyncio.gather(*(asked(together, [], str(number)) for number in range(2 * MOST + 1)))
    assert sorted(map(len, outbox.calls)) == [1, MOST, MOST]


async def test_whose_time_is_up_goes_on_and_late_hears_what_became_of_the_items() -> None:
    outbox, told = Outbox(is_open=False), []
    appends = Appends()
    together = Together(appends, outbox.append)
    assert await asyncio.gather(*(asked(together, told, key, seconds=0.01) for key in "ab")) == [None, None]
    assert told == []
    outbox.opened.set()
    await appends.flush(5.0)
    assert told == [[ACCEPTED], [ACCEPTED]]


@pytest.mark.parametrize("is_answered", [False, True])
async def test_who_is_cancelled_has_its_items_appended_and_late_hears_of_them(is_answered: bool) -> None:
    told: list[object] = []

    async def append(items: Sequence[NewItem]) -> list[Appended]:
        if is_answered:
            asyncio.get_running_loop().call_soon(leaving.cancel)  # before it can take the answer
        else:
            leaving.cancel()
        return [ACCEPTED for _ in items]

    together = Together(Appends(), append)
    leaving, staying = asked(together, told, "a"), asked(together, told, "b")
    assert await staying == [ACCEPTED]
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert told == [[ACCEPTED]]


async def test_what_is_gathered_takes_room_beside_what_is_under_way() -> None:
    together = Together(Appends(most_bytes=100), Outbox(is_open=False).append)

    def begun(size: int) -> asyncio.Task[object]:
        return asyncio.create_task(together.append([item("a")], size=size, seconds=0.01, late=lambda _: None))

    first = begun(60)
    await asyncio.sleep(0)
    together.hand_over()
    second = begun(30)
    await asyncio.sleep(0)
    assert (together.has_room(10), together.has_room(11)) == (True, False)
    await asyncio.gather(first, second)
