"""kill -9 of a gateway under load, again and again, anywhere and at each point where it would hurt: nothing is lost.

Each cycle is a process of its own that runs all of `pixeltwin run` (see `nursery.py` for what it does not repeat), on
the same outbox file, under visitors that never stop. After each the file is judged; at the end all is delivered.
"""

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.processes import BIN, started
from tests.reliability.failpoints import POINTS
from tests.reliability.forms import rounds, tell
from tests.reliability.killing import ANYWHERE, RANDOM, Node, drained
from tests.reliability.meta import API, RELAY, OracleMeta
from tests.reliability.nursery import nursery
from tests.reliability.oracle import Oracle, Verdict

from pixeltwin.outboxes import sqlite

SEASONS = rounds(1, 10)
CYCLES = 104  # of each season, which has an outbox of its own
WHOLE_CYCLES = rounds(2, 20)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with OracleMeta().serving() as meta:
        yield Node(tmp_path, meta, Oracle(meta, legs=(API, RELAY)))


async def judge(node: Node, *, drained: bool = False) -> Verdict:
    """What the file holds now that nobody has it."""
    node.hear()
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=node.folder)
    try:
        return await node.oracle.judge(outbox, drained=drained)
    finally:
        await outbox.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("season", range(SEASONS))
async def test_no_answered_hit_is_lost_however_often_and_wherever_the_gateway_is_killed(node, season):
    points = itertools.cycle([*POINTS, ANYWHERE, ANYWHERE, ANYWHERE])
    began, reached = time.monotonic(), Counter()
    async with nursery() as born:
        async with node.visitors.browsing(node.port):
            for point in itertools.islice(points, CYCLES):
                reached[point] += await node.kill(born, point)
                verdict = await judge(node)
                assert verdict.complaints == [], point
        child = await node.start(born)
        async with node.visitors.browsing(node.port, number=1):
            await node.visitors.answers()
        await drained(node.oracle, node.meta)
        child.signal(signal.SIGTERM)
        assert await child.ended == 0
    verdict = await judge(node, drained=True)
    tell(
        f"kill -9, season {season}",
        cycles=CYCLES,
        at_points=dict(reached),
        seconds=round(time.monotonic() - began, 1),
        let_go=Counter(node.oracle.let_go.values()),
        verdict=verdict,
    )
    assert verdict.complaints == []
    assert set(reached) == {*POINTS, ANYWHERE}
    assert all(reached.values())
    assert verdict.dead >= 1  # searched, found, and kept through all of it
    assert len(node.oracle.let_go) <= verdict.answered / 10


async def test_the_command_itself_loses_nothing_either(node):
    async with node.visitors.browsing(node.port):
        for _ in range(WHOLE_CYCLES):
            with started(
                *(BIN / "pixeltwin", "run", "-c", node.config), log=node.folder / "run.log", port=node.port
            ) as process:
                await node.visitors.answers()
                await asyncio.sleep(RANDOM.uniform(0.0, 0.5))
                process.stop(signal.SIGKILL)
            verdict = await judge(node)
            assert verdict.complaints == []
    assert verdict.answered > 0
    tell("kill -9 of the command", cycles=WHOLE_CYCLES, verdict=verdict)
