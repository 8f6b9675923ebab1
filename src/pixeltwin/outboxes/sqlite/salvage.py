"""A damaged file is put aside, and what can still be read of it goes into a new one.

Rows are read in the order of their `seq`, past what cannot be read, and taken where their checksum holds: nothing is
made up, and what was altered is lost. The first page, without which SQLite reads nothing at all, can be replaced, since
the tables begin on the same pages in every file of ours. What is missing by the old tallies is tallied as lost.

The new file is complete before the old one is moved: the next opening goes on where a crash has stopped this one.
"""

import os
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass, fields, replace
from itertools import batched
from pathlib import Path
from typing import Any, Final

import apsw

from pixeltwin.delivery.outbox import KEEP_LETTERS, REPEATABLE, Tally
from pixeltwin.outboxes.sqlite.checks import checksum_of, has_types
from pixeltwin.outboxes.sqlite.file import CHECKED_FROM, HURRY, connect, sync_folder

BESIDE: Final = ("-wal", "-shm", "")  # the log first: it must never meet another file
PATIENCE: Final = 10_000  # rows to look for one by one in what cannot be read; then in growing steps
END: Final = 1 << 62  # above every seq
LEAP: Final = 1_000_000  # no seq of a lost item is given again: somebody may hold a lease on it
LEAVE_FREE: Final = 8 << 20  # bytes of the disk; or two thirds of what is free, where that is less: ends take room, too
AT_ONCE: Final = 20  # rows in a transaction: few, as it may take the last room of a disk

COMMON: Final = "seq, destination, pixel_id, key, subject, payload, checksum, held, priority, deadline, attempts"
COLUMNS: Final = {
    "outbox": f"{COMMON}, appended_at, due, last_reason",
    "dead": f"{COMMON}, appended_at, reason, code, at, is_expired",
}
KEY: Final = "destination, pixel_id, key, at"
COUNTED: Final = "destination, what, number"
IN_FIRST_PAGE: Final = ("outbox", "dead", "seen", "lately", "tally", "sqlite_sequence")
UNLIKE: Final = b"\0\0\0\1"  # as the change counter: SQLite takes the file's length from the file then

REMEMBER: Final = """
INSERT OR IGNORE INTO seen SELECT destination, pixel_id, key, appended_at FROM {} WHERE key IS NOT NULL
"""
COUNT: Final = "SELECT destination, count(*) FROM {} GROUP BY destination"

# Anything that a row of a damaged file can do to its reader.
FAULTS: Final = (apsw.Error, UnicodeDecodeError, OverflowError)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What a new file has of an old one: items, letters, and by how many the old one had more."""

    aside: Path
    items: int
    letters: int
    lost_items: int
    lost_letters: int


def salvage(path: Path, version: int) -> Salvaged:
    """Put the file aside, with a new one in its place. `version` was its schema's. Raises OSError.

    On a full disk the new file has what there was room for.
    """
    new = _beside(path, ".salvaging")
    try:
        counted = _fill(new, path, checked=version >= CHECKED_FROM)
        os.rename(new, _beside(path, ".salvaged"))
    finally:
        for suffix in BESIDE:
            Path(f"{new}{suffix}").unlink(missing_ok=True)
    sync_folder(path.parent)
    return replace(counted, aside=finish(path) or path)


def _fill(new: Path, path: Path, *, checked: bool) -> Salvaged:
    """Make the new file from what can be read of the old one."""
    new.unlink(missing_ok=True)
    with closing(connect(new)) as db:
        db.pragma("journal_mode", "memory")  # a log would take room
        db.pragma("synchronous", "off")  # nobody relies on the file before it is complete
        with suppress(apsw.FullError), _opened(path) as old:
            _copy(old, db, min(_free(new) * 2 // 3, LEAVE_FREE), checked=checked)
        counted = _count(path, db)
    with new.open("rb+") as file:
        os.fsync(file.fileno())
    return counted


def finish(path: Path) -> Path | None:
    """Let a file that was salvaged take its place; where the damaged one is now, None when there is none."""
    salvaged = _beside(path, ".salvaged")
    if not salvaged.exists():
        return None
    aside = _beside(path, f".damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{time.time_ns() % 10**9:09}")
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    os.rename(salvaged, path)
    sync_folder(path.parent)
    return aside


def forget(path: Path, now: float) -> None:
    """Delete damaged files that are older than letters get: they are personal data."""
    for old in path.parent.glob(f"{path.name}.damaged-*"):
        if old.stat().st_mtime < now - KEEP_LETTERS:
            old.unlink()


def _free(path: Path) -> int:
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


# Reading what is damaged


def _opened(path: Path) -> closing[apsw.Connection]:
    """The damaged file, with its first page replaced if need be; that one is kept beside it."""
    with suppress(*FAULTS):
        return closing(_connect(path))
    with path.open("rb+") as file:
        page = _first_page()
        _beside(path, ".damaged-page1").write_bytes(file.read(len(page)))
        file.seek(0)
        file.write(page)
    with suppress(*FAULTS):
        return closing(_connect(path))
    return closing(apsw.Connection(":memory:"))


def _connect(path: Path) -> apsw.Connection:
    """Its log is read, and left as it is. Raises apsw.Error where the tables are not to be found."""
    db = apsw.Connection(str(path))
    with ExitStack() as undo:
        undo.callback(db.close)
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.pragma("cell_size_check", True)
        for table in ("outbox", "dead"):
            db.execute(f"{_reading(table)} LIMIT 0", (END,))  # nothing is read but the schema
        undo.pop_all()
        return db


def _first_page() -> bytes:
    """A first page that says where the tables begin."""
    with tempfile.TemporaryDirectory() as folder:
        with closing(connect(Path(folder, "like.db"))) as like:
            known = {name: row for name, *row in like.execute("SELECT name, rootpage, sql FROM sqlite_schema")}
        with closing(apsw.Connection(f"{folder}/page.db")) as db:
            db.pragma("page_size", 4096)
            db.pragma("writable_schema", True)
            for name in IN_FIRST_PAGE:
                root, sql = known[name]
                row = (name, name, root, sql.replace("AUTOINCREMENT", ""))
                db.execute(
                    "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('table', ?, ?, ?, ?)", row
                )
        page = bytearray(Path(folder, "page.db").read_bytes()[:4096])
    page[18:20] = b"\2\2"  # there may be a log
    page[24:28] = UNLIKE
    page[92:96] = bytes(4)
    return bytes(page)


def _reading(table: str) -> str:
    return f"SELECT {COLUMNS[table]} FROM {table} NOT INDEXED WHERE seq > ? ORDER BY seq"  # noqa: S608 - constants


def _rows(db: apsw.Connection, table: str, last: int) -> Iterator[tuple[Any, ...]]:
    """The rows that can be read; one whose `seq` is out of order or beyond the last one is none."""
    after, misses = 0, 0
    while after < last:
        try:
            for row in db.execute(_reading(table), (after,)):
                if after < row[0] <= last:
                    after, misses = row[0], 0
                    yield row
            return
        except FAULTS:
            misses += 1
            after += 1 << max(0, min(misses - PATIENCE, 62))


def _last(db: apsw.Connection) -> int:
    """The highest `seq` that was ever given."""
    with suppress(*FAULTS):
        for (seq,) in db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"):
            if isinstance(seq, int) and 0 < seq < END:
                return seq
    return END


def _both_ways(db: apsw.Connection, table: str, columns: str, order: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The rows of a table in the order that it has: from its beginning, and where that ends early from its end too."""
    for way in ("ASC", "DESC"):
        ordered = ", ".join(f"{column} {way}" for column in order)
        with suppress(*FAULTS):
            yield from db.execute(f"SELECT {columns} FROM {table} ORDER BY {ordered}")  # noqa: S608 - constants
            return


# Writing what was read


def _copy(old: apsw.Connection, db: apsw.Connection, floor: int, *, checked: bool) -> None:
    """Copy what can be trusted, the counts and what waits first. Raises apsw.FullError, with some copied."""
    last = _last(old)
    counts = filter(_is_count, _both_ways(old, "tally", COUNTED, ("destination", "what")))
    _insert(db, floor, "tally", COUNTED, counts)
    try:
        for table in ("outbox", "dead"):
            found = (row for row in _rows(old, table, last) if _is_whole(row, checked=checked))
            _insert(db, floor, table, COLUMNS[table], found)
    finally:
        db.execute(HURRY, (REPEATABLE,))  # the log may lack its end, and say that something waits which was delivered
        db.execute("DELETE FROM dead WHERE seq IN (SELECT seq FROM outbox)")
        _leap(db, last)
    for table, order in (("lately", ("seq",)), ("seen", ("destination", "pixel_id", "key"))):  # what came last, first
        _insert(db, floor, "seen", KEY, _both_ways(old, table, KEY, order))
    for table in ("outbox", "dead"):
        db.execute(REMEMBER.format(table))


def _insert(db: apsw.Connection, floor: int, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert the rows that the table can hold."""
    places = ", ".join("?" * len(columns.split(",")))
    statement = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - constants
    for some in batched(rows, AT_ONCE, strict=False):
        if _free(Path(db.filename)) < floor:
            raise apsw.FullError("what is left of the disk is needed to go on working")
        with db:
            for row in some:
                with suppress(apsw.ConstraintError):
                    db.execute(statement, row)


def _is_whole(row: tuple[Any, ...], *, checked: bool) -> bool:
    """Whether the row is as it was written, as far as its checksum tells; older files have but the payload's."""
    (_, *given, checksum), payload = row[:7], row[5]
    if not has_types(*given):
        return False
    return checksum == checksum_of(*given) or (not checked and checksum in (None, zlib.crc32(payload)))


def _is_count(row: tuple[Any, ...]) -> bool:
    _, what, number = row
    return what in {field.name for field in fields(Tally)} and isinstance(number, int) and 0 <= number < END


def _leap(db: apsw.Connection, last: int) -> None:
    (highest,) = next(
        db.execute("SELECT ifnull(max(seq), 0) FROM (SELECT seq FROM outbox UNION ALL SELECT seq FROM dead)")
    )
    db.execute("DELETE FROM sqlite_sequence")
    given = highest if last == END else last
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (given + LEAP,))


def _count(path: Path, db: apsw.Connection) -> Salvaged:
    """Make the tallies agree with what there is."""
    there = {table: Counter(dict(db.execute(COUNT.format(table)))) for table in ("outbox", "dead")}
    counts: dict[str, dict[str, int]] = {name: {} for name in (*there["outbox"], *there["dead"])}
    for destination, what, number in db.execute("SELECT destination, what, number FROM tally"):
        counts.setdefault(destination, {})[what] = number
    lost_items = lost_letters = 0
    for name, theirs in counts.items():
        before = Tally(**theirs)
        items, dead = before.waiting - there["outbox"][name], before.letters - there["dead"][name]
        lost_items, lost_letters = lost_items + max(0, items), lost_letters + max(0, dead)
        _write(db, name, _agreeing(before, items, dead))
    return Salvaged(path, there["outbox"].total(), there["dead"].total(), lost_items, lost_letters)


def _agreeing(tally: Tally, items: int, dead: int) -> Tally:
    """The tally when so many items and letters less are there than it says; less than none: more."""
    return replace(
        tally,
        accepted=tally.accepted + max(0, -items) + max(0, -dead),
        dead=tally.dead + max(0, -dead),
        lost=tally.lost + max(0, items),
        discarded=tally.discarded + max(0, dead),
    )


def _write(db: apsw.Connection, destination: str, tally: Tally) -> None:
    numbers: Mapping[str, int] = asdict(tally)
    rows = [(destination, what, number) for what, number in numbers.items() if number]
    db.executemany("INSERT OR REPLACE INTO tally (destination, what, number) VALUES (?, ?, ?)", rows)
