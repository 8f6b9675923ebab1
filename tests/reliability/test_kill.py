"""kill -9 of a gateway under load, again and again, anywhere and at each point where it would hurt: nothing is lost.

Each cycle is a process of its own that runs all of `pixeltwin run` (see `nursery.py` for what it does not repeat), on
the same outbox file, under visitors that never stop. After each the file is judged; at the end all is delivered. Two
such gateways, which have nothing to do with each other, are killed side by side, since either waits most of the time.
"""

import asyncio
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.processes import BIN, PATIENCE, Process, children_of, free_port, started, write_config
from tests.reliability.failpoints import POINTS
from tests.reliability.forms import rounds, tell
from tests.reliability.killing import ANYWHERE, MOST_LET_GO, RANDOM, Node, drained, tell_let_go
from tests.reliability.meta import API, RELAY, OracleMeta
from tests.reliability.nursery import Nursery, nursery
from tests.reliability.oracle import Oracle, Verdict

from pixeltwin.outboxes import sqlite

SEASONS = rounds(1, 10)
CYCLES = 52  # of each of a season's two gateways
WHOLE_CYCLES = rounds(2, 20)
PATIENT = ", limits: { ack_deadline: 10s }"  # nothing is let go, of which the command could tell nobody when it dies


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[Node]:
    """One that does not live yet, with an outbox and a Meta of its own."""
    async with OracleMeta().serving() as meta:
        yield Node(folder, meta, oracle=Oracle(meta, legs=(API, RELAY)))


async def judge(node: Node, *, drained: bool = False) -> Verdict:
    """What the file holds now that nobody has it."""
    node.hear()
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=node.folder)
    try:
        return await node.oracle.judge(outbox, drained=drained)
    finally:
        await outbox.close()


async def torment(folder: Path, born: Nursery, first: int) -> tuple[Counter[str], Verdict]:
    """Which points the gateway died at, and what became of all that it had answered."""
    points, reached = itertools.cycle([*POINTS, ANYWHERE, ANYWHERE, ANYWHERE]), Counter[str]()
    async with gateway(folder) as node:
        async with node.visitors.browsing(node.port):
            for point in itertools.islice(points, first, first + CYCLES):
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
        tell_let_go(node.oracle, verdict)
        assert verdict.share_let_go <= MOST_LET_GO
        return reached, verdict


@pytest.mark.timeout(600)
@pytest.mark.parametrize("season", range(SEASONS))
async def test_no_answered_hit_is_lost_however_often_and_wherever_the_gateway_is_killed(tmp_path, season):
    began = time.monotonic()
    async with nursery() as born:
        ends = await asyncio.gather(
            *(torment(tmp_path / name, born, n * CYCLES) for n, name in enumerate(("one", "other")))
        )
    reached = ends[0][0] + ends[1][0]
    tell(
        f"kill -9, season {season}",
        cycles=2 * CYCLES,
        at_points=dict(reached),
        seconds=round(time.monotonic() - began, 1),
        verdicts=[verdict for _, verdict in ends],
    )
    assert [verdict.complaints for _, verdict in ends] == [[], []]
    assert set(reached) == {*POINTS, ANYWHERE}
    assert all(reached.values())
    assert sum(verdict.dead for _, verdict in ends) >= 1  # searched, found, and kept through all of it


@contextmanager
def the_command(node: Node, admin: int, workers: int) -> Iterator[Process]:
    """`pixeltwin run` from a shell, once it serves: with fronts the admin pages come last."""
    command = (BIN / "pixeltwin", "run", "-c", node.config, "--workers", str(workers))
    last = node.port if workers == 1 else admin
    with started(*command, log=node.folder / "run.log", port=last, patience=3 * PATIENCE) as process:
        yield process


def end_of(pid: int) -> asyncio.Future[None]:
    """Done when the process, which need not be ours, has ended."""
    loop = asyncio.get_running_loop()
    file, ended = os.pidfd_open(pid), loop.create_future()

    def tell_end() -> None:
        loop.remove_reader(file)
        os.close(file)
        ended.set_result(None)

    loop.add_reader(file, tell_end)
    return ended


async def lose_all(process: Process, fronts: Sequence[int]) -> None:
    """Kill the process that has the outbox; its fronts must end by themselves, whatever they hold."""
    async with asyncio.timeout(PATIENCE):
        ends = [end_of(front) for front in fronts]
        process.stop(signal.SIGKILL)
        await asyncio.gather(*ends)


async def lose_a_front(node: Node, process: Process, fronts: Sequence[int]) -> None:
    """Kill one, and end the others as a deployment does while visitors come."""
    os.kill(RANDOM.choice(fronts), signal.SIGKILL)
    for _ in range(10):
        await node.visitors.answers()
    assert await asyncio.to_thread(process.stop, signal.SIGTERM) == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("workers", [1, 2])
async def test_the_command_itself_loses_nothing_either(tmp_path, workers):
    """Nor do its front processes and the one behind them, which are killed in turn."""
    async with gateway(tmp_path) as node, node.visitors.browsing(node.port):
        write_config(node.folder, node.meta.url, port=node.port, admin=(admin := free_port()), server=PATIENT)
        for cycle in range(WHOLE_CYCLES):
            with the_command(node, admin, workers) as process:
                await node.visitors.answers()
                await asyncio.sleep(RANDOM.uniform(0.0, 0.5))
                fronts = children_of(process.popen.pid)
                assert len(fronts) == (0 if workers == 1 else workers)
                if cycle % 2 and fronts:
                    await lose_a_front(node, process, fronts)
                else:
                    await lose_all(process, fronts)
            verdict = await judge(node)
            assert verdict.complaints == []
    assert verdict.answered > 0
    tell("kill -9 of the command", workers=workers, cycles=WHOLE_CYCLES, verdict=verdict)
