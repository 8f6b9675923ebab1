"""How many appends a second the sqlite outbox makes durable, beside one transaction for each, and beside postgres.

    python tests/benchmarks/bench_outbox.py [--backlog 1000000]

Both sides run the same statements with the same settings on the same kind of file; only the grouping differs. Rounds
alternate, and ratios of one run are what to compare: disks differ and machines are noisy. PostgreSQL shares the cores
with the benchmark. Then how many items a second are leased and settled as delivered, by one worker, beside one at a
time; and with `--backlog` what sqlite does with so many items that wait, beside what it did without (1.5 GB of disk and
some minutes for a million).
What encryption adds to an event comes first.
"""

import argparse
import asyncio
import hashlib
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
        await append(item_of(next(numbers), pixel_id="1"))
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
            store.append([([item], time.time())])

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


def waiting(numbers: range) -> list[NewItem]:
    """Of four pixels."""
    return [item_of(number, pixel_id=str(number % 4)) for number in numbers]


def item_of(number: int, pixel_id: str) -> NewItem:
    """A twin: what names it and its browser comes in no order."""
    key, subject = (hashlib.blake2b(f"{kind} {number}".encode(), digest_size=16).digest() for kind in ("key", "fbp"))
    return NewItem("conversions_api", pixel_id, key, PAYLOAD, subject)


async def fill(outbox: Outbox, numbers: range) -> float:
    """Append the items, 500 at a time; how many a second."""
    began = time.perf_counter()
    for begin in range(numbers.start, numbers.stop, 500):
        await outbox.append(waiting(range(begin, min(begin + 500, numbers.stop))))
    return len(numbers) / (time.perf_counter() - began)


async def drain(outbox: Outbox, number: int, batch: int) -> float:
    """Items a second from their lease to their end, for so many of those that wait."""
    began, left = time.perf_counter(), number
    while left > 0:
        lease = await outbox.lease("conversions_api", limit=min(batch, left), seconds=60)
        left -= await outbox.settle(lease, {item.seq: Delivered() for item in lease.items})
    return number / (time.perf_counter() - began)


async def deliver(name: str, batch: int, url: str) -> tuple[float, float]:
    """Items a second in leases of so many, and in leases of one."""
    with tempfile.TemporaryDirectory() as folder:
        outbox = await ENGINES[name](Path(folder), url)
        await fill(outbox, range(WAITING))
        alone = await drain(outbox, WAITING // 20, 1)
        together = await drain(outbox, WAITING - WAITING // 20, batch)
        await outbox.close()
    return together, alone


async def compare_deliveries(batch: int, url: str) -> None:
    columns = []
    for name in ENGINES:
        rounds = [await deliver(name, batch, url) for _ in range(ROUNDS)]
        together, alone = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        columns.append(f"{together:>9,.0f}/s {alone:>9,.0f}/s {together / alone:>6.1f} x")
    print(f"{batch:>9}   {'   '.join(columns)}")


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


async def compare_backlog(rows: int) -> None:
    """The same appends and deliveries before and behind a backlog."""
    with tempfile.TemporaryDirectory() as folder:
        outbox = await sqlite.open_outbox(sqlite.Settings(), base=Path(folder))
        empty = await fill(outbox, range(WAITING)), await drain(outbox, WAITING, 1000)
        await fill(outbox, range(WAITING, WAITING + rows))
        numbers = range(WAITING + rows, 2 * WAITING + rows)
        behind = await fill(outbox, numbers), await drain(outbox, WAITING, 1000)
        await outbox.close()
    for what, before, after in zip(("appended", "leased and settled"), empty, behind, strict=True):
        print(f"{what:<19} {before:>9,.0f}/s empty {after:>9,.0f}/s behind {rows:,} {after / before:>6.2f} x")


async def main(backlog: int) -> None:
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
        print("            sqlite, leased and settled           postgres, leased and settled")
        print("    lease    as leased   one by one     ratio     as leased   one by one     ratio")
        for batch in (50, 200, 1000):
            await compare_deliveries(batch, url)
    if backlog:
        print()
        await compare_backlog(backlog)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--backlog", type=int, default=0, help="rows that wait meanwhile")
    asyncio.run(main(parser.parse_args().backlog))
