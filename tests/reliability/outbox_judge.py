"""Judges what an outbox finds after its disk was cut off: everything that was acknowledged, and nothing else."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import apsw
from tests.reliability import outbox_load
from tests.reliability.outbox_load import (
    CAPI,
    Appending,
    Closing,
    Leased,
    Settled,
    Settling,
    Word,
    new_item,
    payload_of,
)

from pixeltwin.delivery.outbox import (
    Appended,
    Delivered,
    Depth,
    Dropped,
    Expired,
    Later,
    Letter,
    Outbox,
    Outcome,
    Refused,
    Tally,
    Waiting,
)
from pixeltwin.outboxes import sqlite

ALL: Final = 1_000_000

LOST: Final = "lost"
DUPLICATED: Final = "accepted twice"
UNDATED: Final = "may have been sent, and has no deadline"
CORRUPT: Final = "corrupt"
STUCK: Final = "a fresh item did not pass"
LOSSES: Final = {LOST, DUPLICATED, UNDATED}  # what it is to go back to an earlier state, a sound one


@dataclass
class Promises:
    """What was said before the cut. What was begun but not acknowledged may have happened or not."""

    begun: set[int] = field(default_factory=set)
    appended: set[int] = field(default_factory=set)
    leased: set[int] = field(default_factory=set)
    settling: dict[int, Outcome] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)

    def hear(self, word: Word) -> None:
        match word:
            case Appending(number):
                self.begun.add(number)
            case outbox_load.Appended(number):
                self.appended.add(number)
            case Leased(numbers):
                self.leased.update(numbers)
            case Settling(outcomes):
                self.settling.update(outcomes)
            case Settled(outcomes):
                self.settled.update(outcomes)
            case Closing():
                self.leased.clear()

    @property
    def undecided(self) -> set[int]:
        """Items whose settle was begun and not acknowledged."""
        return self.settling.keys() - self.settled

    @property
    def in_flight(self) -> set[int]:
        return self.leased - self.settling.keys()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the engine finds in what is left.

    `repeats` is what it says to a repeat of each item it had accepted, `passes` whether a fresh one came and went.
    """

    waiting: Sequence[Waiting]
    letters: Sequence[Letter]
    depth: Depth
    tally: Tally
    repeats: Mapping[int, Appended]
    passes: bool
    integrity: str


async def look(folder: Path, promises: Promises) -> Found:
    """Open what is left as the product does. Raises OSError where that is impossible."""
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=folder)
    numbers = sorted(promises.appended)
    try:
        found: dict[str, Any] = {
            "waiting": await outbox.waiting(limit=ALL),
            "letters": await outbox.letters(limit=ALL),
            "depth": (await outbox.stats()).get(CAPI, Depth()),
            "tally": (await outbox.tally()).get(CAPI, Tally()),
        }
        answers = await outbox.append([new_item(number) for number in numbers])
        passes = await passes_through(outbox, max(promises.begun, default=0) + 1)
    finally:
        await outbox.close()
    repeats = dict(zip(numbers, answers, strict=True))
    return Found(**found, repeats=repeats, passes=passes, integrity=integrity_of(folder))


async def passes_through(outbox: Outbox, number: int) -> bool:
    """Whether an item that was never there is accepted, leased as it is, delivered once and gone."""
    before = (await outbox.tally()).get(CAPI, Tally())
    is_new = await outbox.append([new_item(number)]) == [Appended.ACCEPTED]
    lease = await outbox.lease(CAPI, limit=ALL, seconds=600)
    fresh = [item.seq for item in lease.items if item.payload == payload_of(number)]
    is_settled = await outbox.settle(lease, dict.fromkeys(fresh, Delivered())) == 1  # the others are let go
    after = (await outbox.tally()).get(CAPI, Tally())
    is_counted = after == replace(before, accepted=before.accepted + 1, delivered=before.delivered + 1)
    is_gone = number not in map(number_of, await outbox.waiting(limit=ALL))
    return is_new and is_settled and is_counted and is_gone


def integrity_of(folder: Path) -> str:
    db = apsw.Connection(str(folder / "outbox.db"))
    try:
        return str(db.pragma("integrity_check"))
    finally:
        db.close()


def number_of(one: Waiting | Letter) -> int:
    return int(one.payload.partition(b" ")[0])


class Judge:
    """Compares what was promised with what was found."""

    def __init__(self, promises: Promises, found: Found) -> None:
        self._promises = promises
        self._undecided = promises.undecided
        self._found = found
        self._there = [*found.waiting, *found.letters]
        self._waiting = {number_of(one): one for one in found.waiting}
        self._letters = {number_of(one): one for one in found.letters}

    def faults(self) -> dict[str, Sequence[object]]:
        """Every promise that was broken, with what shows it."""
        promises, found = self._promises, self._found
        waiting = self._waiting
        times = Counter(map(number_of, self._there))
        faults: dict[str, Sequence[object]] = {
            LOST: [number for number in promises.appended if not self._is_kept(number)],
            DUPLICATED: [number for number, said in found.repeats.items() if said is not Appended.DUPLICATE],
            UNDATED: [n for n in promises.in_flight & waiting.keys() if waiting[n].deadline == math.inf],
            STUCK: [] if found.passes else [found.tally],
            "invented": [number for number in times if number not in promises.begun],
            "there twice": [number for number, often in times.items() if often > 1],
            "changed": [one.seq for one in self._there if one.payload != payload_of(number_of(one))],
            "counted wrongly": [] if self._is_counted() else [found.tally, found.depth],
            CORRUPT: [] if found.integrity == "ok" else [found.integrity],
        }
        return {what: which for what, which in faults.items() if which}

    def _is_kept(self, number: int) -> bool:
        """Whether an acknowledged item is where its last acknowledged end has put it, or one that was under way."""
        ends: list[Outcome | None] = [self._promises.settling.get(number)]
        if number in self._undecided:
            ends.append(None)
        return any(self._is_at(number, end) for end in ends)

    def _is_at(self, number: int, end: Outcome | None) -> bool:
        one, letter = self._waiting.get(number), self._letters.get(number)
        match end:
            case None:
                return one is not None and one.attempts == 0
            case Delivered() | Dropped():
                return one is None and letter is None
            case Later(at, reason):
                return one is not None and (one.due, one.last_reason, one.attempts) == (at, reason, 1)
            case Refused(reason, code):
                return letter is not None and (letter.reason, letter.code, letter.is_expired) == (reason, code, False)
            case Expired(reason):
                return letter is not None and (letter.reason, letter.is_expired) == (reason, True)

    def _is_counted(self) -> bool:
        """Whether the equation of the tally holds for the rows that there are, and the depth says the same."""
        tally, depth = self._found.tally, self._found.depth
        ended = tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged
        waits = depth.ready + depth.held + depth.leased
        return (
            tally.accepted + tally.requeued == ended + len(self._waiting)
            and tally.dead + tally.expired == tally.requeued + tally.discarded + len(self._letters)
            and (waits, depth.dead) == (len(self._waiting), len(self._letters))
        )
