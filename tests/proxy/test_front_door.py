"""What `pixeltwin run` answers to requests that its own connections have read."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.factories import PIXEL, hit_query, request

from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.front_door import FrontDoor

CONFIG = f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]
outbox: {{ kind: memory }}
"""


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    gateway = Gateway(Config.from_text(CONFIG, base=Path(), env={"T": "t"}), relay="none", senders=False)
    await gateway.open()
    yield gateway
    await gateway.close()


async def answers(front: FrontDoor, *requests: object) -> list[int]:
    """The status that each of them is told, all asked in one turn."""
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in requests]
    for asked, one in zip(requests, waiting, strict=True):
        front.ask(asked, one.set_result)
        assert not one.done()
    async with asyncio.timeout(10):
        return [told.status for told in await asyncio.gather(*waiting)]


async def test_hits_of_one_turn_are_read_before_the_first_is_decided_about(gateway: Gateway) -> None:
    front = FrontDoor(gateway)
    front.ask(request(hit_query(eid="a")), lambda _: None)
    front.ask(request(hit_query(eid="b")), lambda _: None)
    assert gateway.journal.latest() == []
    await asyncio.sleep(0.01)
    assert {record.event_id for record in gateway.journal.latest()} == {"a", "b"}


async def test_hits_and_others_of_one_turn_are_answered_each_for_itself(gateway: Gateway) -> None:
    hit, other = request(hit_query()), request("", path="/elsewhere")
    assert await answers(FrontDoor(gateway), hit, other, hit) == [200, 404, 200]


async def test_a_hit_that_fails_in_our_hands_is_answered_and_so_is_the_next(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = gateway.take

    def failing(asked, told):
        if b"bad" in asked.query:
            raise ZeroDivisionError
        take(asked, told)

    monkeypatch.setattr(gateway, "take", failing)
    bad, good = request(hit_query(eid="bad")), request(hit_query(eid="good"))
    assert await answers(FrontDoor(gateway), bad, good) == [200, 200]
    assert [record.event_id for record in gateway.journal.latest()] == ["good"]


@pytest.mark.parametrize("query", [hit_query(eid="a"), "no=pixel"])
async def test_a_connection_that_fails_keeps_no_other_from_its_answer(gateway: Gateway, query: str) -> None:
    """A hit with a twin is answered later, one without at once, in the turn of the others."""
    front, asked = FrontDoor(gateway), request(query)

    def failing(_: object) -> None:
        raise ZeroDivisionError

    front.ask(asked, failing)
    assert await answers(front, asked, asked) == [200, 200]
