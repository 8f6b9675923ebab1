"""Which items are about a browser.

An index on the disk would change a page of its own with each item that comes and each that goes, which costs more than
all the rest of it, and nearly every item has gone before anybody asks. So this one is in memory, some 20 bytes an item,
and made anew whenever the file is opened: a second for a million items that wait. It knows the beginning of a subject
only, so what is found may be about somebody else; it may also have gone.
"""

import struct
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import apsw

from pixeltwin.outboxes.sqlite.flights import json_array

MANY: Final = 1 << 13  # items in a volume, some ms to look for
SAMPLE: Final = 64  # of them, which are looked for first
LOOKED_AT: Final = 2  # volumes, whenever one is full: at worst half of what is kept has gone, and of the newest all
ENTRY: Final = struct.Struct(">8sQ")  # the beginning of a subject, or all of it and zeros; the item's `seq`
NAME: Final = struct.Struct(">8s")

ALL: Final = "SELECT seq, subject FROM outbox WHERE subject IS NOT NULL"
THERE: Final = "SELECT seq FROM json_each(?) CROSS JOIN outbox ON seq = value"


class Volume:
    """The entries of some items, on shelves by the first byte of the subject, to be searched in a microsecond."""

    def __init__(self) -> None:
        self.count = 0
        self._shelves: defaultdict[bytes, bytearray] = defaultdict(bytearray)

    def add(self, seq: int, subject: bytes) -> None:
        self._shelves[subject[:1]] += ENTRY.pack(subject, seq)
        self.count += 1

    def find(self, subject: bytes) -> Iterator[int]:
        """The `seq` of each entry of that name."""
        name, shelf = NAME.pack(subject), self._shelves.get(subject[:1], b"")
        at = shelf.find(name)
        while at >= 0:
            if at % ENTRY.size == 0:
                yield ENTRY.unpack_from(shelf, at)[1]
            at = shelf.find(name, at + 1)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        for shelf in self._shelves.values():
            for name, seq in ENTRY.iter_unpack(shelf):
                yield seq, name


class Browsers:
    """The index: a volume that is filled, and the full ones, of which the first is looked at next."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._new = Volume()
        self._full: deque[Volume] = deque()
        self._is_read = False

    def read(self) -> None:
        """Know what the file has, if it was not read yet."""
        if self._is_read:
            return
        for seq, subject in self._db.execute(ALL):
            self.enter(seq, subject)
        self._is_read = True

    def enter(self, seq: int, subject: bytes) -> None:
        self._new.add(seq, subject)
        if self._new.count >= MANY:
            self._full.append(self._new)
            self._new = Volume()
            self._tidy()

    def seqs_of(self, subject: bytes) -> list[int]:
        """The items about a browser, and maybe others, and such as have gone."""
        return [seq for volume in (*self._full, self._new) for seq in volume.find(subject)]

    def _tidy(self) -> None:
        """Keep only what is still there of some volumes, where that seems to be less than half."""
        for _ in range(min(LOOKED_AT, len(self._full))):
            volume = self._full.popleft()
            sample = list(islice(volume.entries(), SAMPLE))
            if len(self._there(sample)) >= len(sample) / 2:
                self._full.append(volume)
            else:
                for seq, name in self._there(list(volume.entries())):
                    self._new.add(seq, name)

    def _there(self, entries: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Those that are still there."""
        there = {seq for (seq,) in self._db.execute(THERE, (json_array([seq for seq, _ in entries]),))}
        return [entry for entry in entries if entry[0] in there]
