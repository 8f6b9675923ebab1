"""Every engine of `outboxes/` answers like a model so plain that it can be checked by reading."""

import asyncio
import math
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.outboxes.engines import ENGINES, hurry
from tests.reliability.forms import rounds

from pixeltwin.delivery.outbox import (
    DEADLINE_PASSED,
    KEEP_LETTERS,
    MINOR,
    MONEY,
    ORDINARY,
    REPEATABLE,
    Appended,
    Delivered,
    Depth,
    Dropped,
    Expired,
    Item,
    Later,
    Lease,
    NewItem,
    Outcome,
    Park,
    Refused,
    Tally,
)

EXAMPLES = rounds(60, 600)
EXAMPLES_OF = {"encrypted": rounds(15, 150)}  # its engine has a run of its own
FORGETFUL = {"memory"}  # what is closed is lost
HOUR = 3600.0

DESTINATIONS = st.sampled_from(["conversions_api", "pixel_relay"])
PIXELS = st.sampled_from(["1", "2"])
KEYS = st.none() | st.sampled_from([b"a", b"b", b"c"])
SUBJECTS = st.sampled_from([b"ann's browser...", b"bob's browser..."])
HOLDS = st.none() | st.sampled_from([0.0, 30.0, HOUR])  # seconds from now on
PRIORITIES = st.sampled_from([MINOR, MINOR, ORDINARY, MONEY])
DEADLINES = st.sampled_from([math.inf, math.inf, 30.0, HOUR, 72 * HOUR])  # seconds from now on
SECONDS = st.sampled_from([0.0, 1.0, 30.0, 60.0])
OUTCOMES = st.one_of(
    st.none(),  # not named: let go
    st.builds(Delivered),
    st.builds(  # `at` from now on
        Later,
        st.sampled_from([0.0, 1.0, 45.0, HOUR]),
        st.sampled_from(["HTTP 503", "throttled"]),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(Refused, st.just("bad"), st.sampled_from(["", "100/2804050"])),
    st.builds(Expired, st.just("too old")),
    st.builds(Dropped, st.just("no consent")),
)


@dataclass
class Row:
    new: NewItem
    order: int
    appended_at: float
    due: float
    held: bool
    deadline: float
    attempts: int = 0
    last_reason: str = ""
    token: str = ""
    began: float = 0.0
    ends_at: float = 0.0

    @property
    def pixel(self) -> tuple[str, str]:
        return self.new.destination, self.new.pixel_id

    @property
    def seen(self) -> tuple[Any, ...]:
        """What anybody is told of it, waiting or a letter."""
        return (*self.pixel, self.new.payload, self.attempts, self.appended_at, self.deadline)


@dataclass
class Ended:
    row: Row
    reason: str
    code: str
    at: float
    is_expired: bool


class Model:
    """A list of rows and one of letters, looked through for everything."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.accepted: list[tuple[float, tuple[Any, ...]]] = []
        self.letters: list[Ended] = []
        self.parks: dict[tuple[str, str], Park] = {}
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def append(self, new: NewItem, order: int, now: float) -> Appended:
        name = (new.destination, new.pixel_id, new.key)
        if new.key is not None and any(now - at < 48 * HOUR and other == name for at, other in self.accepted):
            return Appended.DUPLICATE
        self.accepted.append((now, name))
        due = now if new.hold_until is None else new.hold_until
        held = new.hold_until is not None
        self.rows.append(Row(new, order, appended_at=now, due=due, held=held, deadline=new.deadline))
        self.counts[new.destination]["accepted"] += 1
        return Appended.ACCEPTED

    def free(self, destination: str, now: float) -> list[Row]:
        """What may be leased, in the order in which it comes."""
        parked = {pixel for pixel, park in self.parks.items() if park.until > now}
        mine = [row for row in self.rows if row.new.destination == destination and row.pixel not in parked]
        free = [row for row in mine if row.due <= now < row.deadline and row.ends_at <= now]
        return sorted(free, key=lambda row: (-row.new.priority, row.due, row.order))

    def doubt(self, now: float) -> None:
        """A lease whose time ran out may have sent what it holds."""
        for row in self.rows:
            if row.token and row.ends_at <= now:
                row.deadline = min(row.deadline, row.began + REPEATABLE)

    def under(self, token: str) -> dict[bytes, Row]:
        return {row.new.payload: row for row in self.rows if row.token == token}

    def settle(self, row: Row, outcome: Outcome | None, now: float) -> None:
        row.token, row.ends_at = "", 0.0
        match outcome:
            case Later(at, reason, ambiguous, counts):
                row.due, row.last_reason = at, reason
                row.attempts += 1 if counts else 0
                row.deadline = min(row.deadline, now + REPEATABLE) if ambiguous else row.deadline
            case Refused(reason, code):
                self.end(row, "dead")
                self.letters.append(Ended(row, reason, code, now, is_expired=False))
            case Expired(reason):
                self.end(row, "expired")
                self.letters.append(Ended(row, reason, "", now, is_expired=True))
            case Delivered():
                self.end(row, "delivered")
            case Dropped():
                self.end(row, "dropped")

    def end(self, row: Row, what: str) -> None:
        self.rows.remove(row)
        self.counts[row.new.destination][what] += 1

    def expire(self, limit: int, now: float) -> int:
        late = [row for row in self.rows if row.deadline <= now and row.ends_at <= now]
        expired = sorted(late, key=lambda row: (row.deadline, row.order))[:limit]
        for row in expired:
            last = f": {row.last_reason}" if row.last_reason else ""
            self.settle(row, Expired(DEADLINE_PASSED + last), now)
        old = [ended for ended in self.letters if ended.at + KEEP_LETTERS <= now]
        self.discard(sorted(old, key=lambda ended: (ended.at, ended.row.order))[:limit])
        return len(expired)

    def discard(self, letters: Sequence[Ended]) -> int:
        for ended in letters:
            self.letters.remove(ended)
            self.counts[ended.row.new.destination]["discarded"] += 1
        return len(letters)

    def requeue(self, letters: Sequence[Ended], now: float) -> int:
        in_time = [ended for ended in letters if ended.row.deadline > now]
        for ended in in_time:
            row = ended.row
            self.letters.remove(ended)
            self.rows.append(row)
            row.due, row.attempts, row.last_reason = now, 0, ""
            self.counts[row.new.destination]["requeued"] += 1
        return len(in_time)

    def about(self, pixel_id: str, subject: bytes, now: float) -> list[Row]:
        mine = [row for row in self.rows if row.new.pixel_id == pixel_id and row.new.subject == subject]
        return [row for row in mine if row.ends_at <= now]

    def release(self, pixel_id: str, subject: bytes, now: float) -> int:
        released = [row for row in self.about(pixel_id, subject, now) if row.held]
        for row in released:
            row.held, row.due, row.token = False, now, ""
        return len(released)

    def purge(self, pixel_id: str, subject: bytes, now: float) -> int:
        rows = self.about(pixel_id, subject, now)
        for row in rows:
            self.end(row, "purged")
        named = (pixel_id, subject)
        letters = [ended for ended in self.letters if (ended.row.new.pixel_id, ended.row.new.subject) == named]
        return len(rows) + self.discard(letters)

    def withdraw(self, payloads: Collection[bytes], now: float) -> int:
        rows = [row for row in self.rows if row.new.payload in payloads and row.ends_at <= now]
        for row in rows:
            self.end(row, "purged")
        return len(rows)

    def stats(self, now: float) -> dict[str, Depth]:
        named = {row.new.destination for row in [*self.rows, *(ended.row for ended in self.letters)]}
        return {destination: self.depth(destination, now) for destination in named}

    def depth(self, destination: str, now: float) -> Depth:
        rows = [row for row in self.rows if row.new.destination == destination]
        leased = [row for row in rows if row.ends_at > now]
        held = [row for row in rows if row.held and row.ends_at <= now]
        return Depth(
            ready=len([row for row in rows if row not in leased and row not in held]),
            leased=len(leased),
            held=len(held),
            dead=len([ended for ended in self.letters if ended.row.new.destination == destination]),
            oldest_at=min((row.appended_at for row in rows if not row.held), default=None),
        )


def best(rows: Sequence[Row], number: int) -> list[Row]:
    """So many of a pixel's rows that are free, in their order, by the words of `Outbox.lease`."""
    chosen: list[Row] = []
    for priority in (MONEY, ORDINARY, MINOR):
        lane = [row for row in rows if row.new.priority == priority]
        room = number - len(chosen)
        oldest = math.ceil(room * 30 / 100)
        chosen += lane if len(lane) <= room else lane[:oldest] + lane[len(lane) - (room - oldest) :]
    return chosen


def are_fair(taken: Counter[str], free: Counter[str]) -> bool:
    """Whether no pixel that could have more has two fewer than another."""
    hungry = [taken[pixel] for pixel in free if taken[pixel] < free[pixel]]
    return not hungry or max(taken.values(), default=0) <= min(hungry) + 1


class OutboxMachine(RuleBasedStateMachine):
    """Does the same to an engine and to the model, and compares what they answer."""

    name: str
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.now = 1_800_000_000.0
        self.appended = 0
        self.model = Model()
        self.open()

    def open(self) -> None:
        self.outbox = self.runner.run(ENGINES[self.name](Path(self.folder.name), lambda: self.now))

    @rule(
        wanted=st.lists(
            st.tuples(DESTINATIONS, PIXELS, KEYS, st.none() | SUBJECTS, HOLDS, PRIORITIES, DEADLINES), max_size=8
        )
    )
    def append(self, wanted: list[tuple[str, str, bytes | None, bytes | None, float | None, int, float]]) -> None:
        numbered = list(enumerate(wanted, self.appended))
        self.appended += len(wanted)
        items = [
            NewItem(
                destination=destination,
                pixel_id=pixel_id,
                key=key,
                payload=b"%d" % number,
                subject=subject,
                hold_until=None if hold is None else self.now + hold,
                priority=priority,
                deadline=self.now + deadline,
            )
            for number, (destination, pixel_id, key, subject, hold, priority, deadline) in numbered
        ]
        expected = [
            self.model.append(item, number, self.now) for item, (number, _) in zip(items, numbered, strict=True)
        ]

        async def append() -> list[Appended]:
            return await self.outbox.append(items)

        assert self.runner.run(append()) == expected

    @rule(target=leases, destination=DESTINATIONS, limit=st.integers(1, 5), seconds=SECONDS)
    def lease(self, destination: str, limit: int, seconds: float) -> Lease:
        lease: Lease = self.runner.run(self.outbox.lease(destination, limit=limit, seconds=seconds))
        free = self.model.free(destination, self.now)
        taken = Counter(item.pixel_id for item in lease.items)
        assert len(lease.items) == min(limit, len(free))
        assert are_fair(taken, Counter(row.new.pixel_id for row in free))
        rows = [
            row for row in free if row in best([one for one in free if one.pixel == row.pixel], taken[row.pixel[1]])
        ]
        assert [self.told(item, destination) for item in lease.items] == [
            (*row.seen, row.new.priority, row.held) for row in rows
        ]
        assert not any(row.held and self.now < (row.new.hold_until or 0.0) for row in rows)
        for row in rows:
            row.token, row.began, row.ends_at = lease.token, self.now, lease.ends_at
        self.model.doubt(self.now)
        return lease

    def told(self, item: Item, destination: str) -> tuple[Any, ...]:
        named = (destination, item.pixel_id, item.payload, item.attempts, item.appended_at, item.deadline)
        return (*named, item.priority, item.held)

    @rule(lease=leases, data=st.data())
    def settle(self, lease: Lease, data: st.DataObject) -> None:
        drawn = {item: data.draw(OUTCOMES) for item in lease.items}
        outcomes = {item: self.absolute(outcome) for item, outcome in drawn.items()}
        applied = self.runner.run(
            self.outbox.settle(lease, {item.seq: outcome for item, outcome in outcomes.items() if outcome})
        )
        ours = self.model.under(lease.token)
        assert applied == sum(item.payload in ours and outcome is not None for item, outcome in outcomes.items())
        for item, outcome in outcomes.items():
            if row := ours.get(item.payload):
                self.model.settle(row, outcome, self.now)

    def absolute(self, outcome: Outcome | None) -> Outcome | None:
        return replace(outcome, at=self.now + outcome.at) if isinstance(outcome, Later) else outcome

    @rule(pixel_id=PIXELS, subject=SUBJECTS)
    def release(self, pixel_id: str, subject: bytes) -> None:
        expected = self.model.release(pixel_id, subject, self.now)
        assert self.runner.run(self.outbox.release(pixel_id, subject)) == expected

    @rule(pixel_id=PIXELS, subject=SUBJECTS)
    def purge(self, pixel_id: str, subject: bytes) -> None:
        expected = self.model.purge(pixel_id, subject, self.now)
        assert self.runner.run(self.outbox.purge(pixel_id, subject)) == expected

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        waiting = self.runner.run(self.outbox.waiting(limit=1000))
        chosen = data.draw(st.lists(st.sampled_from(waiting), unique_by=id)) if waiting else []
        payloads = {item.payload for item in chosen}
        expected = self.model.withdraw(payloads, self.now)
        assert self.runner.run(self.outbox.withdraw([item.seq for item in chosen])) == expected

    @rule(limit=st.integers(1, 3))
    def expire(self, limit: int) -> None:
        assert self.runner.run(self.outbox.expire(limit=limit)) == self.model.expire(limit, self.now)

    @rule(destination=DESTINATIONS, pixel_id=PIXELS, seconds=st.sampled_from([-1.0, 30.0, HOUR]))
    def park(self, destination: str, pixel_id: str, seconds: float) -> None:
        until = self.now + seconds
        self.model.parks[destination, pixel_id] = Park(until, "throttled")
        self.runner.run(self.outbox.park(destination, pixel_id, until=until, reason="throttled"))

    @rule(data=st.data(), requeued=st.booleans())
    def letters_go(self, data: st.DataObject, requeued: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(self.model.letters), unique_by=id)) if self.model.letters else []
        payloads = {ended.row.new.payload for ended in chosen}
        letters = self.runner.run(self.outbox.letters(limit=1000))
        seqs = [letter.seq for letter in letters if letter.payload in payloads]
        if requeued:
            assert self.runner.run(self.outbox.requeue(seqs)) == self.model.requeue(chosen, self.now)
        else:
            assert self.runner.run(self.outbox.discard(seqs)) == self.model.discard(chosen)

    @rule(destination=st.none() | DESTINATIONS, pixel_id=st.none() | PIXELS, limit=st.sampled_from([1, 2, 1000]))
    def look(self, destination: str | None, pixel_id: str | None, limit: int) -> None:
        def is_asked_for(row: Row) -> bool:
            return destination in (None, row.pixel[0]) and pixel_id in (None, row.pixel[1])

        waiting = self.runner.run(self.outbox.waiting(destination=destination, pixel_id=pixel_id, limit=limit))
        rows = sorted((row for row in self.model.rows if is_asked_for(row)), key=lambda row: row.order)
        assert [
            (
                *(one.destination, one.pixel_id, one.payload, one.attempts, one.appended_at, one.deadline),
                *(one.priority, one.held, one.due, one.last_reason),
            )
            for one in waiting
        ] == [(*row.seen, row.new.priority, row.held, row.due, row.last_reason) for row in rows[:limit]]
        letters = self.runner.run(self.outbox.letters(destination=destination, pixel_id=pixel_id, limit=limit))
        ended = sorted((one for one in self.model.letters if is_asked_for(one.row)), key=lambda one: one.row.order)
        assert [
            (
                *(one.destination, one.pixel_id, one.payload, one.attempts, one.appended_at, one.deadline),
                *(one.reason, one.code, one.at, one.is_expired),
            )
            for one in letters
        ] == [(*one.row.seen, one.reason, one.code, one.at, one.is_expired) for one in ended[:limit]]

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, HOUR, 24 * HOUR, 48 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.model.doubt(self.now)

    @precondition(lambda self: self.name not in FORGETFUL)
    @rule()
    def reopen(self) -> None:
        self.runner.run(self.outbox.close())
        for row in self.model.rows:
            row.token, row.ends_at = "", 0.0
        self.open()

    @invariant()
    def counts_agree(self) -> None:
        assert self.runner.run(self.outbox.stats()) == self.model.stats(self.now)
        tallies = {name: Tally(**counts) for name, counts in self.model.counts.items()}
        assert self.runner.run(self.outbox.tally()) == tallies

    @invariant()
    def nothing_disappears_uncounted(self) -> None:
        depths = self.runner.run(self.outbox.stats())
        for destination, tally in self.runner.run(self.outbox.tally()).items():
            depth = depths.get(destination, Depth())
            waiting = depth.ready + depth.leased + depth.held
            ended = tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged + tally.lost
            assert tally.accepted + tally.requeued == ended + waiting
            assert tally.dead + tally.expired == tally.requeued + tally.discarded + depth.dead

    @invariant()
    def parks_agree(self) -> None:
        in_force = {pixel: park for pixel, park in self.model.parks.items() if park.until > self.now}
        assert self.runner.run(self.outbox.parks()) == in_force

    def teardown(self) -> None:
        assert not any(self.runner.run(self.outbox.unaccounted()).values())
        self.runner.run(self.outbox.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.timeout(rounds(300, 3600))  # thousands of statements, beside whatever else the machine has to do
@pytest.mark.parametrize("name", ENGINES)
def test_engine_answers_like_the_model(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(name, monkeypatch)
    machine = type("Machine", (OutboxMachine,), {"name": name})
    number = EXAMPLES_OF.get(name, EXAMPLES)
    run_state_machine_as_test(machine, settings=settings(max_examples=number, stateful_step_count=40, deadline=None))
