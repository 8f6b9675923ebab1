"""How many appends a second the sqlite outbox makes durable, beside one transaction for each, and beside postgres.

    python tests/benchmarks/bench_outbox.py

Both sides run the same statements with the same settings on the same kind of file; only the grouping differs. Rounds
alternate, and ratios of one run are what to compare: disks differ and machines are noisy. PostgreSQL shares the cores
with the benchmark. Then how many items a second are leased and settled as delivered, by one worker. What encryption
adds to an event comes first.
"""

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.sources import postgres as servers

from pixeltwin.delivery.encryption import Cipher
from pixeltwin.delivery.outbox import Delivered, NewItem, Outbox
from pixeltwin.outboxes import postgres, sqlite
from pixeltwin.outboxes.sqlite.file import connect
from pixeltwin.outboxes.sqlite.store import Store

ROUNDS: Final = 3
SECONDS: Final = 1.2  # a round; 3 rounds of 2 sides for 3 numbers of producers stay below half a minute
WAITING: Final = 10_000  # items to lease and settle
PAYLOAD: Final = b"x" * 1220  # a Conversions API event's size

type Append = Callable[[NewItem], Awaitable[object]]


@dataclass
class Side:
    """One way to append, and what was measured of it."""

    per_second: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    async def measure(self, append: Append, producers: int) -> None:
        numbers = itertools.count()
        began = time.perf_counter()
        waits = await asyncio.gather(*(produce(append, numbers, began + SECONDS) for _ in range(producers)))
        self.waits += itertools.chain.from_iterable(waits)
        self.per_second.append(sum(map(len, waits)) / (time.perf_counter() - began))

    @property
    def rate(self) -> float:
        return statistics.median(self.per_second)

    def __str__(self) -> str:
        p50, p99 = (statistics.quantiles(self.waits, n=100)[at] * 1000 for at in (49, 98))
        return f"{self.rate:>9,.0f}/s {p50:>7.2f} {p99:>8.2f} ms"


async def produce(append: Append, numbers: Iterator[int], until: float) -> list[float]:
    """Append one event after the other; the seconds each took."""
    waits, now = [], time.perf_counter()
    while now < until:
        item = NewItem(destination="conversions_api", pixel_id="1", key=next(numbers).to_bytes(16), payload=PAYLOAD)
        await append(item)
        began, now = now, time.perf_counter()
        waits.append(now - began)
    return waits


async def grouped(side: Side, folder: Path, producers: int) -> float:
    """Measure the outbox; the events that shared a commit, on average."""
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=folder)
    assert isinstance(outbox, sqlite.SqliteOutbox)
    await side.measure(lambda item: outbox.append([item]), producers)
    stored = (await outbox.stats())["conversions_api"].ready
    await outbox.close()
    return stored / outbox.commits


async def one_by_one(side: Side, folder: Path, producers: int) -> None:
    """Measure one transaction an event, on a thread of its own so that the event loop stays free."""
    store = Store(connect(folder / "single.db"))

    def append(item: NewItem) -> None:
        with store.transaction():
            store.append([item], time.time())

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        await side.measure(lambda item: loop.run_in_executor(pool, append, item), producers)


async def compare(producers: int) -> None:
    group, single, sizes = Side(), Side(), []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            sizes.append(await grouped(group, Path(folder), producers))
            await one_by_one(single, Path(folder), producers)
    ratio, size = group.rate / single.rate, statistics.median(sizes)
    print(f"{producers:>9}   {group}   {single}   {ratio:>6.1f} x   {size:>8.1f}")


async def open_sqlite(folder: Path, url: str) -> Outbox:
    return await sqlite.open_outbox(sqlite.Settings(), base=folder)


async def open_postgres(folder: Path, url: str) -> Outbox:
    """In a schema of its own, and patient: what goes to the spool would be SQLite's."""
    settings = postgres.Settings(kind="postgres", url=url, schema=f"bench_{next(SCHEMAS)}", append_timeout="10s")
    return await postgres.open_outbox(settings, base=folder)


SCHEMAS: Final = itertools.count()
ENGINES: Final = {"sqlite": open_sqlite, "postgres": open_postgres}


async def compare_engines(producers: int, url: str) -> None:
    sides = {name: Side() for name in ENGINES}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                outbox = await ENGINES[name](Path(folder), url)
                await side.measure(lambda item, outbox=outbox: outbox.append([item]), producers)
                await outbox.close()
    print(f"{producers:>9}   {sides['sqlite']}   {sides['postgres']}")


async def deliver(name: str, batch: int, url: str) -> float:
    """Items a second from their lease to their end."""
    items = [
        NewItem(destination="conversions_api", pixel_id=str(n % 4), key=n.to_bytes(16), payload=PAYLOAD)
        for n in range(WAITING)
    ]
    with tempfile.TemporaryDirectory() as folder:
        outbox = await ENGINES[name](Path(folder), url)
        for begin in range(0, WAITING, 1000):
            await outbox.append(items[begin : begin + 1000])
        began = time.perf_counter()
        while (lease := await outbox.lease("conversions_api", limit=batch, seconds=60)).items:
            await outbox.settle(lease, {item.seq: Delivered() for item in lease.items})
        took = time.perf_counter() - began
        await outbox.close()
    return WAITING / took


async def compare_deliveries(batch: int, url: str) -> None:
    rates = {name: [await deliver(name, batch, url) for _ in range(ROUNDS)] for name in ENGINES}
    sqlite_rate, postgres_rate = (statistics.median(rates[name]) for name in ENGINES)
    print(f"{batch:>9}   {sqlite_rate:>9,.0f}/s   {postgres_rate:>9,.0f}/s")


def time_encryption() -> None:
    """What `outbox.encryption` costs an event, once when it comes and once when it is sent."""
    cipher = Cipher([bytes(32)])
    began = time.perf_counter()
    sealed = [cipher.seal(PAYLOAD, b"conversions_api\0001") for _ in range(WAITING)]
    between = time.perf_counter()
    for one in sealed:
        cipher.open(one, b"conversions_api\0001")
    times = (between - began, time.perf_counter() - between)
    print("encryption: {:.1f} µs to seal an event, {:.1f} µs to open it".format(*(1e6 * it / WAITING for it in times)))


async def main() -> None:
    time_encryption()
    print()
    print("            group commit                     one transaction each                      events a")
    print("producers    durable      p50      p99        durable      p50      p99       ratio   commit")
    for producers in (1, 32, 256):
        await compare(producers)
    with servers.postgres() as url:
        print()
        print("            sqlite                           postgres")
        print("producers    durable      p50      p99        durable      p50      p99")
        for producers in (1, 32, 256):
            await compare_engines(producers, url)
        print()
        print("    lease   sqlite        postgres       leased and settled")
        for batch in (50, 200, 1000):
            await compare_deliveries(batch, url)


if __name__ == "__main__":
    asyncio.run(main())
