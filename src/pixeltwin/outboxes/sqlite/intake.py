"""How items come in: what is known already or has no room stays out, the rest is written together."""

import math
import time
from collections.abc import Iterable, Sequence
from typing import Final

import apsw

from pixeltwin.delivery.outbox import REMEMBERED, Appended, NewItem
from pixeltwin.delivery.shedding import is_shed
from pixeltwin.outboxes.sqlite.checks import checksum_of
from pixeltwin.outboxes.sqlite.space import Space
from pixeltwin.outboxes.sqlite.tallies import Tallies

FORGET_EVERY: Final = 60.0  # seconds; what has expired is no duplicate before it is deleted, so this is housekeeping
FORGET_AT_ONCE: Final = 1000  # keys, some 5 ms: the commands of the same transaction wait for it
LOOK_EVERY: Final = 0.02  # seconds between them at most: a look costs as much as the rest of a small transaction

type Order = tuple[Sequence[NewItem], float]  # to be appended, and as of when
type NewRow = tuple[str, str, bytes | None, bytes, int, bytes | None, bool, float, float, int, float]

# Changes a row when the key is new or was accepted too long ago, else none.
REMEMBER: Final = """
INSERT INTO seen (destination, pixel_id, key, at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET at = ?4 WHERE at <= ?5
"""
SEEN: Final = "SELECT 1 FROM seen WHERE destination = ? AND pixel_id = ? AND key = ? AND at > ?"
FORGET: Final = """
DELETE FROM seen WHERE (destination, pixel_id, key) IN (
    SELECT destination, pixel_id, key FROM seen WHERE at <= ? ORDER BY at LIMIT ?
)
"""
APPEND: Final = """
INSERT INTO outbox (
    destination, pixel_id, key, payload, checksum, subject, held, due, appended_at, priority, deadline
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
"""


class Intake:
    """The tables' way in, which adds to `tallies`, and to `touched` the destinations where something is due."""

    def __init__(self, db: apsw.Connection, space: Space | None, tallies: Tallies, touched: set[str]) -> None:
        """Without a space there is room for everything."""
        self._db = db
        self._memory = db.cursor()  # one for all that is remembered: each `db.execute` would make its own
        self._space = space
        self._tallies = tallies
        self._touched = touched
        self._forget_at = -math.inf
        self._fill = 0.0
        self._until_look, self._look_at = 0, 0.0

    def look_again(self) -> None:
        """There may be more room, or less."""
        self._until_look = 0

    def look_in_time(self) -> None:
        """Look at the room again if that was long ago."""
        if time.monotonic() >= self._look_at:
            self._until_look = 0

    def append(self, orders: Iterable[Order]) -> list[list[Appended]]:
        """What becomes of the items of each order. Their rows are written together."""
        answers: list[list[Appended]] = []
        rows: list[NewRow] = []
        for items, now in orders:
            if self._until_look <= 0:
                self._insert(rows)
            fill = self._look()
            answers.append([self._append(item, fill, now, rows) for item in items])
            if now >= self._forget_at:
                self._forget(now)
        self._insert(rows)
        return answers

    def _append(self, item: NewItem, fill: float, now: float, rows: list[NewRow]) -> Appended:
        """What becomes of the item; its row is still to be written."""
        destination, pixel_id, key = item.destination, item.pixel_id, item.key
        if is_shed(item, fill):
            return self._shed(item, now)
        if key is not None:
            self._memory.execute(REMEMBER, (destination, pixel_id, key, now, now - REMEMBERED))
            if not self._db.changes():
                return Appended.DUPLICATE
        held, due = (False, now) if item.hold_until is None else (True, item.hold_until)
        payload, subject, priority, deadline = item.payload, item.subject, item.priority, item.deadline
        self._until_look -= len(payload)
        checksum = checksum_of(destination, pixel_id, key, subject, payload)
        rows.append((destination, pixel_id, key, payload, checksum, subject, held, due, now, priority, deadline))
        return Appended.ACCEPTED

    def _insert(self, rows: list[NewRow]) -> None:
        """Write the rows, and have none left."""
        if not rows:
            return
        self._db.executemany(APPEND, rows)
        destinations = [row[0] for row in rows]
        for destination in set(destinations):
            self._tallies.add(destination, "accepted", destinations.count(destination))
            self._touched.add(destination)
        rows.clear()

    def _shed(self, item: NewItem, now: float) -> Appended:
        """There is no room, but a repeat of what was accepted is a duplicate all the same."""
        if next(self._db.execute(SEEN, (item.destination, item.pixel_id, item.key, now - REMEMBERED)), None):
            return Appended.DUPLICATE
        self._tallies.add(item.destination, "shed")
        return Appended.SHED

    def _look(self) -> float:
        """How full the file is, as it was seen lately, and before much was appended."""
        if self._space and self._until_look <= 0:
            self._fill = self._space.look(self._db)
            self._until_look, self._look_at = self._space.stride, time.monotonic() + LOOK_EVERY
        return self._fill

    def _forget(self, now: float) -> None:
        """Delete old keys; when there were more than a transaction should bear, the next append goes on."""
        self._db.execute(FORGET, (now - REMEMBERED, FORGET_AT_ONCE))
        self._forget_at = now if self._db.changes() == FORGET_AT_ONCE else now + FORGET_EVERY
