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
SECONDS = st.sampled_from([0.0, 1.0, 30.0, 60.0])
OUTCOMES = st.one_of(
    st.none(),  # not named: released
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
    attempts: int = 0
    token: str = ""
    ends_at: float = 0.0


class Model:
    """A list of rows, looked through for everything."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.accepted: list[tuple[float, tuple[Any, ...]]] = []
        self.dead: list[str] = []

    def append(self, new: NewItem, order: int, now: float) -> Appended:
        name = (new.destination, new.pixel_id, new.key)
        if new.key is not None and any(now - at < 48 * HOUR and other == name for at, other in self.accepted):
            return Appended.DUPLICATE
        self.accepted.append((now, name))
        self.rows.append(Row(new, order, appended_at=now, due=now))
        return Appended.ACCEPTED

    def free(self, destination: str, now: float) -> list[Row]:
        mine = [row for row in self.rows if row.new.destination == destination]
        return sorted(
            (row for row in mine if row.due <= now and row.ends_at <= now), key=lambda row: (row.due, row.order)
        )

    def held(self, token: str) -> dict[bytes, Row]:
        return {row.new.payload: row for row in self.rows if row.token == token}

    def settle(self, row: Row, outcome: Outcome | None) -> None:
        row.token, row.ends_at = "", 0.0
        if isinstance(outcome, Later):
            row.due, row.attempts = outcome.at, row.attempts + 1
        elif outcome is not None:
            self.rows.remove(row)
        if isinstance(outcome, Refused):
            self.dead.append(row.new.destination)

    def stats(self, now: float) -> dict[str, Depth]:
        named = {row.new.destination for row in self.rows} | set(self.dead)
        return {destination: self.depth(destination, now) for destination in named}

    def depth(self, destination: str, now: float) -> Depth:
        rows = [row for row in self.rows if row.new.destination == destination]
        leased = [row for row in rows if row.ends_at > now]
        oldest_at = min((row.appended_at for row in rows), default=None)
        dead = self.dead.count(destination)
        return Depth(ready=len(rows) - len(leased), leased=len(leased), dead=dead, oldest_at=oldest_at)


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

    @rule(wanted=st.lists(st.tuples(DESTINATIONS, PIXELS, KEYS), max_size=6))
    def append(self, wanted: list[tuple[str, str, bytes | None]]) -> None:
        numbered = list(enumerate(wanted, self.appended))
        self.appended += len(wanted)
        items = [
            NewItem(destination=destination, pixel_id=pixel_id, key=key, payload=b"%d" % number)
            for number, (destination, pixel_id, key) in numbered
        ]
        expected = [
            self.model.append(item, number, self.now) for item, (number, _) in zip(items, numbered, strict=True)
        ]
        assert self.runner.run(self.outbox.append(items)) == expected

    @rule(target=leases, destination=DESTINATIONS, limit=st.integers(1, 5), seconds=SECONDS)
    def lease(self, destination: str, limit: int, seconds: float) -> Lease:
        lease: Lease = self.runner.run(self.outbox.lease(destination, limit=limit, seconds=seconds))
        rows = self.model.free(destination, self.now)[:limit]
        answered = [(item.payload, item.pixel_id, item.attempts, item.appended_at) for item in lease.items]
        assert answered == [(row.new.payload, row.new.pixel_id, row.attempts, row.appended_at) for row in rows]
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
        held = self.model.held(lease.token)
        assert applied == sum(item.payload in held and outcome is not None for item, outcome in outcomes.items())
        for item, outcome in outcomes.items():
            if row := held.get(item.payload):
                self.model.settle(row, outcome)

    def absolute(self, outcome: Outcome | None) -> Outcome | None:
        return Later(self.now + outcome.at, outcome.reason) if isinstance(outcome, Later) else outcome

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
