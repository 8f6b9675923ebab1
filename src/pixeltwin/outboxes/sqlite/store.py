"""What the commands of an outbox mean in SQL.

Plain synchronous steps on one connection, to be called inside `transaction()` by one thread at a time. The time
arrives as an argument.
"""

import math
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import apsw

from pixeltwin.delivery.outbox import (
    REMEMBERED,
    Appended,
    Delivered,
    Depth,
    Dropped,
    Item,
    Later,
    Lease,
    NewItem,
    Outcome,
    Refused,
)

FORGET_EVERY: Final = 60.0  # seconds; what has expired is no duplicate before it is deleted, so this is housekeeping
FORGET_AT_ONCE: Final = 1000  # keys, some 5 ms: the commands of the same transaction wait for it

# Changes a row when the key is new or was accepted too long ago, else none.
REMEMBER: Final = """
INSERT INTO seen (destination, pixel_id, key, at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET at = ?4 WHERE at <= ?5
"""

FORGET: Final = """
DELETE FROM seen WHERE (destination, pixel_id, key) IN (
    SELECT destination, pixel_id, key FROM seen WHERE at <= ? ORDER BY at LIMIT ?
)
"""

APPEND: Final = """
INSERT INTO outbox (destination, pixel_id, key, payload, subject, held, due, appended_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
"""

TAKE: Final = """
INSERT OR REPLACE INTO leased (seq, destination, token, holder, ends_at)
SELECT seq, destination, ?1, ?2, ?3 FROM outbox
WHERE destination = ?4 AND due <= ?5
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?5)
ORDER BY due, seq LIMIT ?6
"""

READ_TAKEN: Final = """
SELECT seq, pixel_id, payload, attempts, appended_at, held FROM leased JOIN outbox USING (seq)
WHERE token = ? ORDER BY due, seq
"""

LET_GO: Final = "DELETE FROM leased WHERE token = ? RETURNING seq"
LET_GO_ALL: Final = "DELETE FROM leased WHERE holder = ? RETURNING destination"
DELETE: Final = "DELETE FROM outbox WHERE seq = ?"
POSTPONE: Final = "UPDATE outbox SET due = ?, last_reason = ?, attempts = attempts + 1 WHERE seq = ?"
BURY: Final = """
INSERT INTO dead (seq, destination, pixel_id, payload, subject, reason, at)
SELECT seq, destination, pixel_id, payload, subject, ?, ? FROM outbox WHERE seq = ?
"""

RELEASE: Final = """
UPDATE outbox SET held = 0, due = ?3 WHERE pixel_id = ?1 AND subject = ?2 AND held
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?3)
RETURNING seq, destination
"""
PURGE: Final = """
DELETE FROM outbox WHERE pixel_id = ?1 AND subject = ?2
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?3)
RETURNING seq, destination
"""
PURGE_DEAD: Final = "DELETE FROM dead WHERE pixel_id = ? AND subject = ?"
LOSE: Final = "DELETE FROM leased WHERE seq = ?"

NEXT_DUE: Final = """
SELECT min(at) FROM (
    SELECT * FROM (
        SELECT due AS at FROM outbox WHERE destination = ?1
            AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?2)
        ORDER BY due LIMIT 1
    )
    UNION ALL
    SELECT min(ends_at) FROM leased WHERE destination = ?1 AND ends_at > ?2
)
"""

WAITING: Final = """
SELECT destination, waiting, (SELECT appended_at FROM outbox WHERE seq = first)
FROM (
    SELECT destination, count(*) AS waiting, min(iif(seq IN (SELECT seq FROM outbox WHERE held), NULL, seq)) AS first
    FROM outbox GROUP BY destination
)
"""
LEASED: Final = "SELECT destination, count(*) FROM leased WHERE ends_at > ? GROUP BY destination"
HELD: Final = """
SELECT destination, count(*) FROM outbox WHERE held
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?)
GROUP BY destination
"""
DEAD: Final = "SELECT destination, count(*) FROM dead GROUP BY destination"


class Store:
    """The tables. `commits` counts the transactions that were written to the disk.

    `touched` collects the destinations where something may have become due; whoever wakes waiters empties it.
    """

    def __init__(self, db: apsw.Connection) -> None:
        self.commits = 0
        self.touched: set[str] = set()
        self._db = db
        self._forget_at = -math.inf

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk at the end of the block."""
        self._db.execute("BEGIN")
        try:
            yield
            wrote = self._db.txn_state("main") == apsw.SQLITE_TXN_WRITE
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # after some errors, a full disk for one, SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        self.commits += wrote

    def append(self, items: Sequence[NewItem], now: float) -> list[Appended]:
        answers = [self._append(item, now) for item in items]
        if now >= self._forget_at:
            self._forget(now)
        return answers

    def _append(self, item: NewItem, now: float) -> Appended:
        name = (item.destination, item.pixel_id, item.key)
        if item.key is not None:
            self._db.execute(REMEMBER, (*name, now, now - REMEMBERED))
            if not self._db.changes():
                return Appended.DUPLICATE
        held, due = (False, now) if item.hold_until is None else (True, item.hold_until)
        self._db.execute(APPEND, (*name, item.payload, item.subject, held, due, now))
        self.touched.add(item.destination)
        return Appended.ACCEPTED

    def _forget(self, now: float) -> None:
        """Delete old keys; when there were more than a transaction should bear, the next append goes on."""
        self._db.execute(FORGET, (now - REMEMBERED, FORGET_AT_ONCE))
        self._forget_at = now if self._db.changes() == FORGET_AT_ONCE else now + FORGET_EVERY

    def lease(self, destination: str, *, limit: int, seconds: float, holder: str, now: float) -> Lease:
        token, ends_at = secrets.token_hex(16), now + seconds
        self._db.execute(TAKE, (token, holder, ends_at, destination, now, limit))
        items = tuple(
            Item(
                seq=seq,
                pixel_id=pixel_id,
                payload=payload,
                attempts=attempts,
                appended_at=appended_at,
                held=bool(held),
            )
            for seq, pixel_id, payload, attempts, appended_at, held in self._db.execute(READ_TAKEN, (token,))
        )
        return Lease(token=token, destination=destination, ends_at=ends_at, items=items)

    def settle(self, lease: Lease, outcomes: Mapping[int, Outcome], now: float) -> int:
        ours = {seq for (seq,) in self._db.execute(LET_GO, (lease.token,))}
        for seq in ours & outcomes.keys():
            self._settle(seq, outcomes[seq], now)
        self.touched.add(lease.destination)
        return len(ours & outcomes.keys())

    def _settle(self, seq: int, outcome: Outcome, now: float) -> None:
        match outcome:
            case Later(at, reason):
                self._db.execute(POSTPONE, (at, reason, seq))
            case Refused(reason):
                self._db.execute(BURY, (reason, now, seq))
                self._db.execute(DELETE, (seq,))
            case Delivered() | Dropped():
                self._db.execute(DELETE, (seq,))

    def release(self, pixel_id: str, subject: bytes, now: float) -> int:
        return self._change(RELEASE, pixel_id, subject, now)

    def purge(self, pixel_id: str, subject: bytes, now: float) -> int:
        self._db.execute(PURGE_DEAD, (pixel_id, subject))
        return self._db.changes() + self._change(PURGE, pixel_id, subject, now)

    def _change(self, statement: str, pixel_id: str, subject: bytes, now: float) -> int:
        """Change the subject's items that are under no lease; the ended lease of one must not settle it any more."""
        changed = list(self._db.execute(statement, (pixel_id, subject, now)))
        self._db.executemany(LOSE, [(seq,) for seq, _ in changed])
        self.touched.update(destination for _, destination in changed)
        return len(changed)

    def let_go(self, holder: str) -> None:
        """End every lease of the holder."""
        self.touched.update(destination for (destination,) in self._db.execute(LET_GO_ALL, (holder,)))

    def next_due(self, destination: str, now: float) -> float:
        """When the destination's next item is or becomes free to lease; infinity when nothing waits."""
        ((at,),) = self._db.execute(NEXT_DUE, (destination, now))
        return math.inf if at is None else at

    def stats(self, now: float) -> dict[str, Depth]:
        rows = list(self._db.execute(WAITING))
        waiting = Counter({destination: number for destination, number, _ in rows})
        oldest_at = {destination: at for destination, _, at in rows}
        leased = Counter(dict(self._db.execute(LEASED, (now,))))
        held = Counter(dict(self._db.execute(HELD, (now,))))
        dead = Counter(dict(self._db.execute(DEAD)))
        return {
            name: Depth(
                ready=waiting[name] - leased[name] - held[name],
                leased=leased[name],
                held=held[name],
                dead=dead[name],
                oldest_at=oldest_at.get(name),
            )
            for name in sorted(waiting | dead)
        }
