"""A file that the disk has damaged never stops the gateway: what can be read of it is salvaged, nothing is made up."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reliability.forms import rounds

from pixeltwin.delivery.outbox import REPEATABLE, Appended, Delivered, NewItem, Outbox, Refused, Tally
from pixeltwin.outboxes import sqlite
from pixeltwin.outboxes.sqlite.file import VERSION
from pixeltwin.outboxes.sqlite.marks import Mark, write_mark

CAPI: Final = "conversions_api"
ITEMS: Final = 200
LETTERS: Final = 20
DELIVERED: Final = 20
PAGE: Final = 4096
ON_A_PAGE: Final = 4  # rows of this size at most
BEGAN: Final = 1_800_000_000.0


def item_of(number: int) -> NewItem:
    """An item whose every part tells its number."""
    name = b"%04d" % number
    return NewItem(
        destination=CAPI,
        pixel_id=f"{number % 3}",
        key=b"key " + name,
        payload=name * 300,
        subject=b"subject " + name,
        deadline=BEGAN + 7 * 86_400,
    )


ORIGINALS: Final = {item_of(number).payload: item_of(number) for number in range(ITEMS + LETTERS + DELIVERED)}


async def open_outbox(folder: Path) -> Outbox:
    return await sqlite.open_outbox(sqlite.Settings(), base=folder, clock=lambda: BEGAN)


async def fill(folder: Path) -> Outbox:
    """Of the items, the first are delivered, the next are letters, the others wait."""
    outbox = await open_outbox(folder)
    for item in ORIGINALS.values():  # a commit each, so that the log has many
        await outbox.append([item])
    lease = await outbox.lease(CAPI, limit=1000, seconds=60)
    ends = sorted(lease.items, key=lambda item: item.payload)[: DELIVERED + LETTERS]
    delivered = {item.seq: Delivered() for item in ends[:DELIVERED]}
    await outbox.settle(lease, {**{item.seq: Refused("bad") for item in ends}, **delivered})
    return outbox


@dataclass(frozen=True)
class Files:
    """Where copies are taken from: of an outbox that was closed, and of one that was killed."""

    closed: Path
    killed: Path


@pytest.fixture(scope="module")
def files() -> Iterator[Files]:
    async def make() -> None:
        outbox = await fill(found.killed)
        shutil.copytree(found.killed, base / "copy")
        await outbox.close()
        shutil.copytree(found.killed, found.closed)
        shutil.rmtree(found.killed)
        (base / "copy").rename(found.killed)

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        found = Files(base / "closed", base / "killed")
        asyncio.run(make())
        assert (found.killed / "data/outbox.db-wal").stat().st_size > 100 * PAGE
        yield found


@contextlib.contextmanager
def copied(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as new:
        shutil.copytree(folder, new, dirs_exist_ok=True)
        yield Path(new)


def database(folder: Path) -> Path:
    return folder / "data" / "outbox.db"


def aside(folder: Path) -> list[Path]:
    """The damaged files that were put aside, without their logs."""
    found = database(folder).parent.glob("outbox.db.damaged-*Z-*")
    return [path for path in found if not path.name.endswith(("-wal", "-shm"))]


@dataclass(frozen=True)
class Found:
    items: list[NewItem]
    letters: int
    tally: Tally


async def survey(folder: Path) -> Found:
    """What comes out of the outbox, after a fresh event has passed."""
    outbox = await open_outbox(folder)
    fresh = NewItem(destination="pixel_relay", pixel_id="1", key=None, payload=b"fresh")
    assert await outbox.append([fresh]) == [Appended.ACCEPTED]
    (passed,) = (lease := await outbox.lease("pixel_relay", limit=9, seconds=60)).items
    assert await outbox.settle(lease, {passed.seq: Delivered()}) == 1
    items = [item for _ in range(3) for item in (await outbox.lease(CAPI, limit=1000, seconds=60)).items]
    letters = await outbox.letters(limit=1000)
    assert all(item.pixel_id == ORIGINALS[item.payload].pixel_id for item in items)
    assert len({item.payload for item in items}) == len(items)
    tally = (await outbox.tally()).get(CAPI, Tally())
    await outbox.close()
    return Found([ORIGINALS[item.payload] for item in items], len(letters), tally)


def survey_twice(folder: Path) -> Found:
    """Open it as it is, then once more: no fault may come back."""
    found = asyncio.run(survey(folder))
    put_aside = aside(folder)
    asyncio.run(survey(folder))
    assert aside(folder) == put_aside
    return found


def rows(folder: Path, table: str) -> int:
    with contextlib.closing(apsw.Connection(str(database(folder)))) as db:
        ((number,),) = db.execute(f"SELECT count(*) FROM {table} NOT INDEXED WHERE destination = ?", (CAPI,))  # noqa: S608
        return int(number)


def assert_conserved(folder: Path) -> None:
    tally = asyncio.run(_tally(folder))
    ended = tally.delivered + tally.dropped + tally.dead + tally.expired + tally.purged + tally.lost
    assert tally.accepted + tally.requeued == ended + rows(folder, "outbox")
    assert tally.dead + tally.expired == tally.requeued + tally.discarded + rows(folder, "dead")


async def _tally(folder: Path) -> Tally:
    outbox = await open_outbox(folder)
    tally = (await outbox.tally()).get(CAPI, Tally())
    await outbox.close()
    return tally


# Named faults


def overwrite(at: int, what: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("rb+") as file:
            file.seek(at)
            file.write(what)

    return damage


def truncate(size: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with path.open("rb+") as file:
            file.truncate(size)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        overwrite(0, b"garbage " * 12),
        overwrite(0, b"garbage " * 512),
        overwrite(16, b"\x20\x00"),
        overwrite(18, b"\7\7"),
        overwrite(56, b"\0\0\0\2"),
        overwrite(60, b"\0\0\0\x63"),
        overwrite(60, b"\0\0\0\1"),
    ],
    ids=["header", "first page", "page size", "format", "encoding", "newer schema", "older schema"],
)
def test_nothing_is_lost_when_the_first_page_is_damaged(files: Files, damage: Callable[[Path], None]) -> None:
    with copied(files.closed) as folder:
        damage(database(folder))
        found = survey_twice(folder)
        assert (len(found.items), found.letters) == (ITEMS, LETTERS)
        assert found.tally in (
            Tally(accepted=len(ORIGINALS), delivered=DELIVERED, dead=LETTERS),
            Tally(accepted=ITEMS + LETTERS, dead=LETTERS),  # the tallies' own page was not found
        )
        assert len(aside(folder)) == 1
        assert_conserved(folder)


def test_salvaged_items_expire_while_meta_would_know_a_repeat(files: Files) -> None:
    """The log may have lost its end, and with it that they were delivered."""
    with copied(files.closed) as folder:
        overwrite(0, bytes(100))(database(folder))
        asyncio.run(survey(folder))
        with contextlib.closing(apsw.Connection(str(database(folder)))) as db:
            assert list(db.execute("SELECT DISTINCT deadline FROM outbox")) == [(BEGAN + REPEATABLE,)]


def test_what_was_salvaged_is_still_no_news(files: Files) -> None:
    """Keys of what waits, of letters and of what was delivered are remembered."""

    async def repeat(folder: Path) -> list[Appended]:
        outbox = await open_outbox(folder)
        answers = await outbox.append(list(ORIGINALS.values()))
        await outbox.close()
        return answers

    with copied(files.closed) as folder:
        overwrite(0, bytes(100))(database(folder))
        assert set(asyncio.run(repeat(folder))) == {Appended.DUPLICATE}


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_truncated_file_gives_back_what_is_left_of_it(files: Files, part: float) -> None:
    with copied(files.closed) as folder:
        path = database(folder)
        left = path.read_bytes()[: int(path.stat().st_size * part)]
        truncate(len(left))(path)
        found = survey_twice(folder)
        whole = sum(payload in left for payload in ORIGINALS)
        assert len(found.items) + found.letters >= whole * 0.8 - DELIVERED
        assert_conserved(folder)


def test_a_damaged_page_costs_its_own_rows_only_and_these_are_counted(files: Files) -> None:
    """In a file that was closed nothing is looked for; damage is met in the middle of the work."""
    with copied(files.closed) as folder:
        path = database(folder)
        at = path.read_bytes().index(b"0100" * 300) // PAGE * PAGE
        overwrite(at, b"\xff" * PAGE)(path)
        found = survey_twice(folder)
        assert 1 <= ITEMS - len(found.items) == found.tally.lost <= ON_A_PAGE
        assert found.letters == LETTERS
        assert_conserved(folder)


def test_leases_outlive_a_salvage_in_the_middle_of_the_work(files: Files) -> None:
    async def work(folder: Path) -> None:
        outbox = await open_outbox(folder)
        first = await outbox.lease(CAPI, limit=10, seconds=60)
        at = database(folder).read_bytes().index(b"0100" * 300) // PAGE * PAGE
        overwrite(at, b"\xff" * PAGE)(database(folder))
        await outbox._writer.do(lambda store: store._db.release_memory())  # SQLite has read this page at the opening
        rest = await outbox.lease(CAPI, limit=1000, seconds=60)
        assert len(aside(folder)) == 1
        assert not {item.seq for item in first.items} & {item.seq for item in rest.items}
        assert await outbox.settle(first, {item.seq: Delivered() for item in first.items}) == 10
        await outbox.close()

    with copied(files.closed) as folder:
        asyncio.run(work(folder))
        assert_conserved(folder)


@pytest.mark.parametrize("damage", [truncate(0), truncate(50 * PAGE + 100), overwrite(0, b"\xa5" * PAGE), Path.unlink])
def test_without_its_log_the_file_has_what_it_had_before(files: Files, damage: Callable[[Path], None]) -> None:
    """What went with it is counted as lost, delivered or not; what is there is whole."""
    with copied(files.killed) as folder:
        damage(database(folder).with_name("outbox.db-wal"))
        tally = survey_twice(folder).tally
        assert tally.accepted == len(ORIGINALS)
        assert tally.lost > 0
        assert_conserved(folder)


def test_without_its_log_nothing_is_sent_that_may_have_been_sent_too_long_ago(tmp_path: Path) -> None:
    """What the file says of an item may be older than its delivery, and Meta knows a repeat for two days."""

    async def work() -> None:
        outbox = await open_outbox(tmp_path / "first")
        await outbox.append([item_of(number) for number in range(40)])
        await outbox.close()
        outbox = await open_outbox(tmp_path / "first")
        await outbox.append([item_of(number) for number in range(40, 50)])
        shutil.copytree(tmp_path / "first", killed)
        await outbox.close()

    killed = tmp_path / "killed"
    asyncio.run(work())
    database(killed).with_name("outbox.db-wal").write_bytes(b"")
    found = survey_twice(killed)
    assert (found.tally.accepted, found.tally.lost, len(found.items)) == (50, 10, 40)
    with contextlib.closing(apsw.Connection(str(database(killed)))) as db:
        waiting = list(db.execute("SELECT deadline - appended_at FROM outbox"))
    assert len(waiting) == 40
    assert all(seconds <= REPEATABLE for (seconds,) in waiting)
    assert_conserved(killed)


def test_a_salvage_that_was_cut_short_is_gone_on_with(files: Files) -> None:
    """The new file is complete before the old one is moved."""
    with copied(files.closed) as folder, copied(files.closed) as other:
        path = database(folder)
        path.with_name("outbox.db.salvaging").write_bytes(b"half of one")
        database(other).rename(path.with_name("outbox.db.salvaged"))
        path.write_bytes(b"damaged")
        path.with_name("outbox.db-wal").write_bytes(b"a log that must not meet the new file")
        assert len(survey_twice(folder).items) == ITEMS
        (damaged,) = aside(folder)
        assert damaged.read_bytes() == b"damaged"
        assert Path(f"{damaged}-wal").exists()


def test_damaged_files_are_deleted_after_a_week(files: Files) -> None:
    """They are personal data."""
    with copied(files.closed) as folder:
        overwrite(0, bytes(100))(database(folder))
        asyncio.run(survey(folder))
        (damaged,) = aside(folder)
        os.utime(damaged, (0, 0))
        asyncio.run(survey(folder))
        assert aside(folder) == []


def test_an_outbox_that_was_deleted_begins_anew(files: Files) -> None:
    with copied(files.closed) as folder:
        database(folder).unlink()
        assert survey_twice(folder).tally == Tally()
        assert aside(folder) == []


def test_a_killed_outbox_is_whole(files: Files) -> None:
    """So that the tests above lose by their faults alone."""
    with copied(files.killed) as folder:
        found = survey_twice(folder)
        assert found.tally == Tally(accepted=len(ORIGINALS), delivered=DELIVERED, dead=LETTERS)
        assert len(found.items) == ITEMS
        assert aside(folder) == []


def test_a_file_with_a_mark_of_another_version_is_no_damage(tmp_path: Path) -> None:
    """A crash between a migration and its mark leaves a mark that is older than the file."""
    asyncio.run(_tally(tmp_path))
    with (tmp_path / "data/outbox.db.lock").open("rb+") as lock:
        write_mark(lock.fileno(), Mark(VERSION - 1, is_open=True))
    asyncio.run(_tally(tmp_path))
    assert aside(tmp_path) == []


# Any fault


FAULTY_FILES: Final = rounds(30, 1_000)
PLACES = st.floats(0, 1, exclude_max=True)
BYTES = st.binary(min_size=1, max_size=8) | st.sampled_from([bytes(PAGE), b"\xff" * PAGE, b"\xa5" * 3 * PAGE])
FAULTS = st.lists(st.tuples(PLACES, BYTES | st.none()), min_size=1, max_size=4)  # None: the file ends there


def spoil(path: Path, faults: list[tuple[float, bytes | None]]) -> None:
    for place, what in faults:
        at = int(path.stat().st_size * place)
        (truncate(at) if what is None else overwrite(at, what))(path)


@pytest.mark.timeout(rounds(120, 3600))
@settings(max_examples=FAULTY_FILES, deadline=None)
@given(faults=FAULTS, killed=st.booleans(), suffix=st.sampled_from(["", "", "-wal"]))
def test_whatever_the_disk_does_nothing_is_invented_and_no_crash_comes_back(
    files: Files, faults: list[tuple[float, bytes | None]], killed: bool, suffix: str
) -> None:
    with copied(files.killed if killed or suffix else files.closed) as folder:
        spoil(Path(f"{database(folder)}{suffix}"), faults)
        survey_twice(folder)
        if aside(folder):
            assert_conserved(folder)
