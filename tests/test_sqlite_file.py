"""SQLite files are their owner's alone, and their failures are OSErrors."""

import errno
import stat
from pathlib import Path

import apsw
import pytest

from pixeltwin.sqlite_file import open_private, os_errors, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "a.db"


def numbers(db: apsw.Connection) -> list[int]:
    return [number for (number,) in db.execute("SELECT n FROM numbers")]


def test_the_file_and_its_folder_are_made_for_their_owner(path: Path) -> None:
    open_private(path).execute("CREATE TABLE numbers (n)")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_path_that_cannot_be_a_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=tmp_path.name):
        open_private(tmp_path)


@pytest.mark.parametrize(("error", "number"), [(apsw.FullError("f"), errno.ENOSPC), (apsw.BusyError("b"), errno.EIO)])
def test_what_sqlite_raises_is_an_os_error_with_the_file_s_name(path: Path, error: Exception, number: int) -> None:
    with pytest.raises(OSError, match=type(error).__name__) as caught, os_errors(path):
        raise error
    assert (caught.value.errno, caught.value.filename) == (number, str(path))


def test_a_transaction_is_all_or_nothing(path: Path) -> None:
    db = open_private(path)
    db.execute("CREATE TABLE numbers (n)")
    with transaction(db):
        db.execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(apsw.SQLError, match="nothing"), transaction(db):
        db.execute("INSERT INTO numbers VALUES (2); SELECT nothing")
    assert numbers(db) == [1]


def test_a_full_disk_is_told_as_such_and_undone(path: Path) -> None:
    """SQLite has then rolled back by itself, and a second attempt at it would hide the cause."""
    db = open_private(path)
    db.execute("CREATE TABLE numbers (n)")
    db.pragma("max_page_count", db.pragma("page_count"))
    with pytest.raises(apsw.FullError), transaction(db):
        db.execute("INSERT INTO numbers VALUES (zeroblob(100000))")
    assert numbers(db) == []


def test_nobody_else_writes_between_a_transaction_s_reads_and_writes(path: Path) -> None:
    db, other = open_private(path), open_private(path)
    db.execute("CREATE TABLE numbers (n)")
    with transaction(db):
        assert numbers(db) == []
        with pytest.raises(apsw.BusyError):
            other.execute("INSERT INTO numbers VALUES (1)")
