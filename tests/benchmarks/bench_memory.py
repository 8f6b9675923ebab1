"""What remembering costs: `recall` and `remember` of a lease of 500 events, beside what is known already.

    python tests/benchmarks/bench_memory.py [--entries 100000]

Visitors have eight hashes each and are remembered by browser and by external_id, and every tenth event names an order.
Known visitors say nothing new, changed ones moved house, new ones were never seen. Anonymous ones are found by `fbp`.
"""

import argparse
import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from pixeltwin.capi.event import EventJson, ServerEvent
from pixeltwin.enrich.memory import Memory, enriched, keys_of, to_remember, together
from pixeltwin.memories import memory, sqlite

PIXEL: Final = "1234567890123456"
LEASE: Final = 500
ROUNDS: Final = 20
DAYS: Final = 90 * 86_400.0
KEYS: Final = ("em", "ph", "fn", "ln", "ct", "st", "zp", "external_id")
UA: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def event(number: int, *, city: str = "", anonymous: bool = False, order: bool = False) -> EventJson:
    device = {"fbp": f"fb.1.1795461790000.{number}", "client_ip_address": "203.0.113.9", "client_user_agent": UA}
    person: dict[str, Any] = {} if anonymous else {key: [_hash(f"{key}{number}")] for key in KEYS}
    if city:
        person["ct"] = [_hash(city)]
    return ServerEvent.model_validate(
        {
            "event_name": "PageView",
            "event_time": 1_795_461_800,
            "event_id": str(number),
            "event_source_url": "https://www.shop.example/p/1",
            "user_data": {**device, **person},
            "custom_data": {"order_id": str(number)} if order else None,
        }
    ).as_json()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def lease(store: Memory, events: list[EventJson]) -> tuple[float, float]:
    """Seconds of CPU for what a lease recalls and for what it remembers, everything around the engine included."""
    began = time.process_time()
    keys = [keys_of(PIXEL, one, posted=False) for one in events]
    known = await store.recall({key for some in keys for key in some})
    found = [[known[key] for key in some if key in known] for some in keys]
    filled = [enriched(one, known)[0] for one, known in zip(events, found, strict=True)]
    recalled = time.process_time()
    entries = together(to_remember(PIXEL, one, more) for one, more in zip(events, filled, strict=True))
    await store.remember(entries, DAYS)
    return recalled - began, time.process_time() - recalled


async def fill(store: Memory, entries: int) -> None:
    for first in range(0, entries // 2, 5000):
        people = (to_remember(PIXEL, one, one) for one in map(event, range(first, first + 5000)))
        await store.remember(together(people), DAYS)


def leases(entries: int) -> Iterator[tuple[str, list[list[EventJson]]]]:
    people = entries // 2
    some = [[(turn * 7919 + place * 97) % people for place in range(LEASE)] for turn in range(ROUNDS)]
    new = [range(people + turn * LEASE, people + (turn + 1) * LEASE) for turn in range(ROUNDS)]
    yield "anonymous", [[event(number, anonymous=True) for number in turn] for turn in some]
    yield "known", [[event(number, order=place % 10 == 0) for place, number in enumerate(turn)] for turn in some]
    yield "changed", [[event(number, city=f"{place}") for number in turn] for place, turn in enumerate(some)]
    yield "new", [[event(number, order=number % 10 == 0) for number in turn] for turn in new]


async def bench(name: str, store: Memory, entries: int) -> None:
    await fill(store, entries)
    for kind, turns in leases(entries):
        took = [await lease(store, events) for events in turns]
        recall, remember = (statistics.median(times) / LEASE * 1e6 for times in zip(*took, strict=True))
        print(f"{name:<8} {kind:<10} recall {recall:5.0f} µs, remember {remember:5.0f} µs of CPU an event")
    began = time.perf_counter()
    gone = await store.forget([_hash("em7"), _hash("ph7"), _hash("external_id7")])
    print(f"{name:<8} forgetting one of {entries:,} entries: {time.perf_counter() - began:.2f} s, {gone} gone")
    await store.close()


async def bench_all(folder: Path, entries: int) -> None:
    room = entries * 2
    await bench("memory", await memory.open_memory(memory.Settings(kind="memory", max=room), base=folder), entries)
    await bench("sqlite", await sqlite.open_memory(sqlite.Settings(max=room), base=folder), entries)
    print(f"{(folder / 'data' / 'identities.db').stat().st_size / entries:.0f} bytes of file an entry")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=100_000)
    entries = parser.parse_args().entries
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder:
        asyncio.run(bench_all(Path(folder), entries))


if __name__ == "__main__":
    main()
