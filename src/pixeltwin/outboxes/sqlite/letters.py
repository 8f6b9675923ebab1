"""Letters: what was not delivered, with its reason, and how it comes back or goes for good."""

from collections.abc import Collection
from typing import Final

import apsw

from pixeltwin.delivery.outbox import Letter
from pixeltwin.outboxes.sqlite.pages import page
from pixeltwin.outboxes.sqlite.tallies import Tallies

BURY: Final = """
INSERT INTO dead (
    seq, destination, pixel_id, key, payload, checksum, subject, held, priority, deadline, attempts, appended_at,
    reason, code, at, is_expired
)
SELECT
    seq, destination, pixel_id, key, payload, checksum, subject, held, priority, deadline, attempts, appended_at,
    ?2, ?3, ?4, ?5
FROM outbox WHERE seq = ?1 RETURNING destination
"""
DELETE: Final = "DELETE FROM outbox WHERE seq = ?"

REVIVE: Final = """
INSERT INTO outbox (
    seq, destination, pixel_id, key, payload, checksum, subject, held, priority, deadline, appended_at, due
)
SELECT seq, destination, pixel_id, key, payload, checksum, subject, held, priority, deadline, appended_at, ?2
FROM dead WHERE seq = ?1 AND deadline > ?2 RETURNING destination, subject
"""
DISCARD: Final = "DELETE FROM dead WHERE seq = ? RETURNING destination"
PURGE: Final = "DELETE FROM dead WHERE pixel_id = ? AND subject = ? RETURNING destination"
PRUNE: Final = """
DELETE FROM dead WHERE seq IN (SELECT seq FROM dead WHERE at <= ? ORDER BY at LIMIT ?) RETURNING destination
"""
READ: Final = """
SELECT seq, destination, pixel_id, payload, reason, code, at, is_expired, appended_at, attempts, deadline
FROM dead WHERE seq = ?
"""


class Letters:
    """The letters. Each change is counted with the tallies."""

    def __init__(self, db: apsw.Connection, tallies: Tallies) -> None:
        self._db = db
        self._tallies = tallies

    def bury(self, seq: int, now: float, reason: str, *, code: str = "", is_expired: bool = False) -> None:
        """Make a letter of the item."""
        for (destination,) in list(self._db.execute(BURY, (seq, reason, code, now, is_expired))):
            self._db.execute(DELETE, (seq,))
            self._tallies.add(destination, "expired" if is_expired else "dead")

    def revive(self, seqs: Collection[int], now: float) -> list[tuple[int, str, bytes | None]]:
        """Make items of the letters that are in time; each one's `seq`, destination and subject."""
        revived = []
        for seq in sorted(set(seqs)):
            for destination, subject in list(self._db.execute(REVIVE, (seq, now))):
                revived.append((seq, destination, subject))
                self._tallies.add(destination, "requeued")
                self._db.execute("DELETE FROM dead WHERE seq = ?", (seq,))
        return revived

    def discard(self, seqs: Collection[int]) -> int:
        return sum(self._gone(DISCARD, seq) for seq in set(seqs))

    def purge(self, pixel_id: str, subject: bytes) -> int:
        return self._gone(PURGE, pixel_id, subject)

    def prune(self, until: float, limit: int) -> int:
        """Delete up to `limit` letters from `until` or before."""
        return self._gone(PRUNE, until, limit)

    def page(self, destination: str | None, pixel_id: str | None, after: int, limit: int) -> list[Letter]:
        seqs = page(self._db, "dead", destination, pixel_id, after, limit)
        return [_letter(*row) for seq in seqs for row in self._db.execute(READ, (seq,))]

    def _gone(self, statement: str, *bindings: str | bytes | float) -> int:
        destinations = [destination for (destination,) in self._db.execute(statement, bindings)]
        for destination in destinations:
            self._tallies.add(destination, "discarded")
        return len(destinations)


def _letter(
    seq: int,
    destination: str,
    pixel_id: str,
    payload: bytes,
    reason: str,
    code: str,
    at: float,
    is_expired: int,
    appended_at: float,
    attempts: int,
    deadline: float,
) -> Letter:
    return Letter(
        seq=seq,
        destination=destination,
        pixel_id=pixel_id,
        payload=payload,
        reason=reason,
        code=code,
        at=at,
        is_expired=bool(is_expired),
        appended_at=appended_at,
        attempts=attempts,
        deadline=deadline,
    )
