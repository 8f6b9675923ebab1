"""How items come in: what is known already or has no room stays out, the rest is written together."""

import time
from collections.abc import Sequence
from typing import Final

import apsw

from pixeltwin.delivery.outbox import REMEMBERED, Appended, NewItem
from pixeltwin.delivery.shedding import is_shed
from pixeltwin.outboxes.sqlite.browsers import Browsers
from pixeltwin.outboxes.sqlite.checks import checksum_of
from pixeltwin.outboxes.sqlite.lately import Lately
from pixeltwin.outboxes.sqlite.space import Space
from pixeltwin.outboxes.sqlite.sweep import Sweep
from pixeltwin.outboxes.sqlite.tallies import Tallies

LOOK_EVERY: Final = 0.02  # seconds between them at most: a look costs as much as the rest of a small transaction

type Order = tuple[Sequence[NewItem], float]  # to be appended, and as of when
type NewRow = tuple[str, str, bytes | None, bytes, int, bytes | None, bool, float, float, int, float]

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
        self._space = space
        self._tallies = tallies
        self._touched = touched
        self._lately = Lately(db)
        self._browsers = Browsers(db)
        self._sweep = Sweep(db)
        self._fill = 0.0
        self._until_look, self._look_at = 0, 0.0

    def look_again(self) -> None:
        """There may be more room, or less."""
        self._until_look = 0

    def look_in_time(self) -> None:
        """Look at the room again if that was long ago."""
        if time.monotonic() >= self._look_at:
            self._until_look = 0

    def doubt(self) -> None:
        """The transaction was rolled back."""
        self.look_again()
        self._lately.doubt()

    def read(self) -> None:
        """Know what the file has, if that is not known or in doubt."""
        self._lately.read()
        self._browsers.read()

    def enter(self, seq: int, subject: bytes | None) -> None:
        """Know whose the item is: one that was appended, or came back from a letter."""
        if subject is not None:
            self._browsers.enter(seq, subject)

    def seqs_of(self, subject: bytes) -> list[int]:
        """The items about a browser, and maybe others, and such as have gone."""
        return self._browsers.seqs_of(subject)

    def append(self, orders: Sequence[Order]) -> list[list[Appended]]:
        """What becomes of the items of each order. Their rows are written together."""
        answers: list[list[Appended]] = []
        rows: list[NewRow] = []
        self._lately.look_up(item for items, _ in orders for item in items)
        for items, now in orders:
            if self._until_look <= 0:
                self._insert(rows)
            fill = self._look()
            answers.append([self._append(item, fill, now, rows) for item in items])
        self._insert(rows)
        return answers

    def _append(self, item: NewItem, fill: float, now: float, rows: list[NewRow]) -> Appended:
        """What becomes of the item; its row is still to be written."""
        # at once: one by one each takes as long as all of them
        destination, pixel_id, key, payload, subject, hold_until, priority, deadline = item
        pixel = destination, pixel_id
        if key is not None and self._lately.accepted_at(pixel, key) > now - REMEMBERED:
            return Appended.DUPLICATE  # room or no room
        if is_shed(item, fill):
            self._tallies.add(destination, "shed")
            return Appended.SHED
        if key is not None:
            self._lately.accept(pixel, key, now)
        held, due = (False, now) if hold_until is None else (True, hold_until)
        self._until_look -= len(payload)
        checksum = checksum_of(destination, pixel_id, key, subject, payload)
        rows.append((destination, pixel_id, key, payload, checksum, subject, held, due, now, priority, deadline))
        return Appended.ACCEPTED

    def _insert(self, rows: list[NewRow]) -> None:
        """Write the rows, and have none left."""
        if not rows:
            return
        self._db.executemany(APPEND, rows)
        first = self._db.last_insert_rowid() - len(rows) + 1  # nobody else inserts, so each is one more
        for seq, row in enumerate(rows, first):
            self.enter(seq, row[5])
        now = rows[-1][8]
        self._lately.appended(first, len(rows), now)
        self._sweep.go(len(rows), now)
        destinations = [row[0] for row in rows]
        for destination in set(destinations):
            self._tallies.add(destination, "accepted", destinations.count(destination))
            self._touched.add(destination)
        rows.clear()

    def _look(self) -> float:
        """How full the file is, as it was seen lately, and before much was appended."""
        if self._space and self._until_look <= 0:
            self._fill = self._space.look(self._db)
            self._until_look, self._look_at = self._space.stride, time.monotonic() + LOOK_EVERY
        return self._fill
