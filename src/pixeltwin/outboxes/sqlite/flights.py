"""Leases whose items may be on their way, each a row from its beginning until it is settled, let go of or over.

The leases themselves end with the process. What they held may have been sent when it died, and the same is true of a
lease whose time ran out: a repeat is a duplicate that Meta must still recognise, so such items have a deadline.
"""

import math
from collections.abc import Collection
from typing import Final

import apsw
import orjson

from pixeltwin.delivery.outbox import REPEATABLE

BEGIN: Final = "INSERT INTO flights (token, began, ends_at, seqs) VALUES (?, ?, ?, ?)"
END: Final = "DELETE FROM flights WHERE token = ?"
END_ALL: Final = "DELETE FROM flights WHERE token IN (SELECT token FROM leased WHERE holder = ?)"
IS_OVER: Final = "SELECT 1 FROM flights WHERE ends_at <= ? LIMIT 1"
DOUBT: Final = """
UPDATE outbox SET deadline = min(deadline, flights.began + ?2) FROM flights, json_each(flights.seqs)
WHERE flights.ends_at <= ?1 AND outbox.seq = json_each.value
"""
FORGET: Final = "DELETE FROM flights WHERE ends_at <= ?"


class Flights:
    """The rows. There are about as many as leases at a time, a handful."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def begin(self, token: str, seqs: Collection[int], *, now: float, ends_at: float) -> None:
        if seqs:
            self._db.execute(BEGIN, (token, now, ends_at, json_array(seqs)))

    def end(self, token: str) -> None:
        """The lease was settled, and tells what became of its items."""
        self._db.execute(END, (token,))

    def end_all(self, holder: str) -> None:
        """The holder lets go of its leases."""
        self._db.execute(END_ALL, (holder,))

    def doubt(self, now: float = math.inf) -> None:
        """What was held by leases that are over by now may have been sent. Without a time: by all that there are."""
        if list(self._db.execute(IS_OVER, (now,))):  # asked all the time, and a statement that writes costs a commit
            self._db.execute(DOUBT, (now, REPEATABLE))
            self._db.execute(FORGET, (now,))


def json_array(seqs: Collection[int]) -> str:
    """What SQLite's `json_each` makes rows of."""
    return orjson.dumps(list(seqs)).decode()
