"""The file: where it lies, who may hold it, what SQLite is told about it, and its tables."""

import fcntl
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import apsw

from pixeltwin.delivery.outbox import REPEATABLE
from pixeltwin.outboxes.sqlite.checks import DamagedError, check, check_header, checksum_of, is_damage
from pixeltwin.outboxes.sqlite.flights import Flights
from pixeltwin.outboxes.sqlite.marks import Mark
from pixeltwin.outboxes.sqlite.tallies import COUNT
from pixeltwin.sqlite_file import open_private, os_errors
from pixeltwin.telemetry import OUTBOX_FAULTS, log

PRAGMAS: Final = (
    ("synchronous", "full"),  # until an opener asks for less
    ("busy_timeout", 5000),  # milliseconds; somebody may look into the file with the sqlite3 shell
    ("temp_store", "memory"),  # leases are forgotten with the connection, on purpose
    ("secure_delete", "on"),  # delivered hits are personal data: overwrite them; beside the fsyncs it costs nothing
    ("journal_size_limit", 64 << 20),  # bytes; give the disk back after a long outage's log
)

# A script a version. A new file is made by all of them, an older one gets those it lacks, so both end up alike.
SCHEMA: Final = (
    """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: a late settle cannot meet another item
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
CREATE INDEX seen_at ON seen (at);  -- finds what may be forgotten without a scan

CREATE TABLE dead (
    seq INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    payload BLOB NOT NULL,
    reason TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX dead_destination ON dead (destination);
""",
    # A release and a purge find a browser's rows without a scan, and rows about no browser cost them nothing.
    """
ALTER TABLE outbox ADD COLUMN subject BLOB;
ALTER TABLE outbox ADD COLUMN held INTEGER NOT NULL DEFAULT 0;  -- 1: until a release; then `due` is how long at most
CREATE INDEX outbox_subject ON outbox (pixel_id, subject) WHERE subject IS NOT NULL;
CREATE INDEX outbox_held ON outbox (destination, held) WHERE held;  -- `held` once more: it is counted from here alone

ALTER TABLE dead ADD COLUMN subject BLOB;
CREATE INDEX dead_subject ON dead (pixel_id, subject) WHERE subject IS NOT NULL;
""",
    # Nothing that is done all the time scans a table: a lease, a wait, the counts and the pages find their rows here.
    """
ALTER TABLE outbox ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN deadline REAL NOT NULL DEFAULT 9e999;
ALTER TABLE outbox ADD COLUMN checksum INTEGER;  -- none: written before there were any
DROP INDEX outbox_due;
CREATE INDEX outbox_lane ON outbox (destination, pixel_id, priority, due, seq, deadline);  -- late ones skipped unread
CREATE INDEX outbox_pixel ON outbox (destination, pixel_id, held);
CREATE INDEX outbox_deadline ON outbox (deadline) WHERE deadline < 9e999;

ALTER TABLE dead ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE dead ADD COLUMN is_expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN key BLOB;
ALTER TABLE dead ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN appended_at REAL NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead ADD COLUMN deadline REAL NOT NULL DEFAULT 9e999;
ALTER TABLE dead ADD COLUMN checksum INTEGER;
UPDATE dead SET appended_at = at, deadline = at + 171900;  -- 47 h 45 min: later it might count twice
DROP INDEX dead_destination;
CREATE INDEX dead_pixel ON dead (destination, pixel_id);
CREATE INDEX dead_at ON dead (at);

CREATE TABLE park (
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    until REAL NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (destination, pixel_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tally (
    destination TEXT NOT NULL,
    what TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (destination, what)
) STRICT, WITHOUT ROWID;
INSERT INTO tally SELECT destination, 'dead', count(*) FROM dead GROUP BY destination;
INSERT INTO tally SELECT destination, 'accepted', count(*)
    FROM (SELECT destination FROM outbox UNION ALL SELECT destination FROM dead) GROUP BY destination;
""",
    # The checksum was the payload's alone; what the disk had changed by then stays known as changed.
    """
UPDATE outbox SET checksum = checksum_of(destination, pixel_id, key, subject, payload)
    WHERE checksum IS NULL OR checksum = checksum_of_payload(payload);
UPDATE dead SET checksum = checksum_of(destination, pixel_id, key, subject, payload)
    WHERE checksum IS NULL OR checksum = checksum_of_payload(payload);
""",
    """
CREATE TABLE flights (
    token TEXT PRIMARY KEY,
    began REAL NOT NULL,
    ends_at REAL NOT NULL,
    seqs TEXT NOT NULL  -- a JSON array
) STRICT, WITHOUT ROWID;
""",
    # Each item changed a page of its own in every index that is in no order of time.
    """
DROP INDEX outbox_subject;
DROP INDEX seen_at;
CREATE TABLE lately (  -- keys that `seen` lacks
    seq INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    pixel_id TEXT NOT NULL,
    key BLOB NOT NULL,
    at REAL NOT NULL
) STRICT;
""",
)
VERSION: Final = len(SCHEMA)
CHECKED_FROM: Final = next(version for version, script in enumerate(SCHEMA, 1) if "checksum_of(" in script)

ACCEPTED: Final = "SELECT destination, number FROM tally WHERE what = 'accepted'"
# Meta would still know a repeat, counted from the first moment that there can have been a delivery.
HURRY: Final = "UPDATE outbox SET deadline = min(deadline, appended_at + ?)"

# Only one process can hold the file, so leases need no disk: they live and die with the connection, and a
# transaction that is rolled back takes its leases along. That there were any is told by `flights`.
LEASES: Final = """
CREATE TEMP TABLE leased (
    seq INTEGER PRIMARY KEY,
    destination TEXT NOT NULL,
    token TEXT NOT NULL,
    holder TEXT NOT NULL,
    ends_at REAL NOT NULL
) STRICT;
CREATE INDEX temp.leased_token ON leased (token);
"""


def lock(path: Path) -> int:
    """Hold `<path>.lock` until the returned descriptor is closed, or the process ends in whatever way.

    Raises OSError when another process holds it.
    """
    beside = path.with_name(path.name + ".lock")
    descriptor = os.open(beside, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OSError(
            f"the outbox {path} is in use: another process holds {beside}; "
            "stop that process, or give this one an outbox.path of its own"
        ) from error
    return descriptor


def connect(path: Path, mark: Mark | None = None) -> apsw.Connection:
    """Open the file, created readable by its owner only. Raises OSError, the file untouched, where it is not ours.

    With the mark of a file of ours, raises DamagedError where it is one no longer; one that was not closed is checked.
    """
    try:
        with os_errors(path):
            return _connect(path, mark)
    except OSError as error:
        if mark and is_damage(error.__cause__):
            raise DamagedError(*error.args) from error.__cause__
        raise


def _connect(path: Path, mark: Mark | None) -> apsw.Connection:
    if mark:
        check_header(path)  # before SQLite looks at it, which deletes the log of an empty file
    with ExitStack() as undo:
        db = open_private(path)
        undo.callback(db.close)
        log_is_gone = not path.with_name(path.name + "-wal").exists()
        _prepare(db, path, mark)
        if mark and mark.is_open:
            check(db)
            _miss(db, path, _missing(db, mark), log_is_gone=log_is_gone)
        undo.pop_all()
        return db


def accepted(db: apsw.Connection) -> dict[str, int]:
    """How many items were accepted so far, by destination."""
    return dict(db.execute(ACCEPTED))


def _missing(db: apsw.Connection, mark: Mark) -> dict[str, int]:
    """How much of what the mark says was accepted the file knows nothing of."""
    known = accepted(db)
    return {name: number - known.get(name, 0) for name, number in mark.accepted.items() if number > known.get(name, 0)}


def _miss(db: apsw.Connection, path: Path, missing: Mapping[str, int], *, log_is_gone: bool) -> None:
    """Count what went with the log's end as lost, though some of it may have been delivered before.

    Then the file may say that something waits which was delivered: a repeat must not come too late.
    """
    if not (missing or log_is_gone):
        return
    lost = sum(missing.values())
    log.error("the outbox has lost what was written last", outbox=str(path), lost_items=lost)
    OUTBOX_FAULTS.labels(str(path), "forgot").inc()
    with db:
        for name, number in missing.items():
            db.executemany(COUNT, [(name, what, number) for what in ("accepted", "lost")])
        db.execute(HURRY, (REPEATABLE,))


def _prepare(db: apsw.Connection, path: Path, mark: Mark | None) -> None:
    version = db.pragma("user_version")
    if mark and not mark.version <= version <= max(mark.version, VERSION):
        raise apsw.CorruptError(f"schema {version} instead of {mark.version}")
    if version > VERSION:
        raise OSError(
            f"the outbox {path} was written by a newer pixeltwin (schema {version}, this one knows {VERSION}); "
            "upgrade pixeltwin, or set outbox.path to another file"
        )
    if db.pragma("journal_mode", "wal") != "wal":
        raise OSError(f"the outbox {path} lies on a file system without shared memory for SQLite's WAL; move it")
    for name, value in PRAGMAS:
        db.pragma(name, value)
    if version < VERSION:
        _migrate(db, version)
    db.execute(LEASES)
    with db:
        Flights(db).doubt()
    sync_folder(path.parent)


def _migrate(db: apsw.Connection, version: int) -> None:
    db.create_scalar_function("checksum_of", checksum_of, 5, deterministic=True)  # type: ignore[arg-type]
    db.create_scalar_function("checksum_of_payload", zlib.crc32, 1, deterministic=True)  # type: ignore[arg-type]
    with db:
        for script in SCHEMA[version:]:
            db.execute(script)
        db.pragma("user_version", VERSION)
    # Until the first checkpoint the tables exist in the log only; put them into the file before anybody relies on it.
    db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def sync_folder(folder: Path) -> None:
    """Make the names of new files as durable as their contents will be."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
