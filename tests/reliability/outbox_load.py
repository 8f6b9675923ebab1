"""A live SQLite outbox at work, and the log of its disk and of what it has promised: what a power cut is judged by.

It is the engine as the product opens it, with its writer thread and its own checkpoints; many producers append, some
workers lease and settle, until so many items were appended. `recorded` runs it in a process of its own, because
SQLite's files are logged for a process as a whole.
"""

import asyncio
import itertools
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.processes import ROOT
from tests.reliability.power_cut import Operation, logging

from pixeltwin.delivery.outbox import Delivered, Dropped, Expired, Later, NewItem, Outbox, Outcome, Refused
from pixeltwin.outboxes import sqlite

CAPI: Final = "conversions_api"
PRODUCERS: Final = 12
WORKERS: Final = 3
PAUSE: Final = 0.03  # seconds at most between two hits of a producer, so that commits are many and small
OUTCOMES: Final[tuple[Outcome, ...]] = (
    *(Delivered(), Delivered(), Delivered(), Later(4e9, "HTTP 503")),  # due when all of this is over
    *(Refused("bad", "100/2804050"), Expired("too old"), Dropped("no consent")),
)


@dataclass(frozen=True, slots=True)
class Appending:
    number: int


@dataclass(frozen=True, slots=True)
class Appended:
    number: int


@dataclass(frozen=True, slots=True)
class Leased:
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settling:
    outcomes: Mapping[int, Outcome]


@dataclass(frozen=True, slots=True)
class Settled:
    outcomes: Mapping[int, Outcome]


@dataclass(frozen=True, slots=True)
class Closing:
    """What is under lease is let go of: it was not sent."""


type Word = Appending | Appended | Leased | Settling | Settled | Closing  # words in `-ed` are promises: it is durable
type Entry = Operation | Word


def chance_of(seed: int | str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - to do the same again, not to be secret


@cache
def payload_of(number: int) -> bytes:
    """Of many lengths, from some bytes to more than a page."""
    return b"%d " % number + chance_of(number).randbytes(number * 37 % 5000)


def new_item(number: int) -> NewItem:
    return NewItem(
        destination=CAPI,
        pixel_id=str(number % 3),
        key=b"key %d" % number,
        payload=payload_of(number),
        priority=number % 5 == 0,
    )


async def produce(outbox: Outbox, numbers: Iterator[int], log: list[Entry], chance: random.Random) -> None:
    for number in numbers:
        await asyncio.sleep(chance.random() * PAUSE)
        log.append(Appending(number))
        await outbox.append([new_item(number)])
        log.append(Appended(number))


async def work(outbox: Outbox, log: list[Entry], chance: random.Random) -> None:
    while True:
        lease = await outbox.lease(CAPI, limit=chance.randint(1, 12), seconds=600)
        if not lease.items:
            await outbox.wait(CAPI, seconds=600)
            continue
        numbers = {item.seq: int(item.payload.partition(b" ")[0]) for item in lease.items}
        log.append(Leased(tuple(numbers.values())))
        await asyncio.sleep(chance.random() * 0.01)  # a post's time
        outcomes: dict[int, Outcome] = {seq: chance.choice(OUTCOMES) for seq in numbers}
        named = {numbers[seq]: outcome for seq, outcome in outcomes.items()}
        log.append(Settling(named))
        await outbox.settle(lease, outcomes)
        log.append(Settled(named))


async def live(folder: Path, durability: Any, items: int, log: list[Entry]) -> None:
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db"), durability=durability), base=folder)
    workers = [asyncio.create_task(work(outbox, log, chance_of(seed))) for seed in range(WORKERS)]
    numbers = itertools.islice(itertools.count(), items)
    await asyncio.gather(*(produce(outbox, numbers, log, chance_of(seed)) for seed in range(PRODUCERS)))
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    log.append(Closing())
    await outbox.close()


def main() -> None:
    """In the process that is logged: a folder, a durability and a number of items in, a pickled log out."""
    folder, durability, items = sys.argv[1:]
    log: list[Entry] = []
    with logging(log.append):
        asyncio.run(live(Path(folder), durability, int(items), log))
    pickle.dump(log, sys.stdout.buffer)


def recorded(folder: Path, durability: str, items: int) -> list[Entry]:
    """The log of a load of so many items in that folder."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()", str(folder), durability, str(items)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    log: list[Entry] = pickle.loads(done.stdout)  # noqa: S301 - of our own child
    return log
