"""Every engine of `outboxes/` keeps the promises of `delivery/outbox.py`."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.outboxes.engines import BOUND, ENGINES, Open, hurry

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
    Letter,
    NewItem,
    Outbox,
    Outcome,
    Park,
    Refused,
    Tally,
    Waiting,
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
    return item._replace(subject=subject, hold_until=hold_until)


def held_item(name: str = "a", *, until: float, subject: bytes | None = ANN, **item: Any) -> NewItem:
    return about(subject, new_item(name, **item), hold_until=until)


def dated(item: NewItem, deadline: float) -> NewItem:
    return item._replace(deadline=deadline)


def urgent(item: NewItem, priority: int = 1) -> NewItem:
    return item._replace(priority=priority)


def names(lease: Lease) -> list[str]:
    return [item.payload.decode() for item in lease.items]


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Open:
    hurry(request.param, monkeypatch)
    return ENGINES[request.param]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def outbox(open_engine: Open, tmp_path: Path, clock: Clock) -> AsyncIterator[Outbox]:
    outbox = await open_engine(tmp_path, clock)
    yield outbox
    await outbox.close()


@pytest.fixture
async def ticking(open_engine: Open, tmp_path: Path) -> AsyncIterator[Outbox]:
    """An outbox on the real clock."""
    outbox = await open_engine(tmp_path, time.time)
    yield outbox
    await outbox.close()


async def lease(outbox: Outbox, destination: str = CAPI, *, limit: int = 100, seconds: float = 60.0) -> Lease:
    return await outbox.lease(destination, limit=limit, seconds=seconds)


async def bury(outbox: Outbox, outcome: Outcome = Refused("bad"), destination: str = CAPI) -> list[int]:  # noqa: B008 - frozen
    """Make letters of all that is due."""
    taken = await lease(outbox, destination)
    await settle_all(outbox, taken, outcome)
    return [item.seq for item in taken.items]


A_PAGE = [(name, to, pixel) for name, to in (("a", CAPI), ("b", RELAY), ("c", CAPI), ("d", RELAY)) for pixel in "12"]


async def backlog(outbox: Outbox, clock: Clock, names: str, **item: Any) -> None:
    """Append an item for each letter, a second apart."""
    for name in names:
        await outbox.append([new_item(name, **item)])
        clock.now += 1


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
    tasks = [asyncio.ensure_future(outbox.append([new_item(str(n))])) for n in range(20)]
    await asyncio.sleep(0)
    tasks[7].cancel()
    answers = await asyncio.gather(*tasks[:7], *tasks[8:])
    assert answers == [[Appended.ACCEPTED]] * 19


# The bound


@pytest.fixture(params=BOUND)
async def bound(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[Outbox]:
    """An outbox with room for some hundred items."""
    outbox = await BOUND[request.param](tmp_path, clock)
    yield outbox
    await outbox.close()


def filler(number: int, priority: int) -> NewItem:
    """An item of a browser of its own."""
    name = b"%d %d" % (priority, number)
    return NewItem(destination=CAPI, pixel_id="1", key=name, payload=name.ljust(2000), subject=name, priority=priority)


async def fill_up(outbox: Outbox, *priorities: int) -> list[list[Appended]]:
    """What became of items of each priority, appended in turn until two hundred of the last one were shed."""
    answers: list[list[Appended]] = [[] for _ in priorities]
    for number in range(5000):
        for theirs, priority in zip(answers, priorities, strict=True):
            theirs += await outbox.append([filler(number, priority)])
        if answers[-1].count(Appended.SHED) == 200:
            return answers
    raise AssertionError("it has no bound")


async def test_what_matters_least_is_shed_first(bound: Outbox) -> None:
    minor, ordinary, money = await fill_up(bound, MINOR, ORDINARY, MONEY)
    first = [theirs.index(Appended.SHED) for theirs in (minor, ordinary, money)]
    assert first == sorted(set(first))
    assert set(ordinary[first[1] :]) == set(money[first[2] :]) == {Appended.SHED}


async def test_page_views_are_thinned_out_before_all_are_shed(bound: Outbox) -> None:
    (minor,) = await fill_up(bound, MINOR)
    thinned = minor[minor.index(Appended.SHED) :]
    assert thinned.count(Appended.ACCEPTED) > 5
    assert thinned.count(Appended.ACCEPTED) < len(minor) / 5
    assert await bound.append([filler(0, ORDINARY), filler(0, MONEY)]) == [Appended.ACCEPTED] * 2


async def test_the_twin_and_the_copy_of_a_hit_are_shed_together(bound: Outbox) -> None:
    for number in range(600):
        twin = filler(number, MINOR)
        copy = twin._replace(destination=RELAY, key=None, payload=b"copy".ljust(500))
        fates = await bound.append([twin, copy])
        if (await bound.tally())[CAPI].shed:
            assert fates[0] is fates[1]
    assert (await bound.tally())[RELAY].shed > 100


async def test_what_is_shed_is_counted_and_not_kept(bound: Outbox) -> None:
    (answers,) = await fill_up(bound, MONEY)
    kept = answers.count(Appended.ACCEPTED)
    assert await bound.tally() == {CAPI: Tally(accepted=kept, shed=200)}
    assert (await bound.stats())[CAPI].ready == kept
    assert "full" in (bound.trouble() or "")


async def test_a_repeat_of_what_waits_in_a_full_outbox_is_a_duplicate(bound: Outbox) -> None:
    await fill_up(bound, MONEY)
    assert await bound.append([filler(0, MONEY)]) == [Appended.DUPLICATE]


async def test_a_full_outbox_drains_and_takes_what_it_has_shed(bound: Outbox) -> None:
    (answers,) = await fill_up(bound, MONEY)
    shed = answers.index(Appended.SHED)
    while (taken := await lease(bound)).items:
        await settle_all(bound, taken, Delivered())
    assert bound.trouble() is None  # before there was an append: a balancer may wait for that
    assert await bound.append([filler(shed, MONEY), filler(0, MINOR)]) == [Appended.ACCEPTED] * 2


async def test_in_a_full_outbox_letters_can_be_written(bound: Outbox) -> None:
    await fill_up(bound, MONEY)
    seqs = await bury(bound)
    assert await bound.discard(seqs) == len(seqs) == 100


# Leasing


async def test_lease_of_nothing_is_empty(outbox: Outbox) -> None:
    taken = await lease(outbox)
    assert (taken.destination, taken.items) == (CAPI, ())
    assert await outbox.settle(taken, {}) == 0


async def test_lease_takes_only_its_destination(outbox: Outbox) -> None:
    await outbox.append([new_item("capi"), new_item("relay", destination=RELAY)])
    assert names(await lease(outbox, RELAY)) == ["relay"]


async def test_what_fits_into_a_lease_comes_oldest_first(outbox: Outbox, clock: Clock) -> None:
    await backlog(outbox, clock, "abc")
    assert names(await lease(outbox, limit=3)) == ["a", "b", "c"]


async def test_a_backlog_is_leased_from_both_ends(outbox: Outbox, clock: Clock) -> None:
    """3 of 10 from its old end (30 %), 7 from its new one (70 %: DELIVERY 3); what is left is no backlog."""
    await backlog(outbox, clock, "abcdefghijklmnop")
    assert "".join(names(await lease(outbox, limit=10))) == "abc" + "jklmnop"
    assert "".join(names(await lease(outbox, limit=10))) == "defghi"


async def test_the_old_end_of_a_backlog_is_never_forgotten(outbox: Outbox, clock: Clock) -> None:
    await backlog(outbox, clock, "abc")
    assert [names(await lease(outbox, limit=1)) for _ in "abc"] == [["a"], ["b"], ["c"]]


async def test_an_item_is_as_old_as_it_has_been_due(outbox: Outbox, clock: Clock) -> None:
    await backlog(outbox, clock, "a")
    await settle_all(outbox, await lease(outbox), Later(clock.now + 10, "HTTP 503"))
    await backlog(outbox, clock, "bc")
    clock.now += 10
    assert names(await lease(outbox, limit=2)) == ["b", "a"]


async def test_higher_priorities_are_leased_first(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("view"), urgent(new_item("purchase")), urgent(new_item("urgent"), 7)])
    assert names(await lease(outbox, limit=2)) == ["urgent", "purchase"]
    await outbox.append([urgent(new_item("lead"))])
    assert names(await lease(outbox, limit=2)) == ["lead", "view"]


async def test_an_item_comes_out_with_its_priority_and_deadline(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([urgent(dated(new_item(), clock.now + HOUR))])
    assert [(item.priority, item.deadline) for item in (await lease(outbox)).items] == [(1, clock.now + HOUR)]


# Turns


def of_pixels(lease: Lease) -> dict[str, int]:
    return dict(Counter(item.pixel_id for item in lease.items))


async def test_pixels_share_a_lease_evenly(outbox: Outbox) -> None:
    """What one pixel cannot use goes to the others."""
    await outbox.append([new_item(str(n), pixel_id="1") for n in range(50)])
    await outbox.append([new_item(str(n), pixel_id="2") for n in range(2)])
    await outbox.append([new_item(str(n), pixel_id="3") for n in range(50)])
    assert of_pixels(await lease(outbox, limit=20)) == {"1": 9, "2": 2, "3": 9}


async def test_priority_counts_within_a_pixel_only(outbox: Outbox) -> None:
    await outbox.append([urgent(new_item(str(n), pixel_id="1")) for n in range(50)])
    await outbox.append([new_item(str(n), pixel_id="2") for n in range(50)])
    assert of_pixels(await lease(outbox, limit=20)) == {"1": 10, "2": 10}


async def test_every_pixel_has_its_turn(outbox: Outbox) -> None:
    pixels = [str(n) for n in range(5)]
    for pixel_id in pixels:
        await outbox.append([new_item(pixel_id=pixel_id) for _ in range(10)])
    turns = [of_pixels(await lease(outbox, limit=1)) for _ in pixels]
    assert sorted(pixel_id for turn in turns for pixel_id in turn) == pixels


# Parking


async def test_nothing_of_a_parked_pixel_is_leased(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("a"), new_item("b", pixel_id="2"), new_item("c", destination=RELAY)])
    await outbox.park(CAPI, "1", until=clock.now + 60, reason="190: the token expired")
    assert names(await lease(outbox)) == ["b"]
    assert names(await lease(outbox, RELAY)) == ["c"]
    clock.now += 59
    await outbox.append([new_item("d")])
    assert names(await lease(outbox)) == []
    clock.now += 1
    assert names(await lease(outbox)) == ["a", "b", "d"]  # b once more, its lease has ended


async def test_parks_are_listed_until_they_end(outbox: Outbox, clock: Clock) -> None:
    assert await outbox.parks() == {}
    await outbox.park(CAPI, "1", until=clock.now + 60, reason="throttled")
    await outbox.park(RELAY, "1", until=clock.now + 90, reason="refused")
    first, second = Park(clock.now + 60, "throttled"), Park(clock.now + 90, "refused")
    assert await outbox.parks() == {(CAPI, "1"): first, (RELAY, "1"): second}
    clock.now += 60
    assert await outbox.parks() == {(RELAY, "1"): second}


async def test_the_last_park_of_a_pixel_counts(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    await outbox.park(CAPI, "1", until=clock.now + 900, reason="long")
    await outbox.park(CAPI, "1", until=clock.now + 60, reason="short")
    assert await outbox.parks() == {(CAPI, "1"): Park(clock.now + 60, "short")}
    await outbox.park(CAPI, "1", until=0, reason="")
    assert await outbox.parks() == {}
    assert names(await lease(outbox)) == ["a"]


async def test_what_is_under_lease_can_be_settled_though_its_pixel_is_parked(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    taken = await lease(outbox)
    await outbox.park(CAPI, "1", until=clock.now + 60, reason="throttled")
    assert await settle_all(outbox, taken, Delivered()) == 1


async def test_parked_items_wait_as_ready(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    await outbox.park(CAPI, "1", until=clock.now + 60, reason="throttled")
    assert await outbox.stats() == {CAPI: Depth(ready=1, oldest_at=clock.now)}


# Deadlines


async def test_nothing_past_its_deadline_is_leased(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item("a"), clock.now + 60), dated(new_item("b"), clock.now + 61)])
    clock.now += 60
    assert names(await lease(outbox)) == ["b"]


async def test_expire_makes_letters_of_what_is_past_its_deadline(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([dated(new_item("late"), began + 60), dated(new_item("in time"), began + 61), new_item("any")])
    assert await outbox.expire(limit=100) == 0
    clock.now += 60
    assert [await outbox.expire(limit=100), await outbox.expire(limit=100)] == [1, 0]
    (letter,) = await outbox.letters()
    assert letter == Letter(
        seq=letter.seq,
        destination=CAPI,
        pixel_id="1",
        payload=b"late",
        reason=DEADLINE_PASSED,
        code="",
        at=clock.now,
        is_expired=True,
        appended_at=began,
        attempts=0,
        deadline=began + 60,
    )
    assert names(await lease(outbox)) == ["in time", "any"]


async def test_the_letter_of_an_expired_item_tells_what_kept_it_last(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item(), clock.now + 60)])
    await settle_all(outbox, await lease(outbox), Later(clock.now + 10, "HTTP 503"))
    clock.now += 60
    await outbox.expire(limit=1)
    (letter,) = await outbox.letters()
    assert (letter.reason, letter.attempts) == (f"{DEADLINE_PASSED}: HTTP 503", 1)


async def test_expire_does_what_is_most_overdue_first_up_to_its_limit(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item(name), clock.now + 10 - n) for n, name in enumerate("abc")])
    clock.now += 10
    assert await outbox.expire(limit=2) == 2
    assert [letter.payload for letter in await outbox.letters()] == [b"b", b"c"]


async def test_expire_leaves_items_under_lease_to_their_end(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item(), clock.now + 30)])
    taken = await lease(outbox, seconds=60)
    clock.now += 59
    assert await outbox.expire(limit=100) == 0
    clock.now += 1
    assert await outbox.expire(limit=100) == 1
    assert await settle_all(outbox, taken, Delivered()) == 0


async def test_held_items_expire_too(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(held_item(until=clock.now + 2 * HOUR), clock.now + HOUR)])
    clock.now += HOUR
    assert await outbox.expire(limit=100) == 1


async def test_an_ambiguous_try_limits_how_long_there_may_be_others(outbox: Outbox, clock: Clock) -> None:
    """From the first of them on, as Meta tells duplicates apart for 48 h (PROTOCOL 1.10) and no longer."""
    await outbox.append([new_item()])
    began = clock.now
    assert REPEATABLE < 48 * HOUR
    for _ in range(2):
        await settle_all(outbox, await lease(outbox), Later(clock.now, "timed out", ambiguous=True))
        clock.now += HOUR
    (item,) = (await lease(outbox, seconds=1)).items
    assert item.deadline == began + REPEATABLE
    clock.now = began + REPEATABLE
    assert await outbox.expire(limit=100) == 1


async def test_an_ambiguous_try_never_prolongs_a_deadline(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item(), clock.now + HOUR)])
    await settle_all(outbox, await lease(outbox), Later(clock.now, "timed out", ambiguous=True))
    assert [item.deadline for item in (await lease(outbox)).items] == [clock.now + HOUR]


async def test_a_later_that_does_not_count_is_no_attempt(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    await settle_all(outbox, await lease(outbox), Later(clock.now, "throttled", counts=False))
    assert [(item.attempts, item.last_reason) for item in await outbox.waiting()] == [(0, "throttled")]


# Letters


async def test_a_refused_item_is_kept_as_a_letter(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([dated(new_item(pixel_id="2"), began + HOUR)])
    await settle_all(outbox, await lease(outbox), Later(clock.now + 5, "HTTP 503"))
    clock.now += 5
    (seq,) = await bury(outbox, Refused("Invalid parameter", "100/2804050"))
    assert await outbox.letters() == [
        Letter(
            seq=seq,
            destination=CAPI,
            pixel_id="2",
            payload=b"a",
            reason="Invalid parameter",
            code="100/2804050",
            at=began + 5,
            is_expired=False,
            appended_at=began,
            attempts=1,
            deadline=began + HOUR,
        )
    ]


async def test_an_item_that_its_worker_expires_is_a_letter_marked_so(outbox: Outbox) -> None:
    await outbox.append([new_item()])
    await bury(outbox, Expired("too old for Meta"))
    assert [(letter.reason, letter.is_expired) for letter in await outbox.letters()] == [("too old for Meta", True)]
    assert await outbox.stats() == {CAPI: Depth(dead=1)}


async def test_letters_come_in_pages_by_destination_and_pixel(outbox: Outbox) -> None:
    await outbox.append([new_item(n + pixel, destination=d, pixel_id=pixel) for n, d, pixel in A_PAGE])
    for destination in (CAPI, RELAY):
        await bury(outbox, destination=destination)
    all_letters = await outbox.letters()
    assert [letter.payload.decode() for letter in all_letters] == [n + pixel for n, _, pixel in A_PAGE]
    assert await outbox.letters(limit=3) == all_letters[:3]
    assert await outbox.letters(after=all_letters[2].seq, limit=3) == all_letters[3:6]
    assert [one.payload for one in await outbox.letters(destination=CAPI)] == [b"a1", b"a2", b"c1", b"c2"]
    assert [one.payload for one in await outbox.letters(pixel_id="2", after=all_letters[1].seq)] == [
        b"b2",
        b"c2",
        b"d2",
    ]
    assert [one.payload for one in await outbox.letters(destination=RELAY, pixel_id="1", limit=1)] == [b"b1"]


async def test_requeued_letters_are_due_at_once_as_if_never_tried(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([urgent(dated(new_item(), began + HOUR))])
    await settle_all(outbox, await lease(outbox), Later(clock.now, "HTTP 503"))
    seqs = await bury(outbox)
    clock.now += 60
    assert [await outbox.requeue(seqs), await outbox.requeue(seqs)] == [1, 0]
    assert await outbox.letters() == []
    (item,) = (await lease(outbox)).items
    assert item == Item(
        seq=item.seq, pixel_id="1", payload=b"a", attempts=0, appended_at=began, priority=1, deadline=began + HOUR
    )
    assert await outbox.settle(Lease(token="", destination=CAPI, ends_at=0, items=(item,)), {}) == 0


async def test_letters_past_their_deadline_stay_letters(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([dated(new_item("late"), clock.now + 60), dated(new_item("in time"), clock.now + 61)])
    seqs = await bury(outbox)
    clock.now += 60
    assert await outbox.requeue([*seqs, 999]) == 1
    assert [letter.payload for letter in await outbox.letters()] == [b"late"]


async def test_a_requeued_item_that_was_never_released_is_held_still(outbox: Outbox, clock: Clock) -> None:
    """Or a letter would be a way around consent."""
    await outbox.append([held_item(until=clock.now + HOUR)])
    clock.now += HOUR
    await outbox.requeue(await bury(outbox))
    assert [item.held for item in (await lease(outbox)).items] == [True]


async def test_a_requeued_item_is_found_by_its_subject(outbox: Outbox) -> None:
    await outbox.append([about(ANN, new_item())])
    await outbox.requeue(await bury(outbox))
    assert await outbox.purge("1", ANN) == 1
    assert await outbox.stats() == {}


async def test_discarded_letters_are_gone(outbox: Outbox) -> None:
    await outbox.append([new_item("a"), new_item("b"), new_item("c")])
    seqs = await bury(outbox)
    assert [await outbox.discard([*seqs[:2], *seqs[:2], 999]), await outbox.discard(seqs[:2])] == [2, 0]
    assert [letter.payload for letter in await outbox.letters()] == [b"c"]


async def test_expire_discards_letters_after_a_week(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("a"), new_item("b"), new_item("c")])
    await bury(outbox)
    clock.now += KEEP_LETTERS - 1
    await outbox.append([new_item("young")])
    await bury(outbox)
    await outbox.expire(limit=100)
    assert len(await outbox.letters()) == 4
    clock.now += 1
    assert await outbox.expire(limit=2) == 0
    assert [letter.payload for letter in await outbox.letters()] == [b"c", b"young"]
    await outbox.expire(limit=2)
    assert [letter.payload for letter in await outbox.letters()] == [b"young"]


# Looking


async def test_what_waits_can_be_looked_at(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([urgent(dated(new_item("tried"), began + HOUR)), held_item("held", until=began + 60)])
    await settle_all(outbox, await lease(outbox), Later(began + 30, "HTTP 503"))
    clock.now += 30
    await lease(outbox)
    tried, held = await outbox.waiting()
    assert tried == Waiting(
        seq=tried.seq,
        destination=CAPI,
        pixel_id="1",
        payload=b"tried",
        priority=1,
        due=began + 30,
        attempts=1,
        last_reason="HTTP 503",
        appended_at=began,
        deadline=began + HOUR,
        held=False,
    )
    assert (held.payload, held.due, held.held, held.last_reason) == (b"held", began + 60, True, "")


async def test_what_waits_comes_in_pages_by_destination_and_pixel(outbox: Outbox, clock: Clock) -> None:
    await outbox.append(
        [
            new_item(name + pixel, destination=destination, pixel_id=pixel)
            if name != "c"
            else held_item(name + pixel, destination=destination, pixel_id=pixel, until=clock.now + 60)
            for name, destination, pixel in A_PAGE
        ]
    )
    everything = await outbox.waiting()
    assert [one.payload.decode() for one in everything] == [name + pixel for name, _, pixel in A_PAGE]
    assert await outbox.waiting(after=everything[2].seq, limit=3) == everything[3:6]
    assert [one.payload for one in await outbox.waiting(destination=CAPI)] == [b"a1", b"a2", b"c1", b"c2"]
    assert [one.payload for one in await outbox.waiting(pixel_id="2", limit=3)] == [b"a2", b"b2", b"c2"]
    after = everything[0].seq
    assert [one.payload for one in await outbox.waiting(destination=CAPI, pixel_id="1", after=after)] == [b"c1"]


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


# A lease that was lost may have sent its items


async def deadlines(outbox: Outbox) -> list[float]:
    return [item.deadline for item in await outbox.waiting()]


async def test_what_a_lease_held_when_its_time_ran_out_may_be_repeated_until_48_hours_from_its_begin(
    outbox: Outbox, clock: Clock
) -> None:
    """Not from its end: that is the earliest when it may have been sent, and Meta counts from there."""
    began, sooner = clock.now, clock.now + HOUR
    await outbox.append([new_item("a"), dated(new_item("b"), sooner), dated(new_item("c"), began + 72 * HOUR)])
    taken = await lease(outbox, seconds=60)
    assert [item.deadline for item in taken.items] == [math.inf, sooner, began + 72 * HOUR]
    clock.now += 59
    assert await deadlines(outbox) == [math.inf, sooner, began + 72 * HOUR]
    clock.now += 1
    assert await deadlines(outbox) == [began + REPEATABLE, sooner, began + REPEATABLE]
    assert [item.deadline for item in (await lease(outbox)).items] == await deadlines(outbox)


async def test_what_may_have_been_sent_expires_before_meta_would_count_it_twice(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([new_item("a")])
    await lease(outbox, seconds=60)
    clock.now = began + REPEATABLE - 1
    assert await outbox.expire(limit=9) == 0
    clock.now = began + REPEATABLE
    assert names(await lease(outbox)) == []
    assert await outbox.expire(limit=9) == 1
    assert [(letter.is_expired, letter.deadline) for letter in await outbox.letters()] == [(True, clock.now)]


async def test_what_a_lease_tells_in_time_or_lets_go_of_was_not_sent_unawares(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("told"), new_item("let go")])
    taken = await lease(outbox, seconds=60)
    await outbox.settle(taken, {taken.items[0].seq: Later(clock.now, "HTTP 503")})
    clock.now += 60
    assert await deadlines(outbox) == [math.inf, math.inf]


async def test_a_late_settle_does_not_undo_the_doubt(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([new_item("a"), new_item("b")])
    taken = await lease(outbox, seconds=60)
    clock.now += 60
    assert await outbox.settle(taken, {taken.items[0].seq: Later(clock.now, "HTTP 503")}) == 1
    assert await deadlines(outbox) == [began + REPEATABLE] * 2


async def test_a_release_after_the_end_of_a_lease_does_not_undo_the_doubt(outbox: Outbox, clock: Clock) -> None:
    began = clock.now
    await outbox.append([held_item(until=began)])
    await lease(outbox, seconds=60)
    clock.now += 60
    assert await outbox.release("1", ANN) == 1
    assert await deadlines(outbox) == [began + REPEATABLE]


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


async def test_withdrawn_items_are_gone_and_their_neighbours_stay(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item("a"), held_item("b", until=clock.now + 60), new_item("c", destination=RELAY)])
    a, b, _ = [item.seq for item in await outbox.waiting()]
    assert await outbox.withdraw([a, b, b, 1 << 40]) == 2
    assert [item.payload for item in await outbox.waiting()] == [b"c"]
    assert (await outbox.tally())[CAPI] == Tally(accepted=2, purged=2)


async def test_withdraw_leaves_items_under_lease_to_their_end(outbox: Outbox, clock: Clock) -> None:
    await outbox.append([new_item()])
    taken = await lease(outbox, seconds=60)
    seqs = [item.seq for item in taken.items]
    assert await outbox.withdraw(seqs) == 0
    clock.now += 60
    assert await outbox.withdraw(seqs) == 1
    assert await settle_all(outbox, taken, Later(clock.now, "late")) == 0


async def test_withdraw_takes_no_letters(outbox: Outbox) -> None:
    await outbox.append([new_item()])
    seqs = await bury(outbox)
    assert await outbox.withdraw(seqs) == 0
    assert [letter.seq for letter in await outbox.letters()] == seqs


async def test_keys_of_withdrawn_items_stay_remembered(outbox: Outbox) -> None:
    await outbox.append([new_item(key=b"k")])
    await outbox.withdraw([item.seq for item in await outbox.waiting()])
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]


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


async def test_wait_sleeps_while_everything_is_parked_or_late(ticking: Outbox) -> None:
    await ticking.append([new_item(), dated(new_item(pixel_id="2"), time.time() - 1)])
    await ticking.park(CAPI, "1", until=time.time() + 60, reason="throttled")
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=0.2))
    assert not await wakes_within(0.1, waiting)
    await waiting


async def test_wait_wakes_when_a_park_ends(ticking: Outbox) -> None:
    await ticking.append([new_item()])
    await ticking.park(CAPI, "1", until=time.time() + 0.2, reason="throttled")
    assert await wakes_within(5, asyncio.create_task(ticking.wait(CAPI, seconds=60)))
    await ticking.park(CAPI, "1", until=time.time() + 60, reason="throttled")
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=60))
    assert not await wakes_within(0.05, waiting)
    await ticking.park(CAPI, "1", until=0, reason="")
    assert await wakes_within(5, waiting)


async def test_wait_wakes_when_a_letter_is_requeued(ticking: Outbox) -> None:
    await ticking.append([new_item()])
    seqs = await bury(ticking)
    waiting = asyncio.create_task(ticking.wait(CAPI, seconds=60))
    assert not await wakes_within(0.05, waiting)
    await ticking.requeue(seqs)
    assert await wakes_within(5, waiting)


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


async def test_every_end_is_tallied(outbox: Outbox, clock: Clock) -> None:
    assert await outbox.tally() == {}
    await outbox.append([new_item(str(n), key=b"%d" % n) for n in range(4)])
    await outbox.append([new_item(key=b"1"), about(ANN, new_item()), dated(new_item(), clock.now)])
    assert [await outbox.purge("1", ANN), await outbox.expire(limit=9)] == [1, 1]
    taken = await lease(outbox)
    ends = [Delivered(), Dropped("no consent"), Refused("bad"), Expired("too old")]
    await outbox.settle(taken, {item.seq: end for item, end in zip(taken.items, ends, strict=True)})
    ended = Tally(accepted=6, delivered=1, dropped=1, dead=1, expired=2, purged=1)
    assert await outbox.tally() == {CAPI: ended}
    letters = [letter.seq for letter in await outbox.letters() if letter.deadline > clock.now]
    assert [await outbox.requeue(letters[:1]), await outbox.discard(letters)] == [1, 1]
    assert await outbox.tally() == {CAPI: replace(ended, requeued=1, discarded=1)}
    clock.now += KEEP_LETTERS
    await outbox.expire(limit=9)
    assert await outbox.tally() == {CAPI: replace(ended, requeued=1, discarded=2)}
    assert await outbox.unaccounted() == {CAPI: 0}


async def test_purged_letters_are_discarded_not_purged_once_more(outbox: Outbox) -> None:
    await outbox.append([about(ANN, new_item())])
    await bury(outbox)
    await outbox.purge("1", ANN)
    assert await outbox.tally() == {CAPI: Tally(accepted=1, dead=1, discarded=1)}


async def test_destinations_are_tallied_apart(outbox: Outbox) -> None:
    await outbox.append([new_item(), new_item(destination=RELAY)])
    await settle_all(outbox, await lease(outbox, RELAY), Delivered())
    assert await outbox.tally() == {CAPI: Tally(accepted=1), RELAY: Tally(accepted=1, delivered=1)}


async def test_what_fails_is_not_tallied(outbox: Outbox) -> None:
    broken: Any = object()
    with pytest.raises(Exception, match="destination"):
        await outbox.append([new_item(), broken])
    assert await outbox.tally() == {}


async def test_closing_finishes_what_was_begun(outbox: Outbox) -> None:
    begun = [asyncio.ensure_future(outbox.append([new_item()])) for _ in range(50)]
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
    with pytest.raises(OSError, match="closed"):
        await outbox.append([new_item()])
    for late in (outbox.release("1", ANN), outbox.purge("1", ANN)):
        with pytest.raises(OSError, match="closed"):
            await late
