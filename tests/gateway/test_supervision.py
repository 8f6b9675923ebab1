"""Front processes that end, hang or refuse: real processes that speak as fronts do, and then do as a test wants."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pixeltwin.config import Config
from pixeltwin.gateway import fronts as supervision
from pixeltwin.gateway.back import Desk
from pixeltwin.gateway.fronts import LOOP, Fronts

FRONT = """
import os, sys, time, msgpack
fd, said = int(sys.argv[1]), msgpack.Unpacker()
def serve():
    os.write(fd, msgpack.packb([4]))
def hear():
    while True:
        for message in said:
            return message
        if not (data := os.read(fd, 1 << 20)):
            sys.exit()
        said.feed(data)
hear()
"""
STAYS = "serve()\nwhile hear()[0] != 8: serve()"
ENDS = "serve(); sys.exit(7)"
NEVER_SERVES = "sys.exit(1)"
TAKES_ONE = "serve(); hear(); time.sleep(60)"
DEAF = "serve(); time.sleep(60)"


def config(name: str = "shop") -> Config:
    text = f'pixels: [{{ name: {name}, id: "1234567890123456", access_token: "${{SECRET}}" }}]\n'
    return Config.from_text(text, base=Path(), env={"SECRET": "a-secret-of-the-test"})


@asynccontextmanager
async def opened(then: str, count: int = 1) -> AsyncIterator[Fronts]:
    # a desk hands what it hears to its back, of which these fronts have nothing to say
    fronts = Fronts(count, (sys.executable, "-c", FRONT + then), lambda number: Desk(str(number), None))  # type: ignore[arg-type]
    try:
        await fronts.open(config())
        yield fronts
    finally:
        await fronts.stop(5)


async def holds(probe: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if probe():
            return True
        await asyncio.sleep(0.02)
    return False


def pids(fronts: Fronts) -> list[int]:
    return [running.process.pid for _, running in fronts._running()]


async def test_fronts_serve_until_they_are_stopped():
    async with opened(STAYS, 2) as fronts:
        assert fronts.report() == {"serving": 2, "of": 2, "trouble": []}
        assert fronts.ready() is None
        await fronts.apply(config("other"))
        assert fronts.report()["serving"] == 2
    assert fronts.report()["serving"] == 0
    assert fronts.ready() == "no front process serves"


async def test_a_start_fails_with_a_front_that_does_not_come_to_serve():
    with pytest.raises(OSError, match="front process 0 did not come to serve"):
        async with opened(NEVER_SERVES):
            pass


async def test_a_killed_front_is_replaced_and_the_other_one_is_left_alone(monkeypatch):
    monkeypatch.setattr(supervision, "PAUSES", (0.0,))
    async with opened(STAYS, 2) as fronts:
        victim, other = pids(fronts)
        os.kill(victim, signal.SIGKILL)
        assert await holds(lambda: pids(fronts)[0] != victim and fronts.report()["serving"] == 2)
        assert pids(fronts)[1] == other


async def test_a_front_that_keeps_ending_is_told_of_and_started_more_and_more_seldom(monkeypatch):
    monkeypatch.setattr(supervision, "PAUSES", (0.0, 0.0, 0.0, 60.0))
    async with opened(ENDS) as fronts:
        assert await holds(lambda: bool(fronts.report()["trouble"]))
        assert fronts.report()["trouble"] == ["front 0 keeps ending, last with 7"]
        assert fronts._places[0].too_soon == LOOP
        assert fronts.ready() == "no front process serves"


async def test_a_front_that_does_not_take_a_config_is_started_again_with_it(monkeypatch):
    monkeypatch.setattr(supervision, "APPLYING", 0.5)
    monkeypatch.setattr(supervision, "PAUSES", (0.0,))
    async with opened(TAKES_ONE) as fronts:
        (before,) = pids(fronts)
        await fronts.apply(config("other"))
        assert await holds(lambda: pids(fronts) != [before] and fronts.report()["serving"] == 1)
        fronts.kill()


async def test_a_stop_waits_for_no_front_that_is_deaf():
    async with opened(DEAF) as fronts:
        await asyncio.wait_for(fronts.stop(0.2), 5)
        assert fronts.report()["serving"] == 0
