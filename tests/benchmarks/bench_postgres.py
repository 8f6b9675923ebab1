"""What the outboxes of four nodes on one PostgreSQL carry, beside one on SQLite, in the same minute.

    python tests/benchmarks/bench_postgres.py

The four outboxes are in this one process, and no hit is taken and nothing is posted: two have producers that append,
two lease and settle as delivered what is stored meanwhile; PostgreSQL shares the cores. Two gateways and two workers as
processes, from hit to Meta, are `bench_delivery.py --nodes`. Then what a lease costs while somebody's transaction
keeps every delivered row, at the beginning and after thousands of them. Appends alone, at 1, 32 and 256 producers, and
leases alone are in bench_outbox.py. Ratios of one run are what to compare.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import asyncpg

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.sources import postgres as servers

from pixeltwin.delivery.outbox import Delivered, NewItem, Outbox
from pixeltwin.outboxes import postgres, sqlite

ROUNDS: Final = 3
SECONDS: Final = 2.0  # of appending, a round
PRODUCERS: Final = 32  # of an outbox that takes
PIXELS: Final = 8
PAYLOAD: Final = b"x" * 1220  # a Conversions API event's size
HELD_STEPS: Final = 100  # of 250 items
CAPI: Final = "conversions_api"
SCHEMAS: Final = itertools.count()


async def end_to_end(gateways: Sequence[Outbox], workers: Sequence[Outbox]) -> float:
    """Items a second from their append to their end, until the last has ended."""
    numbers, stopping = itertools.count(), asyncio.Event()
    began = time.perf_counter()

    async def produce(gateway: Outbox) -> None:
        while time.perf_counter() - began < SECONDS:
            number = next(numbers)
            pixel = str(number % PIXELS)
            await gateway.append([NewItem(destination=CAPI, pixel_id=pixel, key=number.to_bytes(16), payload=PAYLOAD)])

    async def work(worker: Outbox) -> int:
        delivered = 0
        while True:
            lease = await worker.lease(CAPI, limit=1000, seconds=60)
            delivered += await worker.settle(lease, {item.seq: Delivered() for item in lease.items})
            if not lease.items:
                if stopping.is_set() and not await worker.stats():
                    return delivered
                await worker.wait(CAPI, seconds=0.2)

    working = asyncio.gather(*(work(worker) for worker in workers))
    await asyncio.gather(*(produce(gateway) for gateway in gateways for _ in range(PRODUCERS)))
    stopping.set()
    return sum(await working) / (time.perf_counter() - began)


async def with_postgres(url: str) -> float:
    schema = f"bench_{next(SCHEMAS)}"
    async with AsyncExitStack() as stack:
        nodes = [await node(stack, url, schema) for _ in range(4)]
        return await end_to_end(nodes[:2], nodes[2:])


async def node(stack: AsyncExitStack, url: str, schema: str) -> Outbox:
    """Patient: what goes to the spool would be SQLite's."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    settings = postgres.Settings(kind="postgres", url=url, schema=schema, append_timeout="10s")
    outbox = await postgres.open_outbox(settings, base=Path(folder))
    stack.push_async_callback(outbox.close)
    return outbox


async def with_sqlite(url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        outbox = await sqlite.open_outbox(sqlite.Settings(), base=Path(folder))
        rate = await end_to_end([outbox], [outbox])
        await outbox.close()
    return rate


async def leases_while_held(url: str) -> list[float]:
    """Seconds of each lease, in their order, while a transaction keeps what is delivered."""
    async with AsyncExitStack() as stack:
        outbox = await node(stack, url, f"bench_{next(SCHEMAS)}")
        reader = await asyncpg.connect(url)
        stack.push_async_callback(reader.close)
        await stack.enter_async_context(reader.transaction(isolation="repeatable_read"))
        await reader.fetch("SELECT FROM pg_class")
        return [await one_lease(outbox) for _ in range(HELD_STEPS)]


async def one_lease(outbox: Outbox) -> float:
    items = [NewItem(destination=CAPI, pixel_id=str(n % PIXELS), key=None, payload=PAYLOAD) for n in range(250)]
    await outbox.append(items)
    began = time.perf_counter()
    lease = await outbox.lease(CAPI, limit=1000, seconds=60)
    took = time.perf_counter() - began
    await outbox.settle(lease, {item.seq: Delivered() for item in lease.items})
    return took


async def main() -> None:
    with servers.postgres() as url:
        sides = {with_sqlite: [], with_postgres: []}
        for _ in range(ROUNDS):
            for side, rates in sides.items():
                rates.append(await side(url))
        one, four = (statistics.median(rates) for rates in sides.values())
        print("appended, leased and settled")
        print(f"sqlite, one for both                      {one:>9,.0f}/s")
        print(f"postgres, two that append, two that lease {four:>9,.0f}/s   {four / one:.2f} x")
        waits = await leases_while_held(url)
        first, last = (statistics.median(part) * 1000 for part in (waits[:20], waits[-20:]))
        print("a lease of 250 while a transaction keeps what was delivered")
        print(
            f"first 5,000 items {first:.1f} ms, after {HELD_STEPS * 250:,} items {last:.1f} ms   {last / first:.2f} x"
        )


if __name__ == "__main__":
    asyncio.run(main())
