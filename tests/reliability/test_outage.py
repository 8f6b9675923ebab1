"""Meta is down and a backlog grows: when it is back, live events go first, and the backlog to the last one.

The bound of the backlog, and what is shed when it is reached, are told elsewhere: here it is far away.
"""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import batched, islice
from pathlib import Path
from statistics import quantiles

import pytest
from tests.reliability.forms import rounds, tell
from tests.reliability.lines import as_it_is
from tests.reliability.meta import API, OracleMeta, graph_error
from tests.reliability.oracle import PIXELS, Hit, Oracle

from pixeltwin.delivery.outbox import NewItem, Outbox
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.gateway.delivering import LINGER
from pixeltwin.outboxes import sqlite

BACKLOG = rounds(20_000, 500_000)
AT_ONCE = 500
ENOUGH_LEFT = 6_000  # of the backlog, more than all leases hold
PAUSE = 0.02  # seconds between two live events


async def append(outbox: Outbox, hits: Sequence[Hit]) -> None:
    await outbox.append(
        [
            NewItem(
                destination=API,
                pixel_id=hit.pixel_id,
                key=hit.event_id.encode(),
                payload=hit.as_event(),
                priority=int(hit.event_name == "Purchase"),
            )
            for hit in hits
        ]
    )


@asynccontextmanager
async def working(outbox: Outbox, meta: OracleMeta) -> AsyncIterator[None]:
    """A worker as the gateway's, until the block ends."""
    api = ConversionsApi(meta.url, "v26.0", dict.fromkeys(PIXELS, lambda: "token"))
    worker = Worker(outbox, api, as_it_is, lambda *end: None, linger=LINGER)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task
        await api.close()


async def grow(oracle: Oracle, outbox: Outbox) -> list[Hit]:
    hits = [oracle.issue() for _ in range(BACKLOG)]
    for some in batched(hits, AT_ONCE):
        await append(outbox, some)
    for hit in hits:
        oracle.answer(hit)
    return hits


async def live(oracle: Oracle, outbox: Outbox, meta: OracleMeta) -> list[Hit]:
    """One event after the other, while much of the backlog is left."""
    hits: list[Hit] = []
    while len(meta.took) < BACKLOG - ENOUGH_LEFT:
        if meta.took:  # it is known that Meta is back
            hits.append(oracle.issue())
            await append(outbox, hits[-1:])
            oracle.answer(hits[-1])
        await asyncio.sleep(PAUSE)
    return hits


@pytest.mark.timeout(rounds(300, 3600))
async def test_after_an_outage_live_events_overtake_the_backlog_which_is_delivered_to_the_last(tmp_path):
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=tmp_path)
    async with OracleMeta().serving() as meta:
        oracle = Oracle(meta)
        meta.script = lambda post: graph_error(503, 2)
        async with working(outbox, meta):
            backlog = await grow(oracle, outbox)
            assert meta.took == {}
            meta.script = lambda post: None
            began = time.monotonic()
            fresh = await live(oracle, outbox, meta)
            while len(meta.took) < BACKLOG + len(fresh):  # noqa: ASYNC110 an arrival rings no bell
                await asyncio.sleep(PAUSE)
        seconds = time.monotonic() - began
        verdict = await oracle.judge(outbox, drained=True)
    await outbox.close()
    assert verdict.complaints == []
    assert (verdict.delivered, verdict.dead, verdict.expired) == (BACKLOG + len(fresh), 0, 0)
    order = {name.event_id: position for position, name in enumerate(meta.took)}
    last = max(order[hit.event_id] for hit in backlog)
    assert len(fresh) >= 5
    assert all(order[hit.event_id] < last for hit in fresh)
    # of the purchases, which go first, 70 % of the newest and 30 % of the oldest (DELIVERY 3)
    older = {hit.event_id for hit in backlog[: BACKLOG // 2]}
    first = list(islice(order, BACKLOG // 10))
    assert 0.25 <= sum(event_id in older for event_id in first) / len(first) <= 0.35
    waits = [meta.took[hit.names()[0]][0].at - hit.at for hit in fresh]
    tell(
        "outage",
        backlog=BACKLOG,
        drained_in=f"{seconds:.1f} s",
        live=len(fresh),
        live_p50=f"{quantiles(waits, n=100)[49]:.2f} s",
        live_p99=f"{quantiles(waits, n=100)[98]:.2f} s",
        most_memory=f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB with the oracle",
    )
