"""Keys that came lately, which `seen` gets later: many at a time, and neighbours together.

Keys come in no order. A row in `seen` for each as it comes would change a page of its own, to be logged, synced and
written to the file: more than all the rest of a hit costs the disk. So they are kept in memory until there are `MANY`;
then each transaction takes along the next few in the table's order, whose pages are mostly the same. Meanwhile they are
on the disk as they came, in `lately`. (InnoDB's change buffer does the same for its indexes:
https://dev.mysql.com/doc/refman/8.4/en/innodb-change-buffer.html)
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import Final

import apsw

from pixeltwin.delivery.outbox import NewItem

MANY: Final = 1 << 14  # keys, 4 MiB of memory with those on their way; where 500,000 are known, two share a page
LONG: Final = 3600.0  # seconds, after which fewer than many are taken along
PACE: Final = 4  # rows written, or as much work, for each item that comes: all is done before there are many again
TOGETHER: Final = 128  # rows that are written in a step, 0.3 ms
SORTED: Final = 1024  # keys that are put on their shelves in a step, as long as writing an eighth of them

type Pixel = tuple[str, str]  # a destination and its pixel
type Keys = defaultdict[Pixel, dict[bytes, float]]  # when each was accepted, in unix seconds

NOTE: Final = """
INSERT INTO lately (seq, destination, pixel_id, key, at)
SELECT seq, destination, pixel_id, key, appended_at FROM outbox WHERE seq >= ? AND key IS NOT NULL
"""
NOTED: Final = "SELECT seq, destination, pixel_id, key, at FROM lately ORDER BY seq"
FORGET: Final = "DELETE FROM lately WHERE seq IN (SELECT seq FROM lately WHERE seq <= ? ORDER BY seq LIMIT ?)"

# From the keys into the table, and not the other way round, whatever SQLite knows about either.
SEEN: Final = """
SELECT key, at FROM carray(?3) CROSS JOIN seen ON destination = ?1 AND pixel_id = ?2 AND key = value
"""
REMEMBER: Final = "INSERT OR REPLACE INTO seen (destination, pixel_id, key, at) VALUES (?, ?, ?, ?)"


@dataclass(slots=True)
class Gathered:
    """Keys that came one after the other: `count` of items, the `last` one's `seq`, and when the first one `began`."""

    keys: Keys = field(default_factory=lambda: defaultdict(dict))
    count: int = 0
    last: int = 0
    began: float = math.inf


class Lately:
    """What is gathered, and what was and is taken along now. After a doubt both are read from the file."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._looking = db.cursor()  # each `db.execute` would make its own
        self._found: Mapping[Pixel, Mapping[bytes, float]] = {}
        self._new, self._old = Gathered(), Gathered()
        self._steps: Iterator[int] | None = None
        self._is_in_doubt = True

    def doubt(self) -> None:
        """The last transaction was rolled back."""
        self._is_in_doubt = True

    def read(self) -> None:
        """Know what the file has, if that is in doubt."""
        if not self._is_in_doubt:
            return
        new = self._new = Gathered()
        self._old, self._steps = Gathered(), None
        for seq, destination, pixel_id, key, at in self._db.execute(NOTED):
            new.keys[destination, pixel_id][key] = at
            new.last, new.began = seq, -math.inf
        self._is_in_doubt = False

    def look_up(self, items: Iterable[NewItem]) -> None:
        """Prepare for questions about these items' keys."""
        asked: defaultdict[Pixel, list[bytes]] = defaultdict(list)
        for item in items:
            keys = asked[item.destination, item.pixel_id]
            if item.key is not None:
                keys.append(item.key)
        self._found = {
            pixel: dict(self._looking.execute(SEEN, (*pixel, apsw.carray(tuple(keys)))))
            for pixel, keys in asked.items()
            if keys
        }

    def accepted_at(self, pixel: Pixel, key: bytes) -> float:
        """When the key that was looked up was accepted last (unix seconds); minus infinity for never."""
        for known in (self._new.keys, self._old.keys, self._found):
            if (keys := known.get(pixel)) and (at := keys.get(key)) is not None:
                return at
        return -math.inf

    def accept(self, pixel: Pixel, key: bytes, now: float) -> None:
        self._new.keys[pixel][key] = now

    def appended(self, first: int, count: int, now: float) -> None:
        """So many items are in the table now, from this `seq` on (unix seconds)."""
        new = self._new
        new.last, new.count, new.began = first + count - 1, new.count + count, min(new.began, now)
        self._db.execute(NOTE, (first,))
        self._take_along(PACE * count, now)

    def _take_along(self, budget: int, now: float) -> None:
        while budget > 0 and (steps := self._steps or self._turn(now)):
            if (cost := next(steps, None)) is None:
                self._old, self._steps = Gathered(), None
            else:
                budget -= cost

    def _turn(self, now: float) -> Iterator[int] | None:
        """Let what is gathered be taken along from now on, if it is enough."""
        if self._new.count >= MANY or now - self._new.began >= LONG:
            self._old, self._new = self._new, Gathered()
            self._steps = self._taken(self._old)
        return self._steps

    def _taken(self, gathered: Gathered) -> Iterator[int]:
        """Bring everything to its table. Answers after each step what that cost, in rows written."""
        for pixel, known in gathered.keys.items():
            for keys in _neighbours(known):
                self._db.executemany(REMEMBER, [(*pixel, key, known[key]) for key in keys])
                yield len(keys) or SORTED // 8
        self._db.execute(FORGET, (gathered.last, TOGETHER))
        while self._db.changes():
            yield TOGETHER // 4
            self._db.execute(FORGET, (gathered.last, TOGETHER))


def _neighbours(keys: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """The keys in order, some at a time; none after a step of sorting, which must not take long either."""
    shelves: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for some in batched(keys, SORTED, strict=False):
        for key in some:
            shelves[key[:1]].append(key)
        yield ()
    for _, shelf in sorted(shelves.items()):
        yield from batched(sorted(shelf), TOGETHER, strict=False)
