"""What only the engine `postgres` promises: many nodes on one database, and a database that goes away."""

import asyncio
import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.outboxes.engines import Killable, killable_server, schema_of, server

from pixeltwin.delivery.outbox import (
    REPEATABLE,
    Appended,
    Delivered,
    Depth,
    Later,
    Lease,
    NewItem,
    Outbox,
    Refused,
    Tally,
)
from pixeltwin.outboxes import postgres, sqlite
from pixeltwin.outboxes.postgres.leasing import SURVEY, Part, is_enough, owner_of, share_out
from pixeltwin.outboxes.postgres.line import store
from pixeltwin.outboxes.postgres.marks import FIND, HIGHEST, LAG, RAISE
from pixeltwin.outboxes.postgres.schema import SCHEMA, VERSION
from pixeltwin.outboxes.postgres.spool import spooled
from pixeltwin.outboxes.postgres.statements import OLDEST_SNAPSHOT

asyncpg = pytest.importorskip("asyncpg", reason="no asyncpg: pip install 'pixeltwin[postgres]'")

CAPI = "conversions_api"
ANN, BOB = b"ann's browser...", b"bob's browser..."
HOUR = 3600.0
SLACK = 2.0  # seconds; the machine has to start a server meanwhile
NOWHERE = "postgresql://postgres@/postgres?host=/nowhere"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def killable() -> Iterator[Killable]:
    with killable_server(Killable) as one:
        yield one


def new_item(name: str = "a", *, pixel_id: str = "1", key: bytes | None = None, **more: Any) -> NewItem:
    return NewItem(destination=CAPI, pixel_id=pixel_id, key=key, payload=name.encode(), **more)


@asynccontextmanager
async def node(
    folder: Path, name: str = "node", *, clock: Callable[[], float] = time.time, url: str = "", **options: Any
) -> AsyncIterator[Outbox]:
    """A node of the folder's outbox, with a spool of its own, for what a busy machine is not just late with."""
    options.setdefault("append_timeout", "1s")
    settings = postgres.Settings(
        kind="postgres",
        url=url or server(),
        schema=schema_of(folder),
        spool={"path": f"{name}.db"},
        **options,
    )
    outbox = await postgres.open_outbox(settings, base=folder, clock=clock)
    try:
        yield outbox
    finally:
        await outbox.close()


@asynccontextmanager
async def database(folder: Path, url: str = "") -> AsyncIterator[Any]:
    """A look into the folder's schema from outside."""
    db = await asyncpg.connect(url or server(), server_settings={"search_path": schema_of(folder)})
    try:
        yield db
    finally:
        await db.close()


async def lease(outbox: Outbox, *, limit: int = 1000, seconds: float = 60.0) -> Lease:
    return await outbox.lease(CAPI, limit=limit, seconds=seconds)


def names(taken: Lease) -> list[str]:
    return [item.payload.decode() for item in taken.items]


async def deliver(outbox: Outbox, taken: Lease) -> int:
    return await outbox.settle(taken, {item.seq: Delivered() for item in taken.items})


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Wait until it holds; what cannot be asked does not hold yet."""
    async with asyncio.timeout(seconds):
        while True:
            with suppress(OSError):
                if await holds():
                    return
            await asyncio.sleep(0.05)


async def tally_of(outbox: Outbox) -> Tally:
    return (await outbox.tally()).get(CAPI, Tally())


async def _count(outbox: Outbox) -> int:
    """How many items wait in the database."""
    return len(await outbox.waiting(limit=100_000))


# Many nodes


async def test_what_one_node_appends_another_delivers(tmp_path: Path) -> None:
    async with node(tmp_path, "gateway") as gateway, node(tmp_path, "worker") as worker:
        await gateway.append([new_item(str(n)) for n in range(10)])
        assert await deliver(worker, await lease(worker)) == 10
        assert await gateway.stats() == {}
        assert await gateway.tally() == {CAPI: Tally(accepted=10, delivered=10)}


async def test_a_key_is_accepted_from_one_node_only(tmp_path: Path) -> None:
    async with node(tmp_path, "one") as one, node(tmp_path, "two") as two:
        appends = [outbox.append([new_item(key=b"%d" % n)]) for n in range(50) for outbox in (one, two)]
        answers = Counter(answer for (answer,) in await asyncio.gather(*appends))
        assert answers == {Appended.ACCEPTED: 50, Appended.DUPLICATE: 50}


async def test_keys_of_one_append_in_any_order_lock_nobody_out(tmp_path: Path) -> None:
    keys = [b"%d" % n for n in range(40)]
    async with node(tmp_path, "one") as one, node(tmp_path, "two") as two:
        answers = await asyncio.gather(
            *(one.append([new_item(key=key) for key in keys]) for _ in range(5)),
            *(two.append([new_item(key=key) for key in reversed(keys)]) for _ in range(5)),
        )
        assert sum(answer is Appended.ACCEPTED for each in answers for answer in each) == 40


async def test_a_worker_hears_at_once_of_another_nodes_append(tmp_path: Path) -> None:
    async with node(tmp_path, "gateway") as gateway, node(tmp_path, "worker") as worker:
        waiting = asyncio.create_task(worker.wait(CAPI, seconds=60))
        await asyncio.sleep(0.1)
        await gateway.append([new_item()])
        await asyncio.wait_for(waiting, 0.7)  # without NOTIFY it would look after a second


async def test_workers_share_no_item_and_each_pixel_is_ones_own(tmp_path: Path) -> None:
    delivered: Counter[str] = Counter()
    owners: defaultdict[str, set[int]] = defaultdict(set)

    async def work(worker: Outbox, number: int) -> None:
        while sum(delivered.values()) < 600:
            taken = await lease(worker, limit=15)
            owners_of = {item.pixel_id for item in taken.items}
            for pixel_id in owners_of:
                owners[pixel_id].add(number)
            delivered.update(names(taken))
            await deliver(worker, taken)

    async with node(tmp_path, "1") as one, node(tmp_path, "2") as two, node(tmp_path, "3") as three:
        workers = [one, two, three]
        for _ in range(2):  # each has to know of the others
            await asyncio.gather(*(lease(worker) for worker in workers))
            await asyncio.sleep(2.1)
        await one.append([new_item(f"{pixel}/{n}", pixel_id=str(pixel)) for n in range(30) for pixel in range(20)])
        await asyncio.wait_for(asyncio.gather(*(work(worker, n) for n, worker in enumerate(workers))), 60)
    assert len(delivered) == 600
    assert set(delivered.values()) == {1}
    assert {len(numbers) for numbers in owners.values()} == {1}
    assert {number for numbers in owners.values() for number in numbers} == {0, 1, 2}


async def test_leases_at_the_same_moment_pass_over_each_others_items(tmp_path: Path) -> None:
    """Also where both believe that the pixel is theirs."""
    async with node(tmp_path, "1") as one, node(tmp_path, "2") as two:
        await one.append([new_item(str(n)) for n in range(400)])
        rounds = [await asyncio.gather(*(lease(worker, limit=10) for worker in (one, two))) for _ in range(20)]
    taken = Counter(name for both in rounds for each in both for name in names(each))
    assert taken
    assert set(taken.values()) == {1}


async def test_a_pixel_stays_with_who_is_still_at_work_on_it(tmp_path: Path, clock: Clock) -> None:
    async with node(tmp_path, "1", clock=clock) as one, node(tmp_path, "2", clock=clock) as two:
        await one.append([new_item(str(n), pixel_id=str(n % 10)) for n in range(100)])
        first = await lease(one, limit=10)
        second = await lease(two)
        assert not {item.pixel_id for item in first.items} & {item.pixel_id for item in second.items}


async def test_a_worker_frozen_past_its_lease_is_fenced(tmp_path: Path, clock: Clock) -> None:
    async with node(tmp_path, "frozen", clock=clock) as frozen, node(tmp_path, "awake", clock=clock) as awake:
        await frozen.append([new_item("a"), new_item("b")])
        lost = await lease(frozen, seconds=60)
        clock.now += 61
        current = await lease(awake, seconds=60)
        assert names(current) == ["a", "b"]
        assert await frozen.settle(lost, {lost.items[0].seq: Delivered(), lost.items[1].seq: Refused("bad")}) == 0
        assert await awake.stats() == {CAPI: Depth(leased=2, oldest_at=clock.now - 61)}
        assert await deliver(awake, current) == 2
        assert await awake.tally() == {CAPI: Tally(accepted=2, delivered=2)}


async def test_what_a_closed_worker_had_under_lease_is_free_at_once(tmp_path: Path) -> None:
    async with node(tmp_path, "stays") as stays:
        async with node(tmp_path, "goes") as goes:
            await goes.append([new_item("a")])
            await lease(goes, seconds=600)
        assert names(await lease(stays)) == ["a"]


async def test_what_a_lost_lease_held_may_have_been_sent(tmp_path: Path, clock: Clock) -> None:
    """Meta forgets what it took after 48 h: it may be repeated only until shortly before that."""
    begun = clock.now
    async with node(tmp_path, "frozen", clock=clock) as frozen, node(tmp_path, "awake", clock=clock) as awake:
        await frozen.append([new_item("late", deadline=begun + 100 * HOUR), new_item("soon", deadline=begun + HOUR)])
        await lease(frozen, seconds=60)
        clock.now += 61
        again = await lease(awake, seconds=60)
        assert {item.payload: item.deadline for item in again.items} == {
            b"late": begun + REPEATABLE,
            b"soon": begun + HOUR,
        }
        clock.now += 61  # and lost again: the first lease is what counts
        again = await lease(frozen, seconds=60)
        assert {item.deadline for item in again.items} == {begun + REPEATABLE, begun + HOUR}


async def test_what_a_lost_lease_held_is_not_sent_when_its_time_has_passed_but_expires(
    tmp_path: Path, clock: Clock
) -> None:
    async with node(tmp_path, clock=clock) as outbox:
        await outbox.append([new_item("lost", deadline=clock.now + 100 * HOUR)])
        await lease(outbox, seconds=60)
        clock.now += REPEATABLE
        assert (await lease(outbox)).items == ()
        assert await outbox.expire(limit=10) == 1
        (letter,) = await outbox.letters()
        assert (letter.deadline, letter.is_expired) == (clock.now, True)
        assert await tally_of(outbox) == Tally(accepted=1, expired=1)


async def test_what_was_let_go_or_settled_was_not_lost(tmp_path: Path, clock: Clock) -> None:
    deadline = clock.now + 100 * HOUR
    async with node(tmp_path, "stays", clock=clock) as stays:
        async with node(tmp_path, "goes", clock=clock) as goes:
            await goes.append([new_item(str(n), deadline=deadline) for n in range(3)])
            settled = await lease(goes, limit=2)
            await goes.settle(settled, {settled.items[0].seq: Later(clock.now, "HTTP 503")})
            await lease(goes)
        assert [item.deadline for item in (await lease(stays)).items] == [deadline] * 3


async def test_parks_are_shared(tmp_path: Path, clock: Clock) -> None:
    async with node(tmp_path, "1", clock=clock) as one, node(tmp_path, "2", clock=clock) as two:
        await one.append([new_item("parked", pixel_id="1"), new_item("free", pixel_id="2")])
        await one.park(CAPI, "1", until=clock.now + 60, reason="190")
        assert names(await lease(two)) == ["free"]
        assert (await two.parks())[CAPI, "1"].reason == "190"


async def test_nodes_that_meet_at_a_new_database_make_its_tables_once(tmp_path: Path) -> None:
    async def begin(name: str) -> None:
        async with node(tmp_path, name) as outbox:
            await outbox.append([new_item()])

    await asyncio.gather(*(begin(str(n)) for n in range(5)))
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        assert await outbox.tally() == {CAPI: Tally(accepted=5)}
        assert await db.fetch("SELECT number FROM version") == [(VERSION,)]


async def test_time_is_the_databases(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        await outbox.append([new_item()])
        (item,) = (await lease(outbox)).items
        assert abs(item.appended_at - await db.fetchval("SELECT extract(epoch FROM now())::float8")) < 5


# Marks: where a lease begins to look


@asynccontextmanager
async def reader(folder: Path) -> AsyncIterator[None]:
    """Somebody's report in the same database: nothing that is deleted meanwhile can be cleared away."""
    async with database(folder) as db, db.transaction(isolation="repeatable_read"):
        await db.fetch("SELECT FROM outbox")
        yield


async def raise_marks(folder: Path) -> None:
    """As a node does every two seconds."""
    async with database(folder) as db:
        await db.execute(RAISE, await db.fetchval(HIGHEST, None))


async def blocks_looked_at(folder: Path) -> int:
    """How often a survey visits a block, by PostgreSQL's own count."""
    async with database(folder) as db:
        await db.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        plan = await db.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SURVEY}", None, CAPI, "me", None, 10)
        return int(json.loads(plan)[0]["Plan"]["Shared Hit Blocks"])


async def test_a_lease_does_not_step_over_what_an_old_transaction_keeps(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox, reader(tmp_path):
        for _ in range(3):
            await outbox.append([new_item(str(n)) for n in range(500)])
            assert await deliver(outbox, await lease(outbox)) == 500
        await until(lambda: _is_raised(tmp_path))
        assert await blocks_looked_at(tmp_path) < 100  # each of the 1,500 dead rows would be a visit to a block


async def _is_raised(folder: Path) -> bool:
    """Whether the mark has passed all that was ever appended."""
    await raise_marks(folder)
    async with database(folder) as db:
        return bool(await db.fetchval("SELECT every(low > at) FROM mark, (SELECT max(at) AS at FROM session) AS last"))


async def test_a_mark_never_passes_what_is_not_committed_yet(tmp_path: Path) -> None:
    """However long its transaction takes."""
    async with node(tmp_path) as outbox:
        await outbox.append([new_item("before")])
        assert names(await lease(outbox)) == ["before"]
        async with database(tmp_path) as db:
            await db.execute("SET application_name = 'pixeltwin'")
            async with db.transaction():
                await store(db, [new_item("slow")], now=None, shard=0)
                await asyncio.sleep(LAG + 1)
                await raise_marks(tmp_path)
        assert names(await lease(outbox)) == ["slow"]


async def test_a_mark_does_not_pass_what_comes_out_of_a_spool_at_the_same_moment(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox:
        await outbox.append([new_item("before")])
        assert await deliver(outbox, await lease(outbox)) == 1
        async with database(tmp_path) as db:
            await db.execute("UPDATE mark SET low = low - 1000")
            async with db.transaction():
                await store(db, [new_item("spooled")], now=None, shard=0, ats=[time.time() - 600])
                raising = asyncio.create_task(raise_marks(tmp_path))
                await asyncio.sleep(0.5)  # it waits for the mark by now
            await raising
        assert names(await lease(outbox)) == ["spooled"]


async def test_what_became_due_below_the_mark_lowers_it(tmp_path: Path, clock: Clock) -> None:
    """The clock was set back, or the item comes from a spool."""
    async with node(tmp_path, clock=clock) as outbox:
        await outbox.append([new_item("first"), new_item("second", subject=ANN, hold_until=clock.now + HOUR)])
        async with database(tmp_path) as db:
            await db.execute("UPDATE mark SET low = $1", clock.now)
        clock.now -= 600
        await outbox.append([new_item("third")])
        taken = await lease(outbox)
        assert names(taken) == ["third"]
        await outbox.settle(taken, {taken.items[0].seq: Later(clock.now - 100, "HTTP 503")})
        assert await outbox.release("1", ANN) == 1
        assert sorted(names(await lease(outbox))) == ["second", "third"]


async def test_what_slipped_below_a_mark_is_found(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        await outbox.append([new_item("below"), new_item("elsewhere", pixel_id="2")])
        await db.execute("UPDATE mark SET low = 'infinity'; DELETE FROM mark WHERE pixel_id = '2'")
        assert names(await lease(outbox)) == []
        await db.execute(FIND)
        assert sorted(names(await lease(outbox))) == ["below", "elsewhere"]


async def test_a_database_of_version_1_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    begun, schema = time.time(), schema_of(tmp_path)
    db = await asyncpg.connect(server(), server_settings={"search_path": schema})
    await db.execute(f"CREATE SCHEMA {schema}; CREATE TABLE version (number integer NOT NULL)")
    await db.execute("INSERT INTO version VALUES (1)")
    await db.execute(SCHEMA[0])
    await db.executemany(
        "INSERT INTO outbox"
        " (destination, pixel_id, payload, held, priority, due, deadline, appended_at, token, ends_at)"
        " VALUES ($1, '1', $2, false, 0, 0, 'infinity', 0, $3, $4)",
        [(CAPI, b"waits", "", -math.inf), (CAPI, b"was leased", "t", begun - 1), (CAPI, b"is", "u", begun + HOUR)],
    )
    await db.close()
    async with node(tmp_path) as outbox:
        taken = {item.payload: item.deadline for item in (await lease(outbox)).items}
        assert taken == {b"waits": math.inf, b"was leased": pytest.approx(begun + REPEATABLE, abs=150)}


async def test_a_transaction_that_keeps_dead_rows_shows_in_the_metrics(tmp_path: Path) -> None:
    async with node(tmp_path), reader(tmp_path), database(tmp_path) as db:
        await asyncio.sleep(0.2)
        oldest = await db.fetchrow(OLDEST_SNAPSHOT)
        assert 0.2 <= oldest["seconds"] < 60


# Who owns a pixel, and what it takes


def test_a_pixel_moves_only_when_its_owner_goes_or_a_new_one_takes_it() -> None:
    pixels, workers = [str(n) for n in range(200)], ["ada", "ben", "cem"]
    before = {pixel: owner_of(pixel, workers) for pixel in pixels}
    without = {pixel: owner_of(pixel, ["ada", "ben"]) for pixel in pixels}
    assert all(without[pixel] == before[pixel] for pixel in pixels if before[pixel] != "cem")
    assert all(40 < number < 100 for number in Counter(before.values()).values())


def test_a_backlog_is_taken_from_both_ends_after_higher_priorities() -> None:
    assert share_out(12, {"1": {0: 13, 1: 2}}, "") == [Part("1", 1, 0, 2), Part("1", 0, 7, 3)]


@given(
    free=st.dictionaries(
        st.sampled_from("123456"), st.dictionaries(st.integers(0, 2), st.integers(0, 40), min_size=1), min_size=1
    ),
    limit=st.integers(1, 30),
)
def test_a_survey_that_is_enough_is_as_good_as_a_whole_one(free: dict[str, dict[int, int]], limit: int) -> None:
    most = limit // len(free) + 2
    seen = {pixel: {priority: min(n, most) for priority, n in lanes.items()} for pixel, lanes in free.items()}
    if is_enough(limit, most, seen):
        assert [part for part in share_out(limit, seen, "") if part.newest + part.oldest] == [
            part for part in share_out(limit, free, "") if part.newest + part.oldest
        ]


# The database turns us away, or is not there


async def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    async with node(tmp_path), database(tmp_path) as db:
        await db.execute("UPDATE version SET number = number + 1")
    with pytest.raises(OSError, match=r"newer pixeltwin.*upgrade pixeltwin, or set outbox\.schema"):
        async with node(tmp_path):
            pass


async def test_a_database_that_does_not_exist_is_an_error_of_the_set_up(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"look at outbox\.url"):
        async with node(tmp_path, url=server().replace("/postgres?", "/nothing?")):
            pass


async def test_without_asyncpg_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(OSError, match=r"pip install 'pixeltwin\[postgres\]'"):
        async with node(tmp_path, url=NOWHERE):
            pass


async def test_a_gateway_starts_without_its_database_and_spools(tmp_path: Path) -> None:
    async with node(tmp_path, url=NOWHERE) as outbox:
        assert await outbox.append([new_item(key=b"k")]) == [Appended.ACCEPTED]
        assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]
        with pytest.raises(OSError, match="database"):
            await lease(outbox)


async def test_waiting_without_a_database_is_no_error(tmp_path: Path) -> None:
    async with node(tmp_path, url=NOWHERE) as outbox:
        await outbox.wait(CAPI, seconds=0.2)


async def test_a_text_that_the_database_cannot_store_fails_alone(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox:
        appends = [outbox.append([new_item(pixel_id=pixel_id)]) for pixel_id in ("1", "\0", "2", "\ud800")]
        answers = await asyncio.gather(*appends, return_exceptions=True)
        assert [type(answer) for answer in answers[::2]] == [list, list]
        assert all(isinstance(answer, OSError) for answer in answers[1::2])
        assert await _count(outbox) == 2


async def test_any_reason_can_be_stored(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox:
        await outbox.append([new_item(), new_item()])
        first, second = (await lease(outbox)).items
        taken = await lease(outbox)
        assert taken.items == ()
        await outbox.park(CAPI, "1", until=time.time() + 60, reason="\0\ud800")
        assert first.seq != second.seq


# The spool


async def test_what_waits_in_the_spool_is_counted(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        await outbox.append([new_item("stored")])
        async with db.transaction():
            await db.execute("LOCK TABLE outbox IN EXCLUSIVE MODE")  # reading is allowed
            await outbox.append([new_item("spooled"), new_item("spooled too")])
            depths = await outbox.stats()
            assert (depths[CAPI].ready, (await tally_of(outbox)).accepted) == (3, 3)


async def test_a_slow_database_gets_each_item_once_though_nobody_knew_whether_it_had_it(tmp_path: Path) -> None:
    """The group that was given up may still be stored, before or after the spool asks."""
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        await outbox.append([new_item("first")])
        for number in range(3):
            async with db.transaction():
                await db.execute("LOCK TABLE seen, outbox IN ACCESS EXCLUSIVE MODE")
                began = time.monotonic()
                assert await outbox.append([new_item(f"late {number}")]) == [Appended.ACCEPTED]
                assert time.monotonic() - began < 0.25 + SLACK
                await asyncio.sleep(0.3 * number)
        await until(lambda: _holds(outbox, 4))
        await asyncio.sleep(0.5)
        assert sorted(names(await lease(outbox))) == ["first", "late 0", "late 1", "late 2"]
        assert (await tally_of(outbox)).accepted == 4


async def _holds(outbox: Outbox, number: int) -> bool:
    return await _count(outbox) == number


async def test_what_a_killed_process_left_in_its_spool_is_drained(tmp_path: Path) -> None:
    script = f"""
import asyncio, os
from pathlib import Path
from pixeltwin.outboxes import postgres, sqlite
from pixeltwin.delivery.outbox import NewItem

async def main():
    settings = postgres.Settings(kind="postgres", url="{NOWHERE}", spool={{"path": "node.db"}})
    outbox = await postgres.open_outbox(settings, base=Path("{tmp_path}"))
    for n in range(20):
        await outbox.append([NewItem(destination="{CAPI}", pixel_id="1", key=None, payload=b"%d" % n, priority=n % 2)])
    os._exit(9)

asyncio.run(main())
"""
    left = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", script], check=False, env=os.environ)
    assert left.returncode == 9
    async with node(tmp_path) as outbox:
        await until(lambda: _holds(outbox, 20))
        taken = await lease(outbox)
        assert sorted(map(int, names(taken))) == list(range(20))
        assert [item.priority for item in taken.items] == [1] * 10 + [0] * 10


async def test_what_was_moved_is_not_moved_again_when_the_process_died_before_the_spool_knew(tmp_path: Path) -> None:
    moved, waiting = spooled(new_item("moved"), None), spooled(new_item("waiting"), None)
    await fill_spool(tmp_path, moved, waiting)
    async with node(tmp_path / "made"), database(tmp_path / "made") as db:
        await db.execute("INSERT INTO drained (id, at) VALUES (decode($1, 'hex'), 0)", head(moved)["id"])
    async with node(tmp_path / "made") as outbox:
        await until(lambda: _holds(outbox, 1))
        assert names(await lease(outbox)) == ["waiting"]
        assert await outbox.tally() == {CAPI: Tally(accepted=1)}


async def test_of_a_group_that_was_stored_after_all_nothing_is_stored_again(tmp_path: Path) -> None:
    async with node(tmp_path / "made", "other") as other, database(tmp_path / "made") as db:
        await other.append([new_item("stored")])
        stored, lost = await db.fetchval("SELECT id FROM session"), 999
    items = [spooled(new_item("stored"), (stored, 1)), spooled(new_item("next"), (stored, 2))]
    await fill_spool(tmp_path, *items, spooled(new_item("of a session unknown"), (lost, 1)))
    async with node(tmp_path / "made") as outbox:
        await until(lambda: _holds(outbox, 3))
        assert sorted(names(await lease(outbox))) == ["next", "of a session unknown", "stored"]


async def test_what_another_node_accepted_meanwhile_is_dropped_and_counted(tmp_path: Path) -> None:
    await fill_spool(tmp_path, spooled(new_item("late", key=b"k"), None))
    (tmp_path / "made" / "node.db").rename(tmp_path / "node.db")
    async with node(tmp_path / "made", "other") as other:
        await other.append([new_item("first", key=b"k")])
        (tmp_path / "node.db").rename(tmp_path / "made" / "node.db")
        async with node(tmp_path / "made") as outbox:
            await until(lambda: _has(outbox, Tally(accepted=2, dropped=1)))
            assert names(await lease(outbox)) == ["first"]


async def test_an_item_keeps_everything_on_its_way_through_the_spool(tmp_path: Path) -> None:
    began = time.time()
    item = new_item("a", key=b"k", subject=ANN, priority=1, deadline=began + HOUR, hold_until=began + 600)
    await fill_spool(tmp_path, spooled(item, None))
    filled = time.time()
    async with node(tmp_path / "made") as outbox:
        await until(lambda: _holds(outbox, 1))
        (moved,) = await outbox.waiting()
        assert (moved.payload, moved.priority, moved.deadline) == (b"a", 1, began + HOUR)
        assert (moved.held, moved.due) == (True, began + 600)
        assert began <= moved.appended_at <= filled  # not when it was moved
        assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]
        assert await outbox.release("1", ANN) == 1


async def test_a_purge_reaches_the_spool(tmp_path: Path) -> None:
    async with node(tmp_path) as outbox, database(tmp_path) as db:
        async with db.transaction():
            await db.execute("LOCK TABLE seen IN ACCESS EXCLUSIVE MODE")  # no append, and no move
            await outbox.append([new_item("ann's", subject=ANN), new_item("bob's", subject=BOB)])
            purging = asyncio.create_task(outbox.purge("1", ANN))
            await asyncio.sleep(0.2)
        await purging
        await until(lambda: _holds(outbox, 1))
        assert names(await lease(outbox)) == ["bob's"]


@pytest.mark.parametrize(
    ("wish", "tally", "left"),
    [("purge", Tally(accepted=1, purged=1), []), ("release", Tally(accepted=1), [("a", False)])],
)
async def test_what_another_node_purged_or_released_meanwhile_is_so_when_it_leaves_the_spool(
    tmp_path: Path, wish: str, tally: Tally, left: list[tuple[str, bool]]
) -> None:
    await fill_spool(tmp_path, spooled(new_item(subject=ANN, hold_until=time.time() + HOUR), None))
    (tmp_path / "made" / "node.db").rename(tmp_path / "node.db")
    async with node(tmp_path / "made", "other") as other:
        assert await getattr(other, wish)("1", ANN) == 0
        (tmp_path / "node.db").rename(tmp_path / "made" / "node.db")
        async with node(tmp_path / "made") as outbox:
            await until(lambda: _holds(outbox, len(left)))
            await until(lambda: _has(outbox, tally))
            assert [(item.payload.decode(), item.held) for item in await outbox.waiting()] == left


async def fill_spool(folder: Path, *items: NewItem) -> None:
    """What a node left in the spool of the folder `made` within."""
    left = await sqlite.open_outbox(sqlite.Settings(path=Path("made/node.db")), base=folder)
    await left.append(items)
    await left.close()
    for beside in ("-wal", "-shm"):
        (folder / "made" / f"node.db{beside}").unlink(missing_ok=True)


def head(item: NewItem) -> Any:
    return json.loads(item.payload.partition(b"\n")[0])


async def _has(outbox: Outbox, tally: Tally) -> bool:
    return await tally_of(outbox) == tally


# Connections and servers that die


async def test_storms_of_terminated_connections_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """No item has a key: nothing but the sessions and the spool's ids keeps a repeat out."""
    async with node(tmp_path, "gateway") as gateway, node(tmp_path, "worker") as worker:
        storm = asyncio.create_task(terminate(tmp_path, times=40))
        delivering = asyncio.create_task(deliver_all(worker, storm))
        answers = []
        while not storm.done():
            answers += await asyncio.gather(*(gateway.append([new_item(f"{len(answers)}/{n}")]) for n in range(5)))
        delivered = await delivering
        assert answers == [[Appended.ACCEPTED]] * len(answers)
        await until(lambda: _has(gateway, Tally(accepted=len(answers), delivered=len(answers))))
        assert len(set(delivered)) == len(answers)


async def terminate(folder: Path, *, times: int) -> None:
    async with database(folder) as db:
        for _ in range(times):
            await asyncio.sleep(0.05)
            await db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pixeltwin'"
            )


async def deliver_all(worker: Outbox, storm: "asyncio.Task[None]") -> list[str]:
    """Deliver until the storm is over and nothing is left; a settle that fails is repeated by the next lease."""
    delivered: list[str] = []
    quiet_since = time.monotonic()
    while not storm.done() or time.monotonic() - quiet_since < 3:
        with suppress(OSError):
            taken = await lease(worker, limit=50, seconds=2)
            await asyncio.sleep(0.01)
            await deliver(worker, taken)
            delivered += names(taken)
            if taken.items:
                quiet_since = time.monotonic()
    return delivered


async def test_a_killed_server_loses_nothing_and_appends_go_on_in_time(tmp_path: Path, killable: Killable) -> None:
    answered: list[str] = []
    waits: list[float] = []

    async def produce(outbox: Outbox, number: int, stop: asyncio.Event) -> None:
        for n in itertools.count():
            if stop.is_set():
                return
            began, name = time.monotonic(), f"{number}/{n}"
            assert await outbox.append([new_item(name)]) == [Appended.ACCEPTED]
            waits.append(time.monotonic() - began)
            answered.append(name)
            await asyncio.sleep(0.01)

    async with node(tmp_path, url=killable.url) as outbox:
        stop = asyncio.Event()
        producing = asyncio.gather(*(produce(outbox, number, stop) for number in range(8)))
        for _ in range(2):
            await asyncio.sleep(0.4)
            killable.kill()
            await asyncio.sleep(0.6)
            await asyncio.to_thread(killable.start)
        stop.set()
        await producing
        await until(lambda: _holds(outbox, len(answered)), 60)
        assert max(waits) < 0.25 + SLACK
        taken: list[str] = []
        while more := await lease(outbox):
            if not more.items:
                break
            taken += names(more)
            await deliver(outbox, more)
        assert sorted(taken) == sorted(answered)
        assert await tally_of(outbox) == Tally(accepted=len(answered), delivered=len(answered))


async def test_leases_and_keys_survive_a_killed_server(tmp_path: Path, killable: Killable) -> None:
    async with node(tmp_path, url=killable.url) as outbox:
        await outbox.append([new_item("leased", key=b"k")])
        taken = await lease(outbox)
        killable.kill()
        await asyncio.to_thread(killable.start)
        await until(lambda: _holds(outbox, 1))
        assert names(await lease(outbox)) == []
        later = Later(time.time(), "HTTP 503")
        assert await outbox.settle(taken, {taken.items[0].seq: later}) == 1
        assert [item.attempts for item in (await lease(outbox)).items] == [1]
        await until(lambda: _is_duplicate(outbox, b"k"))


async def _is_duplicate(outbox: Outbox, key: bytes) -> bool:
    return await outbox.append([new_item(key=key)]) == [Appended.DUPLICATE]


async def test_a_node_that_stops_after_the_end_of_its_lease_may_have_sent_what_that_held(
    tmp_path: Path, clock: Clock
) -> None:
    began = clock.now
    async with node(tmp_path, "stays", clock=clock) as stays:
        async with node(tmp_path, "goes", clock=clock) as goes:
            await goes.append([new_item()])
            assert len((await lease(goes, seconds=60)).items) == 1
            clock.now += 61
        (item,) = await stays.waiting()
        assert item.deadline == began + REPEATABLE
