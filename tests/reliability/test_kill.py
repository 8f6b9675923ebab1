"""kill -9 of a gateway under load, again and again, anywhere and at each point where it would hurt: nothing is lost.

Each cycle is a process of its own that runs all of `pixeltwin run` (see `nursery.py` for what it does not repeat), on
the same outbox file, under visitors that never stop. After each the file is judged; at the end all is delivered.
"""

import asyncio
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.processes import BIN, free_port, started, write_config
from tests.reliability.failpoints import POINTS
from tests.reliability.forms import rounds, tell
from tests.reliability.meta import API, RELAY, OracleMeta
from tests.reliability.nursery import Child, Nursery, nursery
from tests.reliability.oracle import Hit, Oracle, Verdict
from tests.reliability.visitors import Visitors

from pixeltwin.outboxes import sqlite

SEASONS = rounds(1, 10)
CYCLES = 104  # of each season, which has an outbox of its own
WHOLE_CYCLES = rounds(2, 20)
LIFE = 20.0  # seconds after which a process whose point is not reached is killed where it is
PASSES = {"in_commit": 300, "in_checkpoint": 60, "in_shutdown": 8, "in_bisect": 3, "after_post": 6, "before_post": 6}
POISON_EVERY = 40
RANDOM = random.Random(5)  # noqa: S311 places to kill at


class Scene:
    """One outbox file, one port, and what the oracle knows of both."""

    def __init__(self, folder: Path, meta: OracleMeta) -> None:
        self.folder, self.meta = folder, meta
        self.oracle = Oracle(meta, legs=(API, RELAY))
        self.visitors = Visitors(self.oracle, self._issued)
        self.port = free_port()
        self.config = write_config(folder, meta.url, port=self.port)
        self.note = self.config.with_suffix(".note")
        self.note.touch()

    def _issued(self, hit: Hit) -> None:
        """Some are such as Meta refuses, so that batches are searched."""
        if int(hit.event_id.partition("-")[2]) % POISON_EVERY == 0:
            self.meta.poison.add(hit.event_id)

    async def judge(self, *, drained: bool = False) -> Verdict:
        """What the file holds now that nobody has it."""
        for line in self.note.read_text().splitlines():
            if line.startswith("let go "):
                event_id, _, why = line.removeprefix("let go ").partition(" ")
                self.oracle.let_go[event_id] = why
        outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=self.folder)
        try:
            return await self.oracle.judge(outbox, drained=drained)
        finally:
            await outbox.close()

    async def drain(self) -> None:
        """Until Meta has taken all it will ever take of what was answered."""
        answered = {hit.event_id for hit in self.oracle.answered.values()} - self.oracle.let_go.keys()
        async with asyncio.timeout(60):
            while not (  # noqa: ASYNC110 an arrival rings no bell
                answered - self.meta.poison <= self.meta.ids(API) and answered <= self.meta.ids(RELAY)
            ):
                await asyncio.sleep(0.05)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with OracleMeta().serving() as meta:
        yield Scene(tmp_path, meta)


async def die(child: Child, visitors: Visitors, point: str) -> None:
    """Wait for the child's end, at its point or at any."""
    if point == "anywhere":
        if RANDOM.random() < 0.7:
            await visitors.answers()
        await asyncio.sleep(RANDOM.uniform(0.0, 0.5))
    elif point == "in_shutdown":
        await visitors.answers()
        child.signal(signal.SIGTERM)
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(child.ended), 0.0 if point == "anywhere" else LIFE)
    child.signal(signal.SIGKILL)
    await child.ended


async def kill(scene: Scene, born: Nursery, point: str) -> bool:
    """One cycle; answers whether the process died at the point."""
    times = RANDOM.randint(1, PASSES.get(point, 20))
    noted = scene.note.stat().st_size
    child = await born.start(scene.config, failpoint="" if point == "anywhere" else f"{point}:{times}")
    await die(child, scene.visitors, point)
    return point == "anywhere" or b"killed" in scene.note.read_bytes()[noted:]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("season", range(SEASONS))
async def test_no_answered_hit_is_lost_however_often_and_wherever_the_gateway_is_killed(scene, season):
    points = itertools.cycle([*POINTS, "anywhere", "anywhere", "anywhere"])
    began, reached = time.monotonic(), Counter()
    async with nursery() as born:
        async with scene.visitors.browsing(scene.port):
            for point in itertools.islice(points, CYCLES):
                reached[point] += await kill(scene, born, point)
                verdict = await scene.judge()
                assert verdict.complaints == [], point
        child = await born.start(scene.config)
        async with scene.visitors.browsing(scene.port, number=1):
            await scene.visitors.answers()
        await scene.drain()
        child.signal(signal.SIGTERM)
        assert await child.ended == 0
    verdict = await scene.judge(drained=True)
    tell(
        f"kill -9, season {season}",
        cycles=CYCLES,
        at_points=dict(reached),
        seconds=round(time.monotonic() - began, 1),
        let_go=Counter(scene.oracle.let_go.values()),
        verdict=verdict,
    )
    assert verdict.complaints == []
    assert set(reached) == {*POINTS, "anywhere"}
    assert all(reached.values())
    assert verdict.dead >= 1  # searched, found, and kept through all of it
    assert len(scene.oracle.let_go) <= verdict.answered / 10


async def test_the_command_itself_loses_nothing_either(scene):
    async with scene.visitors.browsing(scene.port):
        for _ in range(WHOLE_CYCLES):
            with started(
                *(BIN / "pixeltwin", "run", "-c", scene.config), log=scene.folder / "run.log", port=scene.port
            ) as process:
                await scene.visitors.answers()
                await asyncio.sleep(RANDOM.uniform(0.0, 0.5))
                process.stop(signal.SIGKILL)
            verdict = await scene.judge()
            assert verdict.complaints == []
    assert verdict.answered > 0
    tell("kill -9 of the command", cycles=WHOLE_CYCLES, verdict=verdict)
