"""The counts of what ever happened, which are written in the transaction of what they count."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import apsw

from pixeltwin.delivery.outbox import Tally

COUNT: Final = """
INSERT INTO tally (destination, what, number) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET number = number + excluded.number
"""
READ: Final = "SELECT destination, what, number FROM tally"


class Tallies:
    """Counts are gathered, so that a transaction writes each of them once: `write` before its end, or `forget`.

    Plain dictionaries: a `collections.Counter` costs a small transaction as much as a row.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._new: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._accepted: defaultdict[str, int] = defaultdict(int)

    def add(self, destination: str, what: str, number: int = 1) -> None:
        self._new[destination, what] += number

    def write(self) -> None:
        self._db.executemany(COUNT, [(*name, number) for name, number in self._new.items()])
        for (destination, what), number in self._new.items():
            if what == "accepted":
                self._accepted[destination] += number
        self._new.clear()

    def committed(self) -> Mapping[str, int]:
        """How much of what was written is accepted items, by destination; told once."""
        accepted, self._accepted = self._accepted, defaultdict(int)
        return accepted

    def forget(self) -> None:
        self._new.clear()
        self._accepted.clear()

    def read(self) -> dict[str, Tally]:
        self.write()
        counts: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for destination, what, number in self._db.execute(READ):
            counts[destination][what] = number
        return {destination: Tally(**theirs) for destination, theirs in sorted(counts.items())}
