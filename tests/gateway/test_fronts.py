"""What fronts and their back tell each other, and what the back's journal makes of it, in whatever order it comes."""

import asyncio
import math
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.delivery.journal import FORGOTTEN, Record, State
from pixeltwin.delivery.outbox import NewItem
from pixeltwin.gateway.back import EARLY, BackJournal
from pixeltwin.gateway.counts import Counts, add
from pixeltwin.gateway.entries import Entry
from pixeltwin.gateway.front import MOST_BACKLOG, Behind
from pixeltwin.gateway.link import Kind, Link, Message, entry_of, packed_entry, packed_record, record_of
from pixeltwin.telemetry import HITS, REGISTRY, UNACKED_PASSTHROUGH

KEY = st.none() | st.binary(min_size=16, max_size=16)
TEXT = st.text(st.characters(codec=None))  # with lone surrogates: a hit may be no valid UTF-8
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ITEMS = st.builds(
    NewItem,
    destination=TEXT,
    pixel_id=TEXT,
    key=KEY,
    payload=st.binary(),
    subject=KEY,
    hold_until=st.none() | st.floats(0, 4e9),
    priority=st.integers(0, 2),
    deadline=st.floats(0, 4e9) | st.just(math.inf),
)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)


@asynccontextmanager
async def link() -> AsyncIterator[tuple[Link, "asyncio.Queue[list[Message]]"]]:
    """One end, and what is heard at the other."""
    heard: asyncio.Queue[list[Message]] = asyncio.Queue()
    ends = [Link(heard.put_nowait, lambda: None) for _ in range(2)]
    for end, sock in zip(ends, socket.socketpair(), strict=True):
        await asyncio.get_running_loop().create_unix_connection(lambda end=end: end, sock=sock)
    try:
        yield ends[0], heard
    finally:
        for end in ends:
            end.close()
        await asyncio.sleep(0)


def carried(*message: Any) -> Message:
    async def carry() -> Message:
        async with link() as (end, heard):
            end.send(*message)
            (found,) = await heard.get()
            return found

    return asyncio.run(carry())


@given(ITEMS)
def test_an_item_arrives_as_it_was(item):
    kind, packed = carried(Kind.KEEP, item)
    assert (kind, NewItem(*packed)) == (Kind.KEEP, item)


def record(record_id: str = "run-1", state: State = State.QUEUED, **changes: Any) -> Record:
    known = {"received_at": 1.0, "pixel_id": "1", "event_name": "Lead", "event_id": "e", "source_url": ""}
    return Record(id=record_id, state=state, **{**known, **changes})


def as_lists(value: Any) -> Any:
    """With lists for tuples, and text for numbers that no message can hold."""
    if isinstance(value, dict):
        return {key: as_lists(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_lists(one) for one in value]
    return str(value) if isinstance(value, int) and not -(2**63) <= value < 2**64 else value


@given(PAIRS, st.dictionaries(TEXT, JSON, max_size=3), st.sampled_from(State))
def test_a_record_arrives_as_it_was(hit, twin, state):
    sent = record(hit=hit, twin=twin, state=state, rules=("a",))
    found = record_of(carried(Kind.RECORD, packed_record(sent))[1])
    assert found.state is state
    assert (found.id, found.hit, found.rules) == (sent.id, hit, ("a",))
    assert as_lists(found.twin) == as_lists(twin)


def entry(state: State = State.QUEUED) -> Entry:
    payload = b'{"notes":["n"],"event":{"event_name":"Lead","event_id":"e"}}'
    known = {"pixel_id": "1", "consent": "", "referer": "", "relay": "none", "detail": "", "is_large": False}
    told = {
        "parameters": b'[["dl","https://a.example/"]]',
        "payload": payload,
        "rules": ["a"],
        "origins": {"value": "a"},
    }
    return Entry(record_id="run-1", received_at=1.0, state=state, **known, **told)


def test_an_entry_arrives_as_it_was():
    found = entry_of(carried(Kind.ENTRY, packed_entry(entry()))[1])
    assert found.record() == entry().record()
    assert found.record().state is State.QUEUED


async def test_what_is_said_in_one_turn_is_heard_together():
    async with link() as (end, heard):
        for number in range(100):
            end.send(Kind.DONE, number, None)
        assert [message[1] for message in await heard.get()] == list(range(100))


async def test_whoever_waits_for_a_back_that_goes_hears_of_it_at_once():
    ours, theirs = socket.socketpair()
    told = []
    behind = Behind(lambda: told.append("gone"))
    await behind.connect(ours)
    asked = behind.append([])
    await asyncio.sleep(0)
    theirs.close()
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(asked, 2)
    with pytest.raises(OSError, match="gone"):
        await asyncio.wait_for(behind.append([]), 2)
    assert told == ["gone"]
    assert await behind.next_config() is None
    behind.close()


async def test_who_lets_go_of_the_back_is_not_told_that_it_has_gone():
    ours, theirs = socket.socketpair()
    told = []
    behind = Behind(lambda: told.append("gone"))
    await behind.connect(ours)
    behind.close()
    assert await behind.next_config() is None
    assert told == []
    theirs.close()


async def test_records_are_lost_by_number_when_the_back_lags_and_take_no_memory():
    ours, theirs = socket.socketpair()  # which nobody reads
    behind = Behind(lambda: None)
    await behind.connect(ours)
    lost = REGISTRY.get_sample_value("pixeltwin_front_records_lost_total")
    large = record(hit=[("a", "b" * 50_000)])
    for _ in range(200):
        behind.tell(large)
        await asyncio.sleep(0)
    assert REGISTRY.get_sample_value("pixeltwin_front_records_lost_total") > lost
    assert behind._link.backlog < MOST_BACKLOG + 200_000
    behind.close()
    theirs.close()


def test_counts_are_told_once_and_added():
    def now() -> tuple[float, float]:
        labels = {"pixel": "p", "outcome": "queued", "reason": "counted"}
        found = REGISTRY.get_sample_value("pixeltwin_hits_total", labels)
        return found or 0.0, REGISTRY.get_sample_value("pixeltwin_unacked_passthrough_total") or 0.0

    counts, before = Counts(), now()
    counts.take()
    HITS.labels("p", "queued", "counted").inc(2)
    HITS.count("p", "queued", "counted")
    UNACKED_PASSTHROUGH.inc()
    increments = counts.take()
    assert len(increments) == 2
    assert counts.take() == []
    add(increments)  # as another process would
    assert now() == (before[0] + 6, before[1] + 2)


@pytest.mark.parametrize("is_early", [True, False])
def test_a_delivery_shows_whether_its_record_comes_before_or_after_it(is_early):
    journal = BackJournal()
    if is_early:
        journal.update("run-1", state=State.DELIVERED, detail="taken")
    journal.add(record())
    if not is_early:
        journal.update("run-1", state=State.DELIVERED, detail="taken")
    assert (journal.get("run-1").state, journal.get("run-1").detail) == (State.DELIVERED, "taken")


def test_all_that_came_before_a_record_counts():
    journal = BackJournal()
    journal.update("run-1", notes=("sealed",))
    journal.update("run-1", state=State.DELIVERED)
    journal.add(record())
    assert (journal.get("run-1").state, journal.get("run-1").notes) == (State.DELIVERED, ("sealed",))


def test_a_front_s_last_word_counts_unless_something_was_heard_since():
    journal = BackJournal()
    journal.add(record(state=State.UNACKED))
    journal.add(record(state=State.QUEUED))
    assert journal.get("run-1").state is State.QUEUED
    journal.update("run-1", state=State.DELIVERED)
    journal.add(record(state=State.QUEUED))
    assert journal.get("run-1").state is State.DELIVERED


def test_news_that_came_before_an_entry_is_not_lost():
    journal = BackJournal()
    journal.update("run-1", state=State.DELIVERED)
    journal.add_later(entry())
    assert (journal.get("run-1").state, journal.get("run-1").notes) == (State.DELIVERED, ("n",))


def test_an_entry_is_the_front_s_last_word_about_a_hit_that_was_not_kept_in_time():
    journal = BackJournal()
    journal.add(entry(State.UNACKED).record())
    journal.add_later(entry())
    assert [one.state for one in journal.latest()] == [State.QUEUED]


def test_what_was_forgotten_is_not_told_again():
    journal = BackJournal()
    journal.add(record(twin={"user_data": {"em": ["hash"]}}))
    assert journal.forget(lambda _: True) == 1
    journal.add(record(twin={"user_data": {"em": ["hash"]}}))
    assert (journal.get("run-1").detail, journal.get("run-1").twin) == (FORGOTTEN, None)


def test_changes_of_records_that_never_come_are_bounded():
    journal = BackJournal()
    for number in range(EARLY + 10):
        journal.update(f"run-{number}", state=State.DELIVERED)
    assert len(journal._early) == EARLY
