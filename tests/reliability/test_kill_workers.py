"""Gateways that do not send, and workers on the same PostgreSQL that are killed again and again: nothing is lost.

The gateways live through it all and go on taking hits. What a dead worker had under lease is the other's when the
lease has ended, so leases are short here.
"""

import asyncio
import signal
from collections import Counter

import pytest
from tests.outboxes.engines import schema_of, server
from tests.reliability.forms import rounds, tell
from tests.reliability.killing import (
    ANYWHERE,
    MOST_LET_GO,
    Node,
    Sender,
    drained,
    emptied,
    judge_shared,
    share_database,
    tell_let_go,
    torment,
)
from tests.reliability.meta import API, RELAY, OracleMeta
from tests.reliability.nursery import nursery
from tests.reliability.oracle import Oracle

CYCLES = rounds(4, 120)  # of each worker
POINTS = (ANYWHERE, "before_post", "after_post", "after_settle", "in_bisect")
LEASE = 3.0  # seconds


@pytest.mark.timeout(rounds(300, 7200))
async def test_no_answered_hit_is_lost_however_often_the_workers_behind_the_gateways_are_killed(tmp_path):
    url, schema = server(), schema_of(tmp_path)
    async with OracleMeta().serving() as meta:
        oracle = Oracle(meta, legs=(API, RELAY))
        gateways = [Node(tmp_path / name, meta, LEASE, senders=False, oracle=oracle) for name in ("north", "south")]
        workers = [Sender(tmp_path / name, meta, LEASE, senders=False) for name in ("east", "west")]
        for mortal in (*gateways, *workers):
            share_database(mortal, url, schema)
        async with nursery() as born:
            north, south = gateways
            fronts = [await gateway.start(born) for gateway in gateways]
            async with north.visitors.browsing(north.port, number=1), south.visitors.browsing(south.port, number=1):
                reached = sum(
                    await asyncio.gather(
                        *(torment(worker, born, POINTS, n * CYCLES, CYCLES) for n, worker in enumerate(workers))
                    ),
                    start=Counter(),
                )
                backs = [await worker.start(born) for worker in workers]
                for gateway in gateways:
                    await gateway.visitors.answers()
            assert not any(front.ended.done() for front in fronts)
            for gateway in gateways:
                gateway.hear()
            await drained(oracle, meta, 120.0)
            await emptied(url, schema, base=tmp_path, seconds=rounds(60.0, 1200.0))
            for child in (*fronts, *backs):
                child.signal(signal.SIGTERM)
            assert [await child.ended for child in (*fronts, *backs)] == [0, 0, 0, 0]
        for gateway in gateways:
            gateway.hear()
        verdict = await judge_shared(oracle, url, schema, base=tmp_path)
    tell("kill -9 of two workers", cycles=2 * CYCLES, at_points=dict(reached), verdict=verdict)
    tell_let_go(oracle, verdict)
    assert verdict.complaints == []
    assert verdict.answered > 0
    assert verdict.share_let_go <= MOST_LET_GO
    assert len(reached) > len(POINTS) // 2  # a slow machine may not come to all of them in a few kills
    assert sum(reached.values()) >= CYCLES // 2
