"""Two gateways on one PostgreSQL, each killed again and again while the other takes over: nothing is lost.

Both take hits and both send. What a dead one had under lease is another's when the lease has ended, so leases are
short here; what it had in its spool is moved by its next life.
"""

import asyncio
import signal

import pytest
from tests.outboxes.engines import schema_of, server
from tests.reliability.forms import rounds, tell
from tests.reliability.killing import (
    ANYWHERE,
    MOST_LET_GO,
    Node,
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

CYCLES = rounds(5, 120)  # of each node
POINTS = (ANYWHERE, "after_append", "after_post", ANYWHERE, "before_post", "after_settle", "in_bisect", "after_relay")
LEASE = 6.0  # seconds


@pytest.mark.timeout(rounds(300, 7200))
async def test_no_answered_hit_is_lost_when_either_of_two_nodes_is_killed_again_and_again(tmp_path):
    url, schema = server(), schema_of(tmp_path)
    async with OracleMeta().serving() as meta:
        oracle = Oracle(meta, legs=(API, RELAY))
        nodes = [Node(tmp_path / name, meta, LEASE, oracle=oracle) for name in ("east", "west")]
        for node in nodes:
            share_database(node, url, schema)
        async with nursery() as born:
            east, west = nodes
            async with east.visitors.browsing(east.port, number=3), west.visitors.browsing(west.port, number=3):
                reached = await asyncio.gather(
                    torment(east, born, POINTS, 0, CYCLES), torment(west, born, POINTS, len(POINTS) // 2, CYCLES)
                )
            children = [await node.start(born) for node in nodes]
            for node in nodes:
                node.hear()
                async with node.visitors.browsing(node.port, number=1):
                    await node.visitors.answers()
            await drained(oracle, meta, 120.0)
            await emptied(url, schema, base=tmp_path, seconds=rounds(60.0, 1200.0))
            for child in children:
                child.signal(signal.SIGTERM)
            assert [await child.ended for child in children] == [0, 0]
        for node in nodes:
            node.hear()
        verdict = await judge_shared(oracle, url, schema, base=tmp_path)
    tell("kill -9 of two nodes", cycles=2 * CYCLES, at_points=dict(reached[0] + reached[1]), verdict=verdict)
    tell_let_go(oracle, verdict)
    assert verdict.complaints == []
    assert verdict.answered > 0
    assert verdict.share_let_go <= MOST_LET_GO
    assert sum((reached[0] + reached[1]).values()) >= CYCLES  # most died where they should
