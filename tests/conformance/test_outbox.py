"""Every engine of `outboxes/` keeps the promises of `delivery/outbox.py`."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pixeltwin import kinds
from pixeltwin.delivery.outbox import (
    Appended,
    Delivered,
    Depth,
    Dropped,
    Item,
    Later,
    Lease,
    NewItem,
    Outbox,
    Outcome,
    Refused,
)

HOUR = 3600.0
CAPI, RELAY = "conversions_api", "pixel_relay"
ANN, BOB = b"ann's browser...", b"bob's browser..."


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def new_item(name: str = "a", *, destination: str = CAPI, pixel_id: str = "1", key: bytes | None = None) -> NewItem:
    return NewItem(destination=destination, pixel_id=pixel_id, key=key, payload=name.encode())


def about(subject: bytes | None, item: NewItem, *, hold_until: float | None = None) -> NewItem:
    return replace(item, subject=subject, hold_until=hold_until)


def held_item(name: str = "a", *, until: float, subject: bytes | None = ANN, **item: Any) -> NewItem:
    return about(subject, new_item(name, **item), hold_until=until)


def names(lease: Lease) -> list[str]:
    return [item.payload.decode() for item in lease.items]


async def open_kind(kind: ModuleType, base: Path, clock: Callable[[], float]) -> Outbox:
    name = kind.__name__.rpartition(".")[2]
    outbox: Outbox = await kind.open_outbox(kind.Settings(kind=name), base=base, clock=clock)
    return outbox


@pytest.fixture(params=kinds.modules("pixeltwin.outboxes"), ids=lambda kind: kind.__name__.rpartition(".")[2])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def outbox(kind: ModuleType, tmp_path: Path, clock: Clock) -> AsyncIterator[Outbox]:
    outbox = await open_kind(kind, tmp_path, clock)
    yield outbox
    await outbox.close()


@pytest.fixture
async def ticking(kind: ModuleType, tmp_path: Path) -> AsyncIterator[Outbox]:
    """An outbox on the real clock."""
    outbox = await open_kind(kind, tmp_path, time.time)
    yield outbox
    await outbox.close()


async def lease(outbox: Outbox, destination: str = CAPI, *, limit: int = 100, seconds: float = 60.0) -> Lease:
    return await outbox.lease(destination, limit=limit, seconds=seconds)


async def settle_all(outbox: Outbox, taken: Lease, outcome: Outcome) -> int:
    return await outbox.settle(taken, {item.seq: outcome for item in taken.items})


# Appending


async def test_an_item_comes_out_as_it_went_in(outbox: Outbox, clock: Clock) -> None:
    payload = bytes(range(256))
    await outbox.append([NewItem(destination=CAPI, pixel_id="73", key=b"\x00", payload=payload)])
    (item,) = (await lease(outbox)).items
    assert item == Item(seq=item.seq, pixel_id="73", payload=payload, attempts=0, appended_at=clock.now)


async def test_answers_are_in_the_order_of_the_items(outbox: Outbox) -> None:
    items = [new_item(key=b"1"), new_item(key=b"1"), new_item(key=b"2")]
    assert await outbox.append(items) == [Appended.ACCEPTED, Appended.DUPLICATE, Appended.ACCEPTED]


async def test_appending_nothing_is_allowed(outbox: Outbox) -> None:
    assert await outbox.append([]) == []


async def test_duplicate_key_is_accepted_once(outbox: Outbox) -> None:
    await outbox.append([new_item("first", key=b"k")])
    assert await outbox.append([new_item("second", key=b"k")]) == [Appended.DUPLICATE]
    assert names(await lease(outbox)) == ["first"]


async def test_key_counts_for_its_destination_and_pixel_only(outbox: Outbox) -> None:
    others = [new_item(key=b"k", destination=RELAY), new_item(key=b"k", pixel_id="2")]
    await outbox.append([new_item(key=b"k")])
    assert await outbox.append(others) == [Appended.ACCEPTED, Appended.ACCEPTED]


async def test_key_is_remembered_after_delivery_for_48_hours(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item(key=b"k")])
    await settle_all(outbox, await lease(outbox), Delivered())
    clock.now += 48 * HOUR - 1
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]
    clock.now += 1
    assert await outbox.append([new_item(key=b"k")]) == [Appended.ACCEPTED]


async def test_a_key_accepted_again_is_remembered_from_then_on(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item(key=b"k")])
    clock.now += 48 * HOUR
    await outbox.append([new_item(key=b"k")])
    clock.now += 48 * HOUR - 1
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]


async def test_a_duplicate_does_not_prolong_the_memory_of_its_key(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item(key=b"k")])
    clock.now += 47 * HOUR
    await outbox.append([new_item(key=b"k")])
    clock.now += HOUR
    assert await outbox.append([new_item(key=b"k")]) == [Appended.ACCEPTED]


@pytest.mark.parametrize("outcome", [Refused("bad"), Dropped("no consent")])
async def test_key_is_remembered_however_the_item_ended(outbox: Outbox, outcome: Outcome) -> None:
    await outbox.append([new_item(key=b"k")])
    await settle_all(outbox, await lease(outbox), outcome)
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]


async def test_item_without_key_is_never_a_duplicate(outbox: Outbox) -> None:
    assert await outbox.append([new_item("same"), new_item("same")]) == [Appended.ACCEPTED, Appended.ACCEPTED]
    assert names(await lease(outbox)) == ["same", "same"]


async def test_append_is_all_or_none(outbox: Outbox) -> None:
    broken: Any = object()
    with pytest.raises(Exception, match="destination"):
        await outbox.append([new_item("first", key=b"k"), broken])
    assert await outbox.stats() == {}
    assert await outbox.append([new_item("second", key=b"k")]) == [Appended.ACCEPTED]


async def test_concurrent_appends_are_each_accepted_once(outbox: Outbox) -> None:
    """300 tasks, 100 keys: each key is accepted from one of its three."""
    answers = await asyncio.gather(
        *(outbox.append([new_item(str(n % 100), key=b"%d" % (n % 100))]) for n in range(300))
    )
    assert sum(answer == [Appended.ACCEPTED] for answer in answers) == 100
    assert sorted(names(await lease(outbox, limit=1000))) == sorted(map(str, range(100)))


async def test_a_cancelled_append_leaves_the_others_alone(outbox: Outbox) -> None:
    tasks = [asyncio.create_task(outbox.append([new_item(str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    tasks[7].cancel()
    answers = await asyncio.gather(*tasks[:7], *tasks[8:])
    assert answers == [[Appended.ACCEPTED]] * 19


# Leasing


async def test_lease_of_nothing_is_empty(outbox: Outbox) -> None:
    taken = await lease(outbox)
    assert (taken.destination, taken.items) == (CAPI, ())
    assert await outbox.settle(taken, {}) == 0


async def test_lease_takes_only_its_destination(outbox: Outbox) -> None:
    await outbox.append([new_item("capi"), new_item("relay", destination=RELAY)])
    assert names(await lease(outbox, RELAY)) == ["relay"]


async def test_lease_takes_the_oldest_first_up_to_its_limit(outbox: Outbox, clock: Clock) -> None:
    for name in "abc":
        await outbox.append([new_item(name)])
        clock.now += 1
    assert names(await lease(outbox, limit=2)) == ["a", "b"]
    assert names(await lease(outbox, limit=2)) == ["c"]


async def test_items_appended_together_keep_their_order(outbox: Outbox) -> None:
    await outbox.append([new_item(str(n)) for n in range(50)])
    assert names(await lease(outbox)) == list(map(str, range(50)))


async def test_lease_hides_items_until_it_ends(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    first = await lease(outbox, seconds=60)
    assert first.ends_at == clock.now + 60
    clock.now += 59
    assert names(await lease(outbox)) == []
    clock.now += 1
    assert names(await lease(outbox)) == ["a"]


async def test_concurrent_leases_share_no_item(outbox: Outbox) -> None:
    await outbox.append([new_item(str(n)) for n in range(100)])
    taken = await asyncio.gather(*(lease(outbox, limit=10) for _ in range(20)))
    assert sorted(name for one in taken for name in names(one)) == sorted(map(str, range(100)))


# Settling


async def test_delivered_items_are_gone(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("a"), new_item("b")])
    assert await settle_all(outbox, await lease(outbox), Delivered()) == 2
    clock.now += 100 * HOUR
    assert names(await lease(outbox)) == []
    assert await outbox.stats() == {}


async def test_dropped_items_are_gone_and_not_kept(outbox: Outbox) -> None:
    await outbox.append([new_item()])
    assert await settle_all(outbox, await lease(outbox), Dropped("no consent")) == 1
    assert await outbox.stats() == {}


async def test_later_hides_an_item_until_due_and_counts_an_attempt(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    appended_at = clock.now
    assert await settle_all(outbox, await lease(outbox), Later(clock.now + 30, "HTTP 503")) == 1
    clock.now += 29
    assert names(await lease(outbox)) == []
    clock.now += 1
    (item,) = (await lease(outbox)).items
    assert (item.attempts, item.appended_at) == (1, appended_at)


async def test_refused_goes_to_dead_letters(outbox: Outbox) -> None:
    await outbox.append([new_item()])
    assert await settle_all(outbox, await lease(outbox), Refused("2804003: too old")) == 1
    assert names(await lease(outbox)) == []
    assert await outbox.stats() == {CAPI: Depth(dead=1)}


async def test_unnamed_items_are_let_go_without_an_attempt(outbox: Outbox) -> None:
    await outbox.append([new_item("a"), new_item("b")])
    taken = await lease(outbox)
    assert await outbox.settle(taken, {taken.items[0].seq: Delivered()}) == 1
    (item,) = (await lease(outbox)).items
    assert (item.payload, item.attempts) == (b"b", 0)


async def test_late_settle_of_a_lost_lease_changes_nothing(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    lost = await lease(outbox, seconds=60)
    clock.now += 60
    current = await lease(outbox, seconds=60)
    assert await settle_all(outbox, lost, Delivered()) == 0
    assert names(await lease(outbox)) == []
    assert await settle_all(outbox, current, Delivered()) == 1


async def test_a_lease_that_ended_but_was_not_lost_can_be_settled(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    taken = await lease(outbox, seconds=60)
    clock.now += 61
    assert await settle_all(outbox, taken, Delivered()) == 1


async def test_settling_twice_applies_once(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    taken = await lease(outbox)
    later = Later(clock.now, "HTTP 503")
    counts = await asyncio.gather(settle_all(outbox, taken, later), settle_all(outbox, taken, later))
    assert sorted(counts) == [0, 1]
    assert [item.attempts for item in (await lease(outbox)).items] == [1]


async def test_settle_touches_only_items_of_its_lease(outbox: Outbox) -> None:
    await outbox.append([new_item("mine"), new_item("theirs")])
    mine, theirs = await lease(outbox, limit=1), await lease(outbox, limit=1)
    assert await outbox.settle(mine, {theirs.items[0].seq: Delivered(), 999: Delivered()}) == 0
    assert await settle_all(outbox, theirs, Delivered()) == 1


# Holding


async def test_a_held_item_waits_for_its_time_and_then_comes_out_as_held(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR)])
    appended_at = clock.now
    clock.now += HOUR - 1
    assert names(await lease(outbox)) == []
    clock.now += 1
    (item,) = (await lease(outbox)).items
    assert item == Item(seq=item.seq, pixel_id="1", payload=b"a", attempts=0, appended_at=appended_at, held=True)


async def test_released_items_are_due_at_once_and_held_no_longer(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item("a", until=clock.now + HOUR), held_item("b", until=clock.now + 2 * HOUR)])
    clock.now += 1
    assert await outbox.release("1", ANN) == 2
    assert [(item.payload, item.held) for item in (await lease(outbox)).items] == [(b"a", False), (b"b", False)]


async def test_what_was_released_comes_out_once(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR)])
    assert [await outbox.release("1", ANN), await outbox.release("1", ANN)] == [1, 0]
    await settle_all(outbox, await lease(outbox), Delivered())
    clock.now += HOUR
    assert names(await lease(outbox)) == []


async def test_release_concerns_its_pixel_and_subject_at_every_destination(outbox: Outbox, clock: Clock) -> None:
    until = clock.now + HOUR
    await outbox.append(
        [
            held_item("mine", until=until),
            held_item("mine too", until=until, destination=RELAY),
            held_item("another's", until=until, subject=BOB),
            held_item("another pixel's", until=until, pixel_id="2"),
            held_item("nobody's", until=until, subject=None),
        ]
    )
    assert await outbox.release("1", ANN) == 2
    assert names(await lease(outbox)) == ["mine"]
    assert names(await lease(outbox, RELAY)) == ["mine too"]


async def test_release_hurries_nothing_that_was_not_held(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([about(ANN, new_item())])
    await settle_all(outbox, await lease(outbox), Later(clock.now + 30, "HTTP 503"))
    assert await outbox.release("1", ANN) == 0
    assert names(await lease(outbox)) == []


async def test_a_released_item_waits_for_its_retry_like_any_other(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR)])
    await outbox.release("1", ANN)
    await settle_all(outbox, await lease(outbox), Later(clock.now + 30, "HTTP 503"))
    assert await outbox.release("1", ANN) == 0
    clock.now += 30
    assert [(item.attempts, item.held) for item in (await lease(outbox)).items] == [(1, False)]


async def test_release_leaves_items_under_lease_alone(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR)])
    clock.now += HOUR
    taken = await lease(outbox)
    assert await outbox.release("1", ANN) == 0
    assert await settle_all(outbox, taken, Dropped("no consent")) == 1
    assert await outbox.stats() == {}


async def test_an_unreleased_item_stays_held_when_it_is_let_go(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR)])
    clock.now += HOUR
    await outbox.settle(await lease(outbox), {})
    taken = await lease(outbox)
    assert [item.held for item in taken.items] == [True]
    await outbox.settle(taken, {})
    assert await outbox.release("1", ANN) == 1
    assert [item.held for item in (await lease(outbox)).items] == [False]


@pytest.mark.parametrize("outcome", [Delivered(), Dropped("no consent")])
async def test_a_lease_that_ended_loses_what_is_released(outbox: Outbox, clock: Clock, outcome: Outcome) -> None:
    """Or consent that came in time would be dropped by who thought that there was none."""
    await outbox.append([held_item(until=clock.now + HOUR)])
    clock.now += HOUR
    ended = await lease(outbox, seconds=60)
    clock.now += 60
    assert await outbox.release("1", ANN) == 1
    assert await settle_all(outbox, ended, outcome) == 0
    assert names(await lease(outbox)) == ["a"]


async def test_a_held_item_is_a_duplicate_like_any_other(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([held_item(until=clock.now + HOUR, key=b"k")])
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]


# Purging


async def test_purge_deletes_what_waits_held_or_not(outbox: Outbox, clock: Clock) -> None:
    until = clock.now + HOUR
    await outbox.append([held_item("a", until=until), about(ANN, new_item("b", destination=RELAY))])
    assert [await outbox.purge("1", ANN), await outbox.purge("1", ANN)] == [2, 0]
    clock.now += HOUR
    assert [names(await lease(outbox, destination)) for destination in (CAPI, RELAY)] == [[], []]
    assert await outbox.stats() == {}


async def test_purge_takes_nothing_of_other_subjects_or_pixels(outbox: Outbox) -> None:
    others = [about(BOB, new_item("bob's")), about(ANN, new_item("pixel 2's", pixel_id="2")), new_item("nobody's")]
    await outbox.append([about(ANN, new_item("ann's")), *others])
    assert await outbox.purge("1", ANN) == 1
    assert names(await lease(outbox)) == ["bob's", "pixel 2's", "nobody's"]


async def test_purge_leaves_items_under_lease_to_their_end(outbox: Outbox) -> None:
    await outbox.append([about(ANN, new_item("leased")), about(ANN, new_item("waiting"))])
    taken = await lease(outbox, limit=1)
    assert await outbox.purge("1", ANN) == 1
    assert await settle_all(outbox, taken, Delivered()) == 1
    assert await outbox.stats() == {}


@pytest.mark.parametrize("outcome", [Delivered(), Later(0.0, "HTTP 503"), Refused("bad")])
async def test_purge_takes_what_a_lease_has_lost(outbox: Outbox, clock: Clock, outcome: Outcome) -> None:
    await outbox.append([about(ANN, new_item())])
    ended = await lease(outbox, seconds=60)
    clock.now += 60
    assert await outbox.purge("1", ANN) == 1
    assert await settle_all(outbox, ended, outcome) == 0
    assert await outbox.stats() == {}


async def test_keys_of_purged_items_stay_remembered(outbox: Outbox) -> None:
    await outbox.append([about(ANN, new_item(key=b"k"))])
    await outbox.purge("1", ANN)
    assert await outbox.append([about(ANN, new_item(key=b"k"))]) == [Appended.DUPLICATE]


async def test_purge_takes_the_dead_letters_of_the_subject(outbox: Outbox) -> None:
    items = [about(ANN, new_item()), about(BOB, new_item()), about(ANN, new_item(pixel_id="2")), new_item()]
    await outbox.append(items)
    await settle_all(outbox, await lease(outbox), Refused("bad"))
    assert [await outbox.purge("1", ANN), await outbox.purge("1", ANN)] == [1, 0]
    assert await outbox.stats() == {CAPI: Depth(dead=3)}


# Waiting


async def wakes_within(seconds: float, waiting: "asyncio.Task[None]") -> bool:
    done, _ = await asyncio.wait([waiting], timeout=seconds)
    return bool(done)


async def test_wait_returns_at_once_when_an_item_is_due(ticking: Outbox) -> None:
    await ticking.append([new_item()])
    assert await wakes_within(5, asyncio.create_task(ticking.wait(CAPI, seconds=60)))


async def test_wait_wakes_on_append(ticking: Outbox) -> None:
    waiting = [asyncio.create_task(ticking.wait(CAPI, seconds=60)) for _ in range(3)]
    assert not await wakes_within(0.05, waiting[0])
    await ticking.append([new_item()])
    assert all([await wakes_within(5, one) for one in waiting])


async def test_wait_wakes_when_held_items_are_released(ticking: Outbox) -> None:
    await ticking.append([held_item(until=time.time() + HOUR)])
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=60))
    assert not await wakes_within(0.05, waiting)
    await ticking.release("1", ANN)
    assert await wakes_within(5, waiting)


async def test_wait_wakes_when_the_time_of_a_held_item_has_passed(ticking: Outbox) -> None:
    await ticking.append([held_item(until=time.time() + 0.1)])
    assert await wakes_within(5, asyncio.create_task(ticking.wait(CAPI, seconds=60)))


async def test_wait_wakes_when_a_lease_lets_go(ticking: Outbox) -> None:
    await ticking.append([new_item()])
    taken = await lease(ticking)
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=60))
    assert not await wakes_within(0.05, waiting)
    await ticking.settle(taken, {})
    assert await wakes_within(5, waiting)


async def test_wait_sleeps_through_what_happens_to_others(ticking: Outbox) -> None:
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=0.2))
    await ticking.append([new_item(destination=RELAY)])
    assert not await wakes_within(0.1, waiting)
    await waiting


async def test_wait_gives_up_after_its_seconds(ticking: Outbox) -> None:
    began = time.monotonic()
    await ticking.wait(CAPI, seconds=0.1)
    assert 0.09 <= time.monotonic() - began < 5


async def test_wait_wakes_when_a_retry_is_due(ticking: Outbox) -> None:
    """Also when the retry was arranged while the task was waiting already."""
    await ticking.append([new_item()])
    taken = await lease(ticking)
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=60))
    await settle_all(ticking, taken, Later(time.time() + 0.2, "HTTP 503"))
    assert await wakes_within(5, waiting)
    while not (again := await lease(ticking)).items:  # waking too early is allowed, leasing too early is not
        await ticking.wait(CAPI, seconds=60)
    assert [item.attempts for item in again.items] == [1]


async def test_wait_wakes_when_a_lease_ends(ticking: Outbox) -> None:
    await ticking.append([new_item()])
    await lease(ticking, seconds=0.1)
    assert await wakes_within(5, asyncio.create_task(ticking.wait(CAPI, seconds=60)))


# Counting and closing


async def test_stats_count_ready_leased_and_dead_by_destination(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([new_item("refused"), new_item("relayed", destination=RELAY)])
    await settle_all(outbox, await lease(outbox), Refused("bad"))
    clock.now += 10
    await outbox.append([new_item("leased"), new_item("later"), new_item("ready")])
    taken = await lease(outbox, limit=2)
    await outbox.settle(taken, {taken.items[1].seq: Later(clock.now + 60, "HTTP 503")})
    await lease(outbox, limit=1)
    assert await outbox.stats() == {
        CAPI: Depth(ready=2, leased=1, dead=1, oldest_at=began + 10),
        RELAY: Depth(ready=1, oldest_at=began),
    }


async def test_an_ended_lease_counts_as_ready(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    await lease(outbox, seconds=60)
    clock.now += 60
    assert await outbox.stats() == {CAPI: Depth(ready=1, oldest_at=clock.now - 60)}


async def test_held_items_are_counted_apart(outbox: Outbox, clock: Clock) -> None:
    """Until they are released, also after their time, except while they are under lease."""
    began = clock.now
    await outbox.append([held_item(until=began + 10), held_item(until=began + 10), held_item(until=began + HOUR)])
    assert await outbox.stats() == {CAPI: Depth(held=3)}
    clock.now += 10
    await lease(outbox, limit=1)
    await outbox.append([held_item(until=clock.now + HOUR, subject=BOB), new_item()])
    assert await outbox.stats() == {CAPI: Depth(ready=1, leased=1, held=3, oldest_at=began + 10)}
    await outbox.release("1", ANN)
    assert await outbox.stats() == {CAPI: Depth(ready=3, leased=1, held=1, oldest_at=began)}


async def test_closing_finishes_what_was_begun(outbox: Outbox) -> None:
    begun = [asyncio.create_task(outbox.append([new_item()])) for _ in range(50)]
    await asyncio.sleep(0)
    await outbox.close()
    assert await asyncio.gather(*begun) == [[Appended.ACCEPTED]] * 50


async def test_closing_wakes_who_waits(outbox: Outbox) -> None:
    waiting = asyncio.create_task(outbox.wait(CAPI, seconds=60))
    await asyncio.sleep(0)
    await outbox.close()
    assert await wakes_within(5, waiting)


async def test_a_closed_outbox_takes_nothing(outbox: Outbox) -> None:
    await outbox.close()
    await outbox.close()
    for late in (outbox.append([new_item()]), outbox.release("1", ANN), outbox.purge("1", ANN)):
        with pytest.raises(OSError, match="closed"):
            await late
