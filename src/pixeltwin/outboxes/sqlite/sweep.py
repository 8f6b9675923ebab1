"""How keys leave `seen` when nobody needs them any more.

By their times they could be found one by one, each on a page of its own. So a sweep goes through the table in its own
order instead, a little further with every item that comes, and takes along all that has expired on the way. A key is
gone a day after it has expired, as long as about as many come as go.
"""

import math
import secrets
from typing import Final

import apsw

from pixeltwin.delivery.outbox import REMEMBERED

PACE: Final = 3  # rows for each item that comes: two days' and those of the way, which takes a day then
LEAST: Final = 250  # rows a second at least while anything comes, 20 million a day, and at once
REST: Final = 3600.0  # seconds between the end of a sweep and the next

# A random place first: whoever restarts often would else never come to the end.
START: Final = "SELECT destination, pixel_id, ? FROM lately ORDER BY seq DESC LIMIT 1"
NEXT: Final = """
SELECT destination, pixel_id, key FROM seen WHERE (destination, pixel_id, key) > (?, ?, ?)
ORDER BY destination, pixel_id, key LIMIT 1 OFFSET ?
"""
FORGET_UPTO: Final = """
DELETE FROM seen WHERE (destination, pixel_id, key) > (?1, ?2, ?3) AND (destination, pixel_id, key) <= (?5, ?6, ?7)
    AND at <= ?4
"""
FORGET_REST: Final = "DELETE FROM seen WHERE (destination, pixel_id, key) > (?1, ?2, ?3) AND at <= ?4"
BEGINNING: Final = ("", "", b"")


class Sweep:
    """Where the sweep is. After a transaction that is rolled back some rows wait for the next round."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._at: tuple[str, str, bytes] | None = None
        self._owed = 0
        self._second = self._rests_until = -math.inf

    def go(self, count: int, now: float) -> None:
        """Go on, as so many items have come (unix seconds)."""
        if now < self._rests_until:
            return
        self._owed += PACE * count
        if now >= self._second:
            self._owed, self._second = self._owed + LEAST, now + 1.0
        if self._owed >= LEAST:
            self._forget(self._owed, now)
            self._owed = 0

    def _forget(self, rows: int, now: float) -> None:
        """Forget what has expired of the next rows."""
        at = self._at or next(self._db.execute(START, (secrets.token_bytes(16),)), BEGINNING)
        expired = now - REMEMBERED
        upto = next(self._db.execute(NEXT, (*at, rows)), None)
        if upto:
            self._db.execute(FORGET_UPTO, (*at, expired, *upto))
            self._at = upto
        else:
            self._db.execute(FORGET_REST, (*at, expired))
            self._at, self._rests_until = BEGINNING, now + REST
