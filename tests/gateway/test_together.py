"""Hits of one turn of the event loop are appended together; what becomes of each is its own."""

import asyncio
from collections.abc import Sequence
from functools import partial

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.appends import Appends
from pixeltwin.gateway.together import MOST, Hit, Together

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


class Asking:
    """Hits of one turn. What each is told is kept by its keys, and what it hears late."""

    def __init__(self, together: Together, *hits: str, seconds: float = 60.0, size: int = 1) -> None:
        self.told: dict[str, object] = {}
        self.late: dict[str, object] = {}
        self._left = len(hits)
        self._is_over = asyncio.Event()
        for keys in hits:
            hit = Hit([item(key) for key in keys.split()], partial(self._tell, keys), partial(self._hear, keys))
            together.append(hit, size, seconds)

    def _tell(self, keys: str, answer: object) -> None:
        assert keys not in self.told
        self.told[keys] = answer
        self._left -= 1
        if not self._left:
            self._is_over.set()

    def _hear(self, keys: str, answer: object) -> None:
        assert keys not in self.late
        self.late[keys] = answer

    async def over(self) -> dict[str, object]:
        """What all of them were told."""
        async with asyncio.timeout(10):
            await self._is_over.wait()
        return self.told


async def test_hits_of_one_turn_share_a_call_and_each_hears_of_its_own_items() -> None:
    outbox = Outbox()
    asking = Asking(Together(Appends(), outbox.append), "a b", "a", "c a d")
    assert await asking.over() == {
        "a b": [ACCEPTED, ACCEPTED],
        "a": [DUPLICATE],
        "c a d": [ACCEPTED, DUPLICATE, ACCEPTED],
    }
    assert (len(outbox.calls), asking.late) == (1, {})


async def test_a_bad_one_fails_alone() -> None:
    asking = Asking(Together(Appends(), Outbox().append), "a", "bad", "b")
    told = await asking.over()
    assert (told["a"], told["b"]) == ([ACCEPTED], [ACCEPTED])
    assert isinstance(told["bad"], OSError)
    assert asking.late == {}


async def test_one_that_cannot_be_told_keeps_nothing_from_the_others() -> None:
    together = Together(Appends(), Outbox().append)
    heard: list[object] = []

    def fail(_: object) -> None:
        raise ZeroDivisionError

    together.append(Hit([item("a")], fail, fail), 1, 60.0)
    together.append(Hit([item("b")], heard.append, heard.append), 1, 60.0)
    await asyncio.sleep(0.01)
    assert heard == [[ACCEPTED]]


async def test_no_call_has_more_than_so_many_hits() -> None:
    outbox = Outbox()
    await Asking(Together(Appends(), outbox.append), *map(str, range(2 * MOST + 1))).over()
    assert sorted(map(len, outbox.calls)) == [1, MOST, MOST]


async def test_whose_time_is_up_goes_on_and_late_hears_what_became_of_the_items() -> None:
    outbox, appends = Outbox(is_open=False), Appends()
    asking = Asking(Together(appends, outbox.append), "a", "b", seconds=0.01)
    assert await asking.over() == {"a": None, "b": None}
    assert asking.late == {}
    outbox.opened.set()
    await appends.flush(5.0)
    assert asking.late == {"a": [ACCEPTED], "b": [ACCEPTED]}


async def test_what_is_gathered_takes_room_beside_what_is_under_way() -> None:
    together = Together(Appends(most_bytes=100), Outbox(is_open=False).append)
    first = Asking(together, "a", size=60, seconds=0.01)
    together.hand_over()
    second = Asking(together, "b", size=30, seconds=0.01)
    assert (together.has_room(10), together.has_room(11)) == (True, False)
    await asyncio.gather(first.over(), second.over())
