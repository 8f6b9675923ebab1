"""What the sqlite engine promises beyond the contract: the disk, the crash, and one process at a time."""

import asyncio
import contextlib
import itertools
import math
import os
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from pixeltwin.delivery.outbox import (
    CORRUPT,
    REPEATABLE,
    Appended,
    Delivered,
    Depth,
    Later,
    NewItem,
    Outbox,
    Park,
    Refused,
    Tally,
)
from pixeltwin.outboxes import sqlite
from pixeltwin.outboxes.sqlite import browsers, flights, lanes, lately, letters, pages, sweep, writer
from pixeltwin.outboxes.sqlite.file import SCHEMA, VERSION, connect
from pixeltwin.outboxes.sqlite.sharing import acquire, release
from pixeltwin.outboxes.sqlite.store import LATE, OLDEST, PURGE, RELEASE, Store

CAPI: Final = "conversions_api"
ANN: Final = b"ann's browser..."
FAR: Final = 4e9  # unix seconds


def new_item(
    name: str = "a",
    *,
    pixel_id: str = "1",
    key: bytes | None = None,
    subject: bytes | None = None,
    hold_until: float | None = None,
) -> NewItem:
    return NewItem(
        destination=CAPI,
        pixel_id=pixel_id,
        key=key,
        payload=name.encode(),
        subject=subject,
        hold_until=hold_until,
    )


async def open_outbox(base: Path, **settings: Any) -> Outbox:
    return await sqlite.open_outbox(sqlite.Settings(**settings), base=base)


async def names(outbox: Outbox) -> list[str]:
    return [item.payload.decode() for item in (await outbox.lease(CAPI, limit=100_000, seconds=60)).items]


def run_script(script: str, base: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script, base], capture_output=True, text=True, timeout=60)


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    outbox = await open_outbox(tmp_path)
    yield outbox
    await outbox.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox.db"


# The disk


async def test_items_attempts_and_keys_survive_reopening(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.append([new_item("a", key=b"k"), new_item("b")])
    lease = await outbox.lease(CAPI, limit=1, seconds=3600)
    await outbox.settle(lease, {lease.items[0].seq: Later(0, "HTTP 503")})
    await outbox.lease(CAPI, limit=1, seconds=3600)
    await outbox.close()

    outbox = await open_outbox(tmp_path)
    assert await outbox.append([new_item(key=b"k")]) == [Appended.DUPLICATE]
    items = (await outbox.lease(CAPI, limit=9, seconds=60)).items
    assert [(item.payload, item.attempts) for item in items] == [(b"a", 1), (b"b", 0)]
    await outbox.close()


async def test_what_is_held_released_and_purged_survives_reopening(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    held = [new_item(name, pixel_id=name, subject=ANN, hold_until=FAR) for name in ("1", "2", "3")]
    await outbox.append(held)
    assert [await outbox.release("2", ANN), await outbox.purge("3", ANN)] == [1, 1]
    await outbox.close()

    outbox = await open_outbox(tmp_path)
    assert (await outbox.stats())[CAPI].held == 1
    assert await names(outbox) == ["2"]
    assert await outbox.release("1", ANN) == 1
    assert await names(outbox) == ["1"]
    await outbox.close()


async def purge_ann_among_others(base: Path) -> None:
    outbox = await open_outbox(base)
    await outbox.append([new_item("stays"), new_item("ann's letter", subject=ANN), new_item("stays")])
    lease = await outbox.lease(CAPI, limit=3, seconds=60)
    await outbox.settle(lease, {item.seq: Refused("bad") for item in lease.items})
    await outbox.append([new_item("waits"), new_item("ann's item", subject=ANN), new_item("waits")])
    assert await outbox.purge("1", ANN) == 2
    await outbox.close()


def test_purge_overwrites_the_bytes_of_items_and_dead_letters(tmp_path: Path, path: Path) -> None:
    asyncio.run(purge_ann_among_others(tmp_path))
    kept = path.read_bytes()
    assert [text for text in (b"stays", b"waits", b"ann's letter", b"ann's item", ANN) if text in kept] == [
        b"stays",
        b"waits",
    ]


@pytest.mark.parametrize(
    ("statement", "bindings", "found_by"),
    [
        (RELEASE, ("1", ANN, 0.0, "[1]"), "outbox USING INTEGER PRIMARY KEY (rowid=?)"),
        (PURGE, ("1", ANN, 0.0, "[1]"), "outbox USING INTEGER PRIMARY KEY (rowid=?)"),
        (letters.PURGE, ("1", ANN), "dead USING COVERING INDEX dead_subject (pixel_id=? AND subject=?)"),
    ],
)
def test_release_and_purge_scan_no_table(tmp_path: Path, statement: str, bindings: Any, found_by: str) -> None:
    plan = plan_of(tmp_path, statement, bindings)
    assert plan[0] == f"SEARCH {found_by}"
    assert not [step for step in plan if step.startswith("SCAN") and "json_each" not in step]


LANE: Final = "outbox_lane (destination=? AND pixel_id=? AND priority=?"
TABLES: Final = ("outbox", "dead", "park", "seen", "lately", "leased")


@pytest.mark.parametrize(
    ("statement", "bindings", "found_by"),
    [
        (lanes.COUNT, (CAPI, "1", 0, 0.0, 9), f"{LANE} AND due<?)"),
        (lanes.OLDEST, (CAPI, "1", 0, 0.0, 9), f"{LANE} AND due<?)"),
        (lanes.NEWEST, (CAPI, "1", 0, 0.0, 9), f"{LANE} AND due<?)"),
        (lanes.LANES, (CAPI, 0.0), f"{LANE})"),
        (lanes.LANES, (CAPI, 0.0), "(destination=? AND pixel_id>?)"),
        (lanes.LANES, (CAPI, 0.0), f"{LANE.removesuffix('=?')}<?)"),
        (lanes.PARKED, (CAPI, 0.0), "PRIMARY KEY (destination=?)"),
        (LATE, (0.0, 9), "outbox_deadline (deadline<?)"),
        (OLDEST, (CAPI,), "outbox_pixel (destination=? AND pixel_id=? AND held=?)"),
        (flights.DOUBT, (0.0, REPEATABLE), "SEARCH outbox USING INTEGER PRIMARY KEY (rowid=?)"),
        (lately.NOTE, (1,), "PRIMARY KEY (rowid>?)"),
        (lately.FORGET, (1, 9), "PRIMARY KEY (rowid<?)"),
        (lately.SEEN, (CAPI, "1", apsw.carray((b"k",))), "PRIMARY KEY (destination=? AND pixel_id=? AND key=?)"),
        (sweep.NEXT, (CAPI, "1", b"k", 9), "PRIMARY KEY ((destination,pixel_id,key)>(?,?,?))"),
        (sweep.FORGET_UPTO, (CAPI, "1", b"k", 0.0, CAPI, "1", b"l"), "(destination,pixel_id,key)<(?,?,?))"),
        (sweep.FORGET_REST, (CAPI, "1", b"k", 0.0), "PRIMARY KEY ((destination,pixel_id,key)>(?,?,?))"),
        (browsers.THERE, ("[1]",), "SEARCH outbox USING INTEGER PRIMARY KEY (rowid=?)"),
        (letters.PRUNE, (0.0, 9), "dead_at (at<?)"),
        (letters.BURY, (1, "", "", 0.0, 1), "PRIMARY KEY (rowid=?)"),
        (letters.REVIVE, (1, 0.0), "PRIMARY KEY (rowid=?)"),
        (pages.ALL.format(table="dead"), (1, 9), "PRIMARY KEY (rowid>?)"),
        (pages.PIXELS.format(table="dead"), (None, None), "dead_pixel (destination=? AND pixel_id>?)"),
        (pages.OF_PIXEL["dead"], (CAPI, "1", 1, 9), "dead_pixel (destination=? AND pixel_id=? AND rowid>?)"),
        (pages.OF_PIXEL["outbox"], (CAPI, "1", 1, 9), "(destination=? AND pixel_id=? AND held=? AND rowid>?)"),
    ],
)
def test_what_is_done_all_the_time_scans_and_sorts_no_table(
    tmp_path: Path, statement: str, bindings: Any, found_by: str
) -> None:
    """With a million items that wait, a lease, an expiry or a look costs no more than with a thousand."""
    plan = plan_of(tmp_path, statement, bindings)
    assert any(step.endswith(found_by) for step in plan), plan
    assert not [step for step in plan if step.startswith(tuple(f"SCAN {table}" for table in TABLES))], plan
    if statement != lanes.LANES:  # it sorts what it has found, which is a handful
        assert not [step for step in plan if "TEMP B-TREE" in step], plan


def plan_of(folder: Path, statement: str, bindings: Any) -> list[str]:
    with contextlib.closing(connect(folder / "outbox.db")) as db:
        return [step for *_, step in db.execute("EXPLAIN QUERY PLAN " + statement, bindings)]


async def test_letters_parks_and_tallies_survive_reopening(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.append([new_item("a"), new_item("b")])
    lease = await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.settle(lease, {lease.items[0].seq: Refused("bad", "100")})
    await outbox.park(CAPI, "1", until=FAR, reason="190")
    before = [await outbox.letters(), await outbox.parks(), await outbox.tally()]
    await outbox.close()

    outbox = await open_outbox(tmp_path)
    assert [await outbox.letters(), await outbox.parks(), await outbox.tally()] == before
    assert before[1:] == [{(CAPI, "1"): Park(FAR, "190")}, {CAPI: Tally(accepted=2, dead=1)}]
    assert await names(outbox) == []
    assert await outbox.requeue([letter.seq for letter in await outbox.letters()]) == 1
    await outbox.close()


async def test_letters_are_kept_as_long_as_the_config_says(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    settings = sqlite.Settings.model_validate({"keep_letters": "1h"})
    outbox = await sqlite.open_outbox(settings, base=tmp_path, clock=lambda: now)
    await outbox.append([new_item()])
    lease = await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.settle(lease, {lease.items[0].seq: Refused("bad")})
    kept = []
    for _ in range(2):
        now += 1800
        await outbox.expire(limit=1)
        kept.append(len(await outbox.letters()))
    assert kept == [1, 0]
    await outbox.close()


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"spoilt", b"spoilT"))


async def test_an_item_that_the_disk_has_changed_is_a_letter_and_no_event(tmp_path: Path, path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.append([new_item("fine"), new_item("spoilt")])
    await outbox.close()
    spoil(path)

    outbox = await open_outbox(tmp_path)
    assert await names(outbox) == ["fine"]
    assert [(letter.payload, letter.reason) for letter in await outbox.letters()] == [(b"spoilT", CORRUPT)]
    assert await outbox.tally() == {CAPI: Tally(accepted=2, dead=1)}
    await outbox.close()


async def test_a_seq_is_never_given_twice(tmp_path: Path) -> None:
    """Or a settle from before a crash could hit an item from after it."""
    seqs = []
    for _ in range(3):
        outbox = await open_outbox(tmp_path)
        await outbox.append([new_item()])
        (item,) = (lease := await outbox.lease(CAPI, limit=1, seconds=60)).items
        await outbox.settle(lease, {item.seq: Delivered()})
        await outbox.close()
        seqs.append(item.seq)
    assert seqs == sorted(set(seqs))


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("temp_store", 2), ("secure_delete", 1)]
)
def test_sqlite_was_told(tmp_path: Path, pragma: str, value: str | int) -> None:
    """To sync its log at every commit, to keep leases in memory, to overwrite what is deleted."""
    with contextlib.closing(connect(tmp_path / "outbox.db")) as db:
        assert db.pragma(pragma) == value


@pytest.mark.parametrize(("durability", "value"), [("full", 2), ("normal", 1), ("async", 0)])
async def test_the_last_opener_says_how_durable_the_file_is(
    outbox: sqlite.SqliteOutbox, tmp_path: Path, durability: str, value: int
) -> None:
    other = await open_outbox(tmp_path, durability=durability)
    assert await outbox._writer.do(lambda store: store._db.pragma("synchronous")) == value
    await other.close()


async def test_only_the_owner_may_read_the_files(outbox: Outbox, path: Path) -> None:
    await outbox.append([new_item()])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys([f"outbox.db{it}" for it in ("", "-shm", "-wal", ".ballast", ".lock")], 0o600)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_tables_are_in_the_file_before_the_first_item(tmp_path: Path) -> None:
    """Not in the log only, which a power cut before the first checkpoint can take away."""
    with contextlib.closing(connect(tmp_path / "outbox.db")):
        assert (tmp_path / "outbox.db-wal").stat().st_size == 0
        assert b"CREATE TABLE outbox" in (tmp_path / "outbox.db").read_bytes()


async def test_an_absolute_path_stays_where_it_is(tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path / "config", path=tmp_path / "else" / "queue.db")
    assert (tmp_path / "else" / "queue.db").exists()
    await outbox.close()


VERSION_1: Final = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    key BLOB,
    payload BLOB NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    appended_at REAL NOT NULL,
    last_reason TEXT
) STRICT;
CREATE INDEX outbox_due ON outbox (destination, due);
CREATE TABLE seen (
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    key BLOB NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (destination, pixel_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);
CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX dead_destination ON dead (destination);
INSERT INTO outbox VALUES (7, 'conversions_api', '1', x'6b', x'61', 2, 30.0, 20.0, 'HTTP 503');
INSERT INTO outbox VALUES (8, 'conversions_api', '1', NULL, x'62', 0, 4e9, 21.0, NULL);
INSERT INTO seen VALUES ('conversions_api', '1', x'6b', 3e9);
INSERT INTO dead VALUES (3, 'conversions_api', '1', x'63', 'bad', 10.0);
"""


@pytest.fixture
def version_1(path: Path) -> Path:
    """A file that version 1 of the schema left behind, with an item due, one for later, a key and a dead letter."""
    path.parent.mkdir()
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.pragma("journal_mode", "wal")
        db.execute(VERSION_1)
        db.pragma("user_version", 1)
    return path


async def test_what_waits_in_a_file_of_version_1_is_kept(version_1: Path, tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    assert await outbox.stats() == {CAPI: Depth(ready=2, dead=1, oldest_at=20.0)}
    assert await outbox.append([new_item(key=b"k"), new_item("new")]) == [Appended.DUPLICATE, Appended.ACCEPTED]
    items = (await outbox.lease(CAPI, limit=9, seconds=60)).items
    assert [(item.seq, item.payload, item.attempts, item.held) for item in items] == [
        (7, b"a", 2, False),
        (9, b"new", 0, False),
    ]
    await outbox.close()


async def test_a_file_of_version_1_learns_to_hold(version_1: Path, tmp_path: Path) -> None:
    for _ in range(2):  # also when it is opened once more
        outbox = await open_outbox(tmp_path)
        await outbox.append([new_item("held", subject=ANN, hold_until=FAR), new_item("gone", subject=ANN)])
        assert await outbox.release("1", ANN) == 1
        assert await outbox.purge("1", ANN) == 2
        await outbox.close()


VERSION_2: Final = """
ALTER TABLE outbox ADD COLUMN subject BLOB;
ALTER TABLE outbox ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX outbox_subject ON outbox (pixel_id, subject) WHERE subject IS NOT NULL;
CREATE INDEX outbox_held ON outbox (destination, held) WHERE held;
ALTER TABLE dead ADD COLUMN subject BLOB;
CREATE INDEX dead_subject ON dead (pixel_id, subject) WHERE subject IS NOT NULL;
UPDATE outbox SET subject = CAST('ann''s browser...' AS BLOB), held = 1 WHERE seq = 8;
UPDATE dead SET subject = CAST('ann''s browser...' AS BLOB);
"""


@pytest.fixture
def version_2(version_1: Path) -> Path:
    """The same file, left behind by version 2: the item for later is held, and the letter has a subject."""
    with contextlib.closing(apsw.Connection(str(version_1))) as db:
        db.execute(VERSION_2)
        db.pragma("user_version", 2)
    return version_1


async def test_what_waits_in_a_file_of_version_2_is_kept(version_2: Path, tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    assert await outbox.stats() == {CAPI: Depth(ready=1, held=1, dead=1, oldest_at=20.0)}
    assert await outbox.release("1", ANN) == 1
    items = (await outbox.lease(CAPI, limit=9, seconds=60)).items
    assert [(item.seq, item.payload, item.priority, item.deadline) for item in items] == [
        (7, b"a", 0, math.inf),
        (8, b"b", 0, math.inf),
    ]
    assert await outbox.purge("1", ANN) == 1  # the letter; what is under lease stays
    await outbox.close()


async def test_what_waits_in_a_file_of_version_3_is_kept_and_learns_of_lost_leases(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.pragma("journal_mode", "wal")
        for script in SCHEMA[:3]:
            db.execute(script)
        db.execute(
            "INSERT INTO outbox (seq, destination, pixel_id, payload, due, appended_at) "
            "VALUES (7, 'conversions_api', '1', x'61', 30.0, 20.0)"
        )
        db.pragma("user_version", 3)
    now = 1_800_000_000.0
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=tmp_path, clock=lambda: now)
    assert [item.payload for item in (await outbox.lease(CAPI, limit=9, seconds=60)).items] == [b"a"]
    now += 60
    assert [item.deadline for item in await outbox.waiting()] == [1_800_000_000.0 + REPEATABLE]
    await outbox.close()


async def test_letters_of_older_files_are_kept_and_counted(version_1: Path, tmp_path: Path) -> None:
    """They may be requeued for as long as Meta would not count them twice."""
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=tmp_path, clock=lambda: 50.0)
    (letter,) = await outbox.letters()
    assert (letter.seq, letter.payload, letter.reason, letter.at, letter.is_expired) == (3, b"c", "bad", 10.0, False)
    assert letter.deadline == 10.0 + REPEATABLE
    assert await outbox.tally() == {CAPI: Tally(accepted=3, dead=1)}
    assert await outbox.requeue([3]) == 1
    assert await names(outbox) == ["a", "c"]
    await outbox.close()


async def test_what_the_disk_had_changed_before_a_migration_is_known_afterwards(
    version_2: Path, tmp_path: Path
) -> None:
    """In a file of version 3 a checksum is the payload's alone."""
    with contextlib.closing(apsw.Connection(str(version_2))) as db:
        db.execute(SCHEMA[2])
        db.pragma("user_version", 3)
        checksums = [(zlib.crc32(b"a"), 7), (zlib.crc32(b"not b"), 8)]
        db.executemany("UPDATE outbox SET checksum = ? WHERE seq = ?", checksums)
    outbox = await open_outbox(tmp_path)
    assert await outbox.release("1", ANN) == 1
    assert await names(outbox) == ["a"]
    assert [letter.payload for letter in await outbox.letters() if letter.reason == CORRUPT] == [b"b"]
    await outbox.close()


def test_a_migrated_file_is_made_like_a_new_one(version_1: Path, tmp_path: Path) -> None:
    def tables(path: Path) -> list[Any]:
        with contextlib.closing(connect(path)) as db:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema ORDER BY name")]
            return [(name, list(db.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)))) for name in names]

    assert tables(version_1) == tables(tmp_path / "new.db")


def test_a_migration_is_in_the_file_before_the_next_item(version_1: Path) -> None:
    with contextlib.closing(connect(version_1)):
        assert version_1.with_name("outbox.db-wal").stat().st_size == 0
        assert b"CREATE TABLE lately" in version_1.read_bytes()


def test_newer_schema_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.pragma("user_version", VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(OSError, match=f"newer pixeltwin .schema {VERSION + 1}, this one knows {VERSION}.; upgrade"):
        asyncio.run(open_outbox(tmp_path))
    assert path.read_bytes() == before


def test_a_file_that_a_newer_pixeltwin_had_open_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    """Its schema is higher than ours because it is newer, not because the disk has changed it."""
    with contextlib.closing(connect(path)) as db:
        db.pragma("user_version", VERSION + 1)
    path.with_name("outbox.db.lock").write_text(f"closed {VERSION + 1}\n")
    before = path.read_bytes()
    with pytest.raises(OSError, match="newer pixeltwin"):
        asyncio.run(open_outbox(tmp_path))
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.write_text("shopping list\n" * 1000)
    for _ in range(2):  # the first refusal has let go of the lock
        with pytest.raises(OSError, match=r"not a database.*outbox\.db"):
            asyncio.run(open_outbox(tmp_path))
    assert path.read_text() == "shopping list\n" * 1000


# Group commit


async def test_appends_that_wait_together_share_a_commit(outbox: sqlite.SqliteOutbox) -> None:
    await asyncio.gather(*(outbox.append([new_item(str(n))]) for n in range(256)))
    assert outbox.commits <= 16
    assert len(await names(outbox)) == 256


async def test_appends_that_follow_a_group_soon_share_the_next(
    outbox: sqlite.SqliteOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PACE", 0.5)
    await outbox.append([new_item("alone")])
    before, appending = outbox.commits, []
    for number in range(5):
        appending.append(outbox.append([new_item(str(number))]))
        await asyncio.sleep(0.01)
    await asyncio.gather(*appending)
    assert outbox.commits == before + 1


async def test_reading_and_leasing_nothing_cost_no_commit(outbox: sqlite.SqliteOutbox) -> None:
    await outbox.append([new_item()])
    await outbox.lease(CAPI, limit=1, seconds=60)
    before = outbox.commits
    await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.stats()
    await outbox.waiting()
    await outbox.wait(CAPI, seconds=0)
    assert outbox.commits == before


async def test_a_lease_costs_one_commit(outbox: sqlite.SqliteOutbox) -> None:
    await outbox.append([new_item(str(number)) for number in range(1000)])
    before = outbox.commits
    await outbox.lease(CAPI, limit=1000, seconds=60)
    assert outbox.commits == before + 1


async def test_a_bad_command_fails_alone(outbox: Outbox, path: Path) -> None:
    """Held up behind a gate, all of these land in one transaction."""
    gate, writer = threading.Event(), acquire(path)
    await outbox.append([new_item("leased")])
    held_up = asyncio.create_task(writer.do(lambda store: gate.wait()))
    await asyncio.sleep(0.05)
    unstorable = new_item(pixel_id="\udcff")  # no UTF-8 for it
    commands = [outbox.append([new_item("a", key=b"k")]), outbox.append([unstorable]), names(outbox)]
    tasks = [asyncio.ensure_future(command) for command in commands]
    await asyncio.sleep(0.05)
    tasks.append(asyncio.ensure_future(outbox.append([new_item("b")])))
    await asyncio.sleep(0.05)
    gate.set()
    first, bad, leased, last = await asyncio.gather(*tasks, return_exceptions=True)
    assert (first, leased, last) == ([Appended.ACCEPTED], ["leased", "a"], [Appended.ACCEPTED])
    assert isinstance(bad, UnicodeEncodeError)
    assert await names(outbox) == ["b"]
    await held_up
    release(path)


async def test_what_the_database_refuses_is_an_os_error(outbox: Outbox) -> None:
    text: Any = "not a time"
    with pytest.raises(OSError, match=r"cannot store TEXT value in REAL column.*outbox\.db"):
        await outbox.append([new_item(key=b"k", hold_until=text)])
    assert await outbox.append([new_item(key=b"k")]) == [Appended.ACCEPTED]


def test_an_error_that_ends_the_transaction_by_itself_is_the_one_raised(tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path / "outbox.db")) as db:
        store = Store(db)
        db.pragma("max_page_count", db.pragma("page_count"))
        with pytest.raises(apsw.FullError), store.transaction():
            store.append([([new_item("a" * 100_000)], 0.0)])
        with store.transaction():
            assert store.stats(0.0) == {}


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from pixeltwin.delivery.outbox import NewItem
from pixeltwin.outboxes import sqlite

async def main():
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=Path(sys.argv[1]))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
    accepted, refused = 0, 0
    for number in range(600):
        if number == 400:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        try:
            await outbox.append([NewItem(destination="conversions_api", pixel_id="1", key=None, payload=bytes(2000))])
            accepted += 1
        except OSError:
            refused += 1
            await asyncio.sleep(0.02 if number >= 400 else 0)  # a look for room is due once a second
    print(accepted, refused, (await outbox.stats())["conversions_api"].ready)

asyncio.run(main())
"""


def test_a_full_disk_is_an_os_error_and_no_end(tmp_path: Path) -> None:
    done = run_script(FULL_DISK, tmp_path)
    assert done.stderr == ""
    accepted, refused, ready = map(int, done.stdout.splitlines()[-1].split())  # after what is logged
    assert accepted == ready
    assert accepted > 200  # those after the disk had room again among them
    assert refused > 100


async def test_expired_keys_leave_the_file(tmp_path: Path, path: Path) -> None:
    now = 1_800_000_000.0
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=tmp_path, clock=lambda: now)
    await outbox.append([new_item(key=b"%d" % number) for number in range(2500)])
    for number in range(72):  # some at a time, so that no append waits long
        now += 3600
        await outbox.append([new_item(key=b"new %d" % number)])
    await outbox.close()
    with contextlib.closing(apsw.Connection(str(path))) as db:
        for table in ("seen", "lately"):
            assert not list(db.execute(f"SELECT key FROM {table} WHERE substr(key, 1, 3) <> CAST('new' AS BLOB)"))  # noqa: S608 - constants


# The crash


APPENDER = """
import asyncio, itertools, sys
from pathlib import Path
from pixeltwin.delivery.outbox import NewItem
from pixeltwin.outboxes import sqlite

async def produce(outbox, numbers):
    for number in numbers:
        key = b"%d" % number
        await outbox.append([NewItem(destination="conversions_api", pixel_id="1", key=key, payload=key)])
        print(number, flush=True)

async def main():
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=Path(sys.argv[1]))
    numbers = itertools.count(int(sys.argv[2]))
    await asyncio.gather(*(produce(outbox, numbers) for _ in range(16)))

asyncio.run(main())
"""


def acknowledged_before_kill(base: Path, first: int, enough: int) -> list[str]:
    """What a gateway had acknowledged when it was killed in the middle of its work."""
    with subprocess.Popen(
        [sys.executable, "-c", APPENDER, base, str(first)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        lines = list(itertools.islice(child.stdout, enough))
        child.kill()
        return [line.strip() for line in [*lines, *child.stdout] if line.endswith("\n")]


async def test_kill_9_loses_nothing_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    for cycle, enough in enumerate((1, 50, 300, 700, 1500)):
        acknowledged += await asyncio.to_thread(acknowledged_before_kill, tmp_path, cycle * 1_000_000, enough)
    outbox = await open_outbox(tmp_path)
    kept = await names(outbox)
    assert len(acknowledged) >= 2551
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    await outbox.close()


SENDER = """
import asyncio, sys
from pathlib import Path
from pixeltwin.delivery.outbox import Delivered, NewItem
from pixeltwin.outboxes import sqlite

async def main():
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=Path(sys.argv[1]), clock=lambda: 1_800_000_000.0)
    items = [NewItem(destination="conversions_api", pixel_id="1", key=None, payload=b"%d" % n) for n in range(6)]
    await outbox.append(items)
    settled = await outbox.lease("conversions_api", limit=2, seconds=3600)
    held = await outbox.lease("conversions_api", limit=3, seconds=3600)
    await outbox.settle(settled, {settled.items[0].seq: Delivered()})
    print(*(item.payload.decode() for item in held.items), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def leased_before_kill(base: Path) -> list[str]:
    with subprocess.Popen([sys.executable, "-c", SENDER, base], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        held = child.stdout.readline().split()
        child.kill()
        return held


async def test_what_was_under_lease_at_a_kill_9_may_have_been_sent(tmp_path: Path) -> None:
    """What the killed process had settled or let go of, or never leased, was not."""
    held = await asyncio.to_thread(leased_before_kill, tmp_path)
    outbox = await open_outbox(tmp_path)
    deadlines = {item.payload.decode(): item.deadline for item in await outbox.waiting()}
    assert [len(held), len(deadlines)] == [3, 5]
    doubted = dict.fromkeys(held, 1_800_000_000.0 + REPEATABLE)
    assert deadlines == dict.fromkeys(deadlines, math.inf) | doubted
    await outbox.close()


async def test_what_a_close_lets_go_of_was_not_sent(tmp_path: Path, path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    await outbox.append([new_item("a")])
    await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.close()
    outbox = await open_outbox(tmp_path)
    assert [item.deadline for item in await outbox.waiting()] == [math.inf]
    await outbox.close()


async def test_where_a_repeat_is_known_for_ever_a_lost_lease_sets_no_deadline(tmp_path: Path) -> None:
    """As in the spool of PostgreSQL, where an item that came to be late would be stuck."""
    now = 1_800_000_000.0
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=tmp_path, clock=lambda: now, may_repeat=True)
    await outbox.append([new_item("a")])
    await outbox.lease(CAPI, limit=1, seconds=60)
    now += 60
    assert [item.deadline for item in await outbox.waiting()] == [math.inf]
    await outbox.close()


# One process, any number of openers


SECOND = """
import asyncio, sys
from pathlib import Path
from pixeltwin.outboxes import sqlite
asyncio.run(sqlite.open_outbox(sqlite.Settings(), base=Path(sys.argv[1])))
"""


async def test_a_second_process_is_refused(outbox: Outbox, tmp_path: Path, path: Path) -> None:
    second = await asyncio.to_thread(run_script, SECOND, tmp_path)
    assert second.returncode == 1
    assert f"the outbox {path} is in use: another process holds {path}.lock; stop that process" in second.stderr


async def test_openers_of_one_process_share_the_file(outbox: Outbox, tmp_path: Path) -> None:
    other = await open_outbox(tmp_path / "config", path=Path("../data/outbox.db"))
    waiting = asyncio.create_task(other.wait(CAPI, seconds=60))
    await outbox.append([new_item()])
    await asyncio.wait_for(waiting, 5)
    assert await names(other) == ["a"]
    assert await names(outbox) == []
    await other.close()


async def test_an_opener_that_closes_gives_its_leases_to_the_others(outbox: Outbox, tmp_path: Path) -> None:
    await outbox.append([new_item()])
    old = await open_outbox(tmp_path)
    assert await names(old) == ["a"]
    waiting = asyncio.create_task(outbox.wait(CAPI, seconds=60))
    await old.close()
    await asyncio.wait_for(waiting, 5)
    assert await names(outbox) == ["a"]


async def test_the_last_close_lets_go_of_thread_lock_and_file(outbox: Outbox, tmp_path: Path, path: Path) -> None:
    for _ in range(20):  # openers and closers that overlap, as in a flurry of hot reloads
        other = await open_outbox(tmp_path)
        await asyncio.gather(other.close(), outbox.close(), opening := asyncio.ensure_future(open_outbox(tmp_path)))
        outbox = opening.result()
    await outbox.close()
    assert "outbox" not in {thread.name for thread in threading.enumerate()}
    assert not {"outbox.db-wal", "outbox.db-shm"} & set(os.listdir(path.parent))
    acquire(path)
    release(path)


def test_openers_may_live_on_different_event_loops(tmp_path: Path) -> None:
    async def append(outbox: Outbox) -> None:
        await outbox.append([new_item()])

    with asyncio.Runner() as one, asyncio.Runner() as two:
        first = one.run(open_outbox(tmp_path))
        second = two.run(open_outbox(tmp_path))
        one.run(append(first))
        assert two.run(names(second)) == ["a"]
        one.run(first.close())
        two.run(second.close())


async def test_rows_that_somebody_has_taken_are_unaccounted_for(outbox: Outbox, path: Path) -> None:
    await outbox.append([new_item() for _ in range(5)])
    lease = await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.settle(lease, {lease.items[0].seq: Refused("no")})
    assert await outbox.unaccounted() == {CAPI: 0}
    with contextlib.closing(apsw.Connection(str(path))) as db:
        db.execute("DELETE FROM outbox WHERE seq < 4; DELETE FROM dead")
    assert await outbox.unaccounted() == {CAPI: 3}
