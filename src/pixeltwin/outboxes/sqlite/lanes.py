"""What may be leased: the items of a destination lie in lanes, one for each pixel and priority.

Each question is a few steps into an index, whatever the number of items that wait.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import apsw

from pixeltwin.delivery.shares import ends, in_turn, shares

# From one pixel or priority straight to the next: a lane is found in one step, however many items lie in it. Its `due`
# is when the first of them is that is under no lease; one statement for all, as it is asked after every commit.
LANES: Final = """
WITH RECURSIVE
pixel (id) AS (
    SELECT min(pixel_id) FROM outbox WHERE destination = ?1
    UNION ALL
    SELECT (SELECT min(pixel_id) FROM outbox WHERE destination = ?1 AND pixel_id > id) FROM pixel WHERE id IS NOT NULL
),
lane (pixel_id, priority) AS (
    SELECT id, (SELECT max(priority) FROM outbox WHERE destination = ?1 AND pixel_id = id)
    FROM pixel WHERE id IS NOT NULL
    UNION ALL
    SELECT pixel_id, (
        SELECT max(outbox.priority) FROM outbox
        WHERE destination = ?1 AND outbox.pixel_id = lane.pixel_id AND outbox.priority < lane.priority
    )
    FROM lane WHERE priority IS NOT NULL
)
SELECT pixel_id, priority, (
    SELECT due FROM outbox
    WHERE destination = ?1 AND outbox.pixel_id = lane.pixel_id AND outbox.priority = lane.priority AND deadline > ?2
        AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?2)
    ORDER BY due LIMIT 1
) AS due
FROM lane WHERE priority IS NOT NULL AND due IS NOT NULL ORDER BY pixel_id, priority DESC
"""
PARKED: Final = "SELECT pixel_id, until FROM park WHERE destination = ?1 AND until > ?2"

# The statements about one lane: what is free of it by now, or will be.
WITHIN: Final = """
FROM outbox WHERE destination = ?1 AND pixel_id = ?2 AND priority = ?3 AND deadline > ?4
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?4)
"""
# From the new end, where the fewest are past their deadline.
COUNT: Final = "SELECT count(*) FROM (SELECT 1 " + WITHIN + " AND due <= ?4 ORDER BY due DESC LIMIT ?5)"  # noqa: S608 - made of constants
OLDEST: Final = "SELECT seq " + WITHIN + " AND due <= ?4 ORDER BY due, seq LIMIT ?5"
NEWEST: Final = "SELECT seq " + WITHIN + " AND due <= ?4 ORDER BY due DESC, seq DESC LIMIT ?5"
NEXT_END: Final = "SELECT min(ends_at) FROM leased WHERE destination = ?1 AND ends_at > ?2"


class Lanes:
    """The items that wait, as a lease looks at them. Whose turn it is, is remembered until the file is closed."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._firsts: defaultdict[str, str] = defaultdict(str)  # the pixel that began the last lease, by destination

    def choose(self, destination: str, limit: int, now: float) -> list[int]:
        """The `seq` of what is leased next."""
        parked = self._parked(destination, now)
        lanes: defaultdict[str, list[int]] = defaultdict(list)
        for pixel, priority, due in self._db.execute(LANES, (destination, now)):
            if due <= now and pixel not in parked:
                lanes[pixel].append(priority)

        def count(pixel: str, most: int) -> int:
            return self._count(destination, pixel, lanes[pixel], most, now)

        given = shares(limit, in_turn(lanes, self._firsts[destination]), count)
        self._firsts[destination] = next(iter(given), self._firsts[destination])
        best = (self._best(destination, pixel, lanes[pixel], number, now) for pixel, number in given.items())
        return [seq for seqs in best for seq in seqs]

    def next_due(self, destination: str, now: float) -> float:
        """When the destination's next item is or becomes free to lease; infinity when nothing waits."""
        parked = self._parked(destination, now)
        ((ending,),) = self._db.execute(NEXT_END, (destination, now))
        lanes = self._db.execute(LANES, (destination, now))
        dues: list[float] = [max(due, parked.get(pixel, due)) for pixel, _, due in lanes]
        return min([math.inf if ending is None else ending, *dues])

    def _parked(self, destination: str, now: float) -> Mapping[str, float]:
        return dict(self._db.execute(PARKED, (destination, now)))

    def _count(self, destination: str, pixel: str, priorities: Sequence[int], most: int, now: float) -> int:
        """How many items of the pixel can be leased, `most` at most."""
        found = 0
        for priority in priorities:
            ((more,),) = self._db.execute(COUNT, (destination, pixel, priority, now, most - found))
            found += more
        return found

    def _best(self, destination: str, pixel: str, priorities: Sequence[int], number: int, now: float) -> list[int]:
        """So many of the pixel's items; of the last priority that has room, both ends."""
        best: list[int] = []
        for priority in priorities:
            best += self._both_ends((destination, pixel, priority, now), number - len(best))
        return best

    def _both_ends(self, lane: tuple[Any, ...], room: int) -> list[int]:
        """The lane's oldest and newest; everything where there is no more than there is room for."""
        newest, oldest = ends(room)
        both = (*self._db.execute(OLDEST, (*lane, oldest)), *self._db.execute(NEWEST, (*lane, newest)))
        return list(dict.fromkeys(seq for (seq,) in both))
