"""Every engine of `outboxes/` answers like a model so plain that it can be checked by reading."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from pixeltwin import kinds
from pixeltwin.delivery.outbox import (
    Appended,
    Delivered,
    Depth,
    Dropped,
    Later,
    Lease,
    NewItem,
    Outcome,
    Refused,
)

ENGINES = {module.__name__.rpartition(".")[2]: module for module in kinds.modules("pixeltwin.outboxes")}
FORGETFUL = {"memory"}  # what is closed is lost
HOUR = 3600.0

DESTINATIONS = st.sampled_from(["conversions_api", "pixel_relay"])
PIXELS = st.sampled_from(["1", "2"])
KEYS = st.none() | st.sampled_from([b"a", b"b", b"c"])
SUBJECTS = st.sampled_from([b"ann's browser...", b"bob's browser..."])
HOLDS = st.none() | st.sampled_from([0.0, 30.0, HOUR])  # seconds from now on
SECONDS = st.sampled_from([0.0, 1.0, 30.0, 60.0])
OUTCOMES = st.one_of(
    st.none(),  # not named: let go
    st.builds(Delivered),
    st.builds(Later, st.sampled_from([0.0, 1.0, 45.0, HOUR]), st.just("HTTP 503")),  # `at` from now on
    st.builds(Refused, st.just("bad")),
    st.builds(Dropped, st.just("no consent")),
)


@dataclass
class Row:
    new: NewItem
    order: int
    appended_at: float
    due: float
    held: bool
    attempts: int = 0
    token: str = ""
    ends_at: float = 0.0


class Model:
    """A list of rows, looked through for everything."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.accepted: list[tuple[float, tuple[Any, ...]]] = []
        self.dead: list[NewItem] = []

    def append(self, new: NewItem, order: int, now: float) -> Appended:
        name = (new.destination, new.pixel_id, new.key)
        if new.key is not None and any(now - at < 48 * HOUR and other == name for at, other in self.accepted):
            return Appended.DUPLICATE
        self.accepted.append((now, name))
        due = now if new.hold_until is None else new.hold_until
        self.rows.append(Row(new, order, appended_at=now, due=due, held=new.hold_until is not None))
        return Appended.ACCEPTED

    def free(self, destination: str, now: float) -> list[Row]:
        mine = [row for row in self.rows if row.new.destination == destination]
        return sorted(
            (row for row in mine if row.due <= now and row.ends_at <= now), key=lambda row: (row.due, row.order)
        )

    def under(self, token: str) -> dict[bytes, Row]:
        return {row.new.payload: row for row in self.rows if row.token == token}

    def settle(self, row: Row, outcome: Outcome | None) -> None:
        row.token, row.ends_at = "", 0.0
        if isinstance(outcome, Later):
            row.due, row.attempts = outcome.at, row.attempts + 1
        elif outcome is not None:
            self.rows.remove(row)
        if isinstance(outcome, Refused):
            self.dead.append(row.new)

    def about(self, pixel_id: str, subject: bytes, now: float) -> list[Row]:
        mine = [row for row in self.rows if row.new.pixel_id == pixel_id and row.new.subject == subject]
        return [row for row in mine if row.ends_at <= now]

    def release(self, pixel_id: str, subject: bytes, now: float) -> int:
        released = [row for row in self.about(pixel_id, subject, now) if row.held]
        for row in released:
            row.held, row.due, row.token = False, now, ""
        return len(released)

    def purge(self, pixel_id: str, subject: bytes, now: float) -> int:
        before = len(self.rows) + len(self.dead)
        for row in self.about(pixel_id, subject, now):
            self.rows.remove(row)
        self.dead = [new for new in self.dead if new.pixel_id != pixel_id or new.subject != subject]
        return before - len(self.rows) - len(self.dead)

    def stats(self, now: float) -> dict[str, Depth]:
        named = {new.destination for new in [*(row.new for row in self.rows), *self.dead]}
        return {destination: self.depth(destination, now) for destination in named}

    def depth(self, destination: str, now: float) -> Depth:
        rows = [row for row in self.rows if row.new.destination == destination]
        leased = [row for row in rows if row.ends_at > now]
        held = [row for row in rows if row.held and row.ends_at <= now]
        return Depth(
            ready=len([row for row in rows if row not in leased and row not in held]),
            leased=len(leased),
            held=len(held),
            dead=len([new for new in self.dead if new.destination == destination]),
            oldest_at=min((row.appended_at for row in rows if not row.held), default=None),
        )


class OutboxMachine(RuleBasedStateMachine):
    """Does the same to an engine and to the model, and compares what they answer."""

    name: str
    engine: ModuleType
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
        opening = self.engine.open_outbox(
            self.engine.Settings(kind=self.name), base=Path(self.folder.name), clock=lambda: self.now
        )
        self.outbox = self.runner.run(opening)

    @rule(wanted=st.lists(st.tuples(DESTINATIONS, PIXELS, KEYS, st.none() | SUBJECTS, HOLDS), max_size=6))
    def append(self, wanted: list[tuple[str, str, bytes | None, bytes | None, float | None]]) -> None:
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
            )
            for number, (destination, pixel_id, key, subject, hold) in numbered
        ]
        expected = [
            self.model.append(item, number, self.now) for item, (number, _) in zip(items, numbered, strict=True)
        ]
        assert self.runner.run(self.outbox.append(items)) == expected

    @rule(target=leases, destination=DESTINATIONS, limit=st.integers(1, 5), seconds=SECONDS)
    def lease(self, destination: str, limit: int, seconds: float) -> Lease:
        lease: Lease = self.runner.run(self.outbox.lease(destination, limit=limit, seconds=seconds))
        rows = self.model.free(destination, self.now)[:limit]
        answered = [(item.payload, item.pixel_id, item.attempts, item.appended_at, item.held) for item in lease.items]
        assert answered == [
            (row.new.payload, row.new.pixel_id, row.attempts, row.appended_at, row.held) for row in rows
        ]
        assert not any(row.held and self.now < (row.new.hold_until or 0.0) for row in rows)
        for row in rows:
            row.token, row.ends_at = lease.token, lease.ends_at
        return lease

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
                self.model.settle(row, outcome)

    def absolute(self, outcome: Outcome | None) -> Outcome | None:
        return Later(self.now + outcome.at, outcome.reason) if isinstance(outcome, Later) else outcome

    @rule(pixel_id=PIXELS, subject=SUBJECTS)
    def release(self, pixel_id: str, subject: bytes) -> None:
        expected = self.model.release(pixel_id, subject, self.now)
        assert self.runner.run(self.outbox.release(pixel_id, subject)) == expected

    @rule(pixel_id=PIXELS, subject=SUBJECTS)
    def purge(self, pixel_id: str, subject: bytes) -> None:
        expected = self.model.purge(pixel_id, subject, self.now)
        assert self.runner.run(self.outbox.purge(pixel_id, subject)) == expected

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, HOUR, 24 * HOUR, 48 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

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

    def teardown(self) -> None:
        self.runner.run(self.outbox.close())
        self.runner.close()
        self.folder.cleanup()


@pytest.mark.parametrize("name", ENGINES)
def test_engine_answers_like_the_model(name: str) -> None:
    machine = type("Machine", (OutboxMachine,), {"name": name, "engine": ENGINES[name]})
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
