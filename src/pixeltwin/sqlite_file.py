"""What every SQLite file of ours has in common: it is its owner's alone, and what SQLite raises is an OSError."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw


def open_private(path: Path) -> apsw.Connection:
    """A connection to the file, which is made with its folder where there is none. Raises OSError."""
    make_private_folder(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives its -wal and -shm the same mode
    with os_errors(path):
        return apsw.Connection(str(path))


def make_private_folder(folder: Path) -> None:
    """Make the folder and what is missing above it, for their owner alone, which `parents=True` does not."""
    for missing in reversed([it for it in (folder, *folder.parents) if not it.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def transaction(db: apsw.Connection) -> Iterator[None]:
    """All or nothing. It is for writing from the start, so that nobody else can write between its reads and writes."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # after some errors, a full disk for one, SQLite has rolled back by itself
            db.execute("ROLLBACK")
        raise


@contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Raise what SQLite raises as an OSError with the file's name."""
    try:
        yield
    except apsw.Error as error:
        raise os_error(error, path) from error


def os_error(error: apsw.Error, path: Path) -> OSError:
    """What SQLite raised as an OSError with the file's name."""
    number = errno.ENOSPC if isinstance(error, apsw.FullError) else errno.EIO
    made = OSError(number, f"{type(error).__name__}: {error}", str(path))
    made.__cause__ = error
    return made
