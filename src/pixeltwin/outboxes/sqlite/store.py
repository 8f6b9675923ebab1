"""What the commands of an outbox mean in SQL.

Plain synchronous steps on one connection, to be called inside `transaction()` by one thread at a time. The time
arrives as an argument.
"""

import math
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import apsw

from pixeltwin.delivery.outbox import (
    CORRUPT,
    DEADLINE_PASSED,
    REPEATABLE,
    Appended,
    Delivered,
    Depth,
    Dropped,
    Expired,
    Item,
    Later,
    Lease,
    Letter,
    Outcome,
    Park,
    Refused,
    Tally,
    Waiting,
    misses,
)
from pixeltwin.delivery.shedding import FULL
from pixeltwin.outboxes.sqlite.checks import checksum_of, has_types
from pixeltwin.outboxes.sqlite.flights import Flights, json_array
from pixeltwin.outboxes.sqlite.intake import Intake, Order
from pixeltwin.outboxes.sqlite.lanes import Lanes
from pixeltwin.outboxes.sqlite.letters import Letters
from pixeltwin.outboxes.sqlite.pages import page
from pixeltwin.outboxes.sqlite.space import Space
from pixeltwin.outboxes.sqlite.tallies import Tallies

type LeasedRow = tuple[int, str, str, str, float]

# Many items are named by a JSON array of their `seq`: one step of SQLite's for all of them.
TAKE: Final = """
INSERT OR REPLACE INTO leased (seq, destination, token, holder, ends_at) SELECT value, ?2, ?3, ?4, ?5 FROM json_each(?1)
"""
RETAKE: Final = """
INSERT INTO leased (seq, destination, token, holder, ends_at)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM outbox WHERE seq = ?1)
"""
LEASES: Final = "SELECT seq, destination, token, holder, ends_at FROM leased"
READ_TAKEN: Final = """
SELECT
    seq, outbox.destination, pixel_id, key, subject, payload, checksum,
    attempts, appended_at, held, priority, deadline
FROM leased JOIN outbox USING (seq) WHERE token = ? ORDER BY priority DESC, due, seq
"""

LET_GO: Final = "DELETE FROM leased WHERE token = ? RETURNING seq"
LET_GO_ALL: Final = "DELETE FROM leased WHERE holder = ? RETURNING destination"
DELETE: Final = "DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?))"
POSTPONE: Final = """
UPDATE outbox SET due = ?2, last_reason = ?3, attempts = attempts + ?4, deadline = min(deadline, ?5) WHERE seq = ?1
"""

RELEASE: Final = """
UPDATE outbox SET held = 0, due = ?3
WHERE seq IN (SELECT value FROM json_each(?4)) AND pixel_id = ?1 AND subject = ?2 AND held
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?3)
RETURNING seq, destination
"""
PURGE: Final = """
DELETE FROM outbox WHERE seq IN (SELECT value FROM json_each(?4)) AND pixel_id = ?1 AND subject = ?2
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?3)
RETURNING seq, destination
"""
WITHDRAW: Final = """
DELETE FROM outbox WHERE seq = ?1
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?2)
RETURNING seq, destination
"""
LOSE: Final = "DELETE FROM leased WHERE seq = ?"

LATE: Final = """
SELECT seq, last_reason FROM outbox WHERE deadline <= ?1 AND deadline < 9e999
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?1)
ORDER BY deadline, seq LIMIT ?2
"""

PARK: Final = """
INSERT INTO park (destination, pixel_id, until, reason) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET until = excluded.until, reason = excluded.reason
"""
UNPARK: Final = "DELETE FROM park WHERE until <= ?"
PARKS: Final = "SELECT destination, pixel_id, until, reason FROM park WHERE until > ?"

READ_WAITING: Final = """
SELECT
    seq, destination, pixel_id, payload, priority, due, attempts, ifnull(last_reason, ''), appended_at, deadline, held
FROM outbox WHERE seq = ?
"""

# The pixels' oldest, one step for each.
OLDEST: Final = """
WITH RECURSIVE pixel (id) AS (
    SELECT min(pixel_id) FROM outbox WHERE destination = ?1
    UNION ALL
    SELECT (SELECT min(pixel_id) FROM outbox WHERE destination = ?1 AND pixel_id > id) FROM pixel WHERE id IS NOT NULL
)
SELECT appended_at FROM outbox WHERE seq = (
    SELECT min((SELECT min(seq) FROM outbox WHERE destination = ?1 AND pixel_id = id AND held = 0))
    FROM pixel WHERE id IS NOT NULL
)
"""
LEASED: Final = "SELECT destination, count(*) FROM leased WHERE ends_at > ? GROUP BY destination"
ITEMS: Final = "SELECT destination, count(*) FROM outbox GROUP BY destination"
LETTERS: Final = "SELECT destination, count(*) FROM dead GROUP BY destination"
HELD: Final = """
SELECT destination, count(*) FROM outbox WHERE held
    AND NOT EXISTS (SELECT 1 FROM leased WHERE leased.seq = outbox.seq AND leased.ends_at > ?)
GROUP BY destination
"""

ENDS: Final[Mapping[type[Outcome], str]] = {Delivered: "delivered", Dropped: "dropped"}  # what leaves nothing behind


class Store:
    """The tables. `commits` counts the transactions that were written to the disk.

    `touched` collects the destinations where something may have become due; whoever wakes waiters empties it.
    `synchronous` is what SQLite is to be told from the next transaction on; any thread may set it.
    """

    def __init__(
        self,
        db: apsw.Connection,
        space: Space | None = None,
        witness: Callable[[Mapping[str, int]], None] = lambda accepted: None,
    ) -> None:
        """Without a space there is room for everything. The witness hears what each transaction has accepted."""
        self.commits = 0
        self.touched: set[str] = set()
        self.synchronous = "full"
        self._space = space
        self._witness = witness
        self._has_to_empty_log = False
        self.use(db)

    def use(self, db: apsw.Connection, leases: Sequence[LeasedRow] = ()) -> None:
        """Go on with another connection; what is under these leases stays so, as far as it is there."""
        db.executemany(RETAKE, leases)
        self._db = db
        self._told = "full"
        self._flights = Flights(db)
        self._lanes = Lanes(db)
        self._tallies = Tallies(db)
        self._letters = Letters(db, self._tallies)
        self._intake = Intake(db, self._space, self._tallies, self.touched)

    def leases(self) -> list[LeasedRow]:
        """What is under lease, for another connection."""
        return list(self._db.execute(LEASES))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk at the end of the block."""
        self._tell_synchronous()
        self._intake.look_in_time()
        self._db.execute("BEGIN IMMEDIATE")  # whoever reads first would not wait for the lock, but fail
        before = self._db.total_changes()
        try:
            self._intake.read()
            yield
            self._tallies.write()
            wrote = self._db.total_changes() > before
            self._db.execute("COMMIT")
        except BaseException:
            self._tallies.forget()
            self._intake.doubt()
            if self._db.in_transaction:  # after some errors, a full disk for one, SQLite has rolled back by itself
                self._db.execute("ROLLBACK")
            raise
        self.commits += wrote
        if accepted := self._tallies.committed():
            self._witness(accepted)
        if self._space and self._space.fill >= FULL:  # nothing may be appended before somebody hears that it is over
            self._space.look(self._db)
        self._empty_log()

    def _empty_log(self) -> None:
        if self._has_to_empty_log:
            self._has_to_empty_log = False
            with suppress(apsw.Error):  # what was asked for is done; where somebody reads the log, it goes later
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _tell_synchronous(self) -> None:
        """Tell SQLite what was asked for; it does not listen inside a transaction."""
        if (wanted := self.synchronous) != self._told:
            self._db.pragma("synchronous", wanted)
            self._told = wanted

    def append(self, orders: Sequence[Order]) -> list[list[Appended]]:
        """What becomes of the items of each order."""
        return self._intake.append(orders)

    def lease(
        self, destination: str, *, limit: int, seconds: float, holder: str, may_repeat: bool, now: float
    ) -> Lease:
        """Lease items. `may_repeat`: whoever takes them knows a repeat for ever, so that a lost lease is no matter."""
        self._flights.doubt(now)
        token, ends_at = secrets.token_hex(16), now + seconds
        seqs = self._lanes.choose(destination, limit, now)
        self._db.execute(TAKE, (json_array(seqs), destination, token, holder, ends_at))
        items = tuple(self._items(token, now))
        if not may_repeat:
            self._flights.begin(token, [item.seq for item in items], now=now, ends_at=ends_at)
        return Lease(token=token, destination=destination, ends_at=ends_at, items=items)

    def _items(self, token: str, now: float) -> Iterator[Item]:
        """What was taken under the token. Items that the disk has changed become letters instead."""
        for row in list(self._db.execute(READ_TAKEN, (token,))):
            seq, destination, pixel_id, key, subject, payload, checksum, *rest = row
            attempts, appended_at, held, priority, deadline = rest
            if not has_types(destination, pixel_id, key, subject, payload):
                raise apsw.CorruptError(f"item {seq} is none")
            if checksum != checksum_of(destination, pixel_id, key, subject, payload):
                self._lose(seq)
                self._letters.bury(seq, now, CORRUPT)
                continue
            yield Item(seq, pixel_id, payload, attempts, appended_at, bool(held), priority, deadline)

    def settle(self, lease: Lease, outcomes: Mapping[int, Outcome], now: float) -> int:
        self._intake.look_again()
        self._flights.doubt(now)
        self._flights.end(lease.token)
        ours = {seq for (seq,) in self._db.execute(LET_GO, (lease.token,))}
        settled = {seq: outcomes[seq] for seq in ours & outcomes.keys()}
        ended: defaultdict[str, list[int]] = defaultdict(list)
        for seq, outcome in settled.items():
            if what := ENDS.get(type(outcome)):
                ended[what].append(seq)
            else:
                self._put_aside(seq, outcome, now)
        for what, seqs in ended.items():
            self._db.execute(DELETE, (json_array(seqs),))
            self._tallies.add(lease.destination, what, len(seqs))
        self.touched.add(lease.destination)
        return len(settled)

    def _put_aside(self, seq: int, outcome: Outcome, now: float) -> None:
        """What is to stay, be it as a letter."""
        match outcome:
            case Later(at, reason, ambiguous, counts):
                latest = now + REPEATABLE if ambiguous else math.inf
                self._db.execute(POSTPONE, (seq, at, reason, counts, latest))
            case Refused(reason, code):
                self._letters.bury(seq, now, reason, code=code)
            case Expired(reason):
                self._letters.bury(seq, now, reason, is_expired=True)

    def release(self, pixel_id: str, subject: bytes, now: float) -> int:
        self._flights.doubt(now)
        return len(self._change(RELEASE, pixel_id, subject, now, self._seqs_of(subject)))

    def purge(self, pixel_id: str, subject: bytes, now: float) -> int:
        items = self._purge(PURGE, pixel_id, subject, now, self._seqs_of(subject))
        return items + self._letters.purge(pixel_id, subject)

    def _seqs_of(self, subject: bytes) -> str:
        return json_array(self._intake.seqs_of(subject))

    def withdraw(self, seqs: Collection[int], now: float) -> int:
        return self._wiped(sum(self._purge(WITHDRAW, seq, now) for seq in set(seqs)))

    def _purge(self, statement: str, *named: str | bytes | float) -> int:
        purged = self._change(statement, *named)
        for destination in purged:
            self._tallies.add(destination, "purged")
        return len(purged)

    def _change(self, statement: str, *named: str | bytes | float) -> list[str]:
        """Change the items named that are under no lease; the ended lease of one must not settle it any more."""
        changed = list(self._db.execute(statement, named))
        self._lose(*(seq for seq, _ in changed))
        destinations = [destination for _, destination in changed]
        self.touched.update(destinations)
        return destinations

    def _lose(self, *seqs: int) -> None:
        """Take the items from the leases that have or had them."""
        self._db.executemany(LOSE, [(seq,) for seq in seqs])

    def let_go(self, holder: str, now: float) -> None:
        """End every lease of the holder."""
        self._flights.doubt(now)
        self._flights.end_all(holder)
        self.touched.update(destination for (destination,) in self._db.execute(LET_GO_ALL, (holder,)))

    def expire(self, *, limit: int, keep_letters: float, now: float) -> int:
        self._flights.doubt(now)
        late = list(self._db.execute(LATE, (now, limit)))
        self._lose(*(seq for seq, _ in late))
        for seq, last in late:
            self._letters.bury(seq, now, f"{DEADLINE_PASSED}: {last}" if last else DEADLINE_PASSED, is_expired=True)
        self._letters.prune(now - keep_letters, limit)
        return len(late)

    def park(self, destination: str, pixel_id: str, park: Park, now: float) -> None:
        self._db.execute(PARK, (destination, pixel_id, park.until, park.reason))
        self._db.execute(UNPARK, (now,))
        self.touched.add(destination)

    def parks(self, now: float) -> dict[tuple[str, str], Park]:
        rows = self._db.execute(PARKS, (now,))
        return {(destination, pixel_id): Park(until, reason) for destination, pixel_id, until, reason in rows}

    def letters(self, destination: str | None, pixel_id: str | None, after: int, limit: int) -> list[Letter]:
        return self._letters.page(destination, pixel_id, after, limit)

    def waiting(
        self, destination: str | None, pixel_id: str | None, after: int, limit: int, now: float
    ) -> list[Waiting]:
        self._flights.doubt(now)
        seqs = page(self._db, "outbox", destination, pixel_id, after, limit)
        return [_waiting(*row) for seq in seqs for row in self._db.execute(READ_WAITING, (seq,))]

    def requeue(self, seqs: Collection[int], now: float) -> int:
        revived = self._letters.revive(seqs, now)
        for seq, destination, subject in revived:
            self.touched.add(destination)
            self._intake.enter(seq, subject)
        return len(revived)

    def discard(self, seqs: Collection[int]) -> int:
        return self._wiped(self._letters.discard(seqs))

    def _wiped(self, gone: int) -> int:
        """So many went for good: the log has their pages still, and is emptied after this transaction."""
        self._has_to_empty_log |= bool(gone)
        return gone

    def next_due(self, destination: str, now: float) -> float:
        """When the destination's next item is or becomes free to lease; infinity when nothing waits."""
        return self._lanes.next_due(destination, now)

    def stats(self, now: float) -> dict[str, Depth]:
        leased = Counter(dict(self._db.execute(LEASED, (now,))))
        held = Counter(dict(self._db.execute(HELD, (now,))))
        return {
            name: Depth(
                ready=tally.waiting - leased[name] - held[name],
                leased=leased[name],
                held=held[name],
                dead=tally.letters,
                oldest_at=self._oldest_at(name),
            )
            for name, tally in self._tallies.read().items()
            if tally.waiting or tally.letters
        }

    def _oldest_at(self, destination: str) -> float | None:
        return next((at for (at,) in self._db.execute(OLDEST, (destination,))), None)

    def tally(self) -> dict[str, Tally]:
        return self._tallies.read()

    def unaccounted(self) -> dict[str, int]:
        return misses(self._tallies.read(), dict(self._db.execute(ITEMS)), dict(self._db.execute(LETTERS)))


def _waiting(
    seq: int,
    destination: str,
    pixel_id: str,
    payload: bytes,
    priority: int,
    due: float,
    attempts: int,
    last_reason: str,
    appended_at: float,
    deadline: float,
    held: int,
) -> Waiting:
    return Waiting(
        seq=seq,
        destination=destination,
        pixel_id=pixel_id,
        payload=payload,
        priority=priority,
        due=due,
        attempts=attempts,
        last_reason=last_reason,
        appended_at=appended_at,
        deadline=deadline,
        held=bool(held),
    )
