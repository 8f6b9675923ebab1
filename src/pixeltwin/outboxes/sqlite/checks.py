"""How damage is noticed: in the header, in the pages, in a row, and in what SQLite raises."""

import zlib
from pathlib import Path
from typing import Any, Final

import apsw

# What the header of every file of ours has in common, by offset: the format's name and the page size, how it is laid
# out, the schema's format, the text encoding (https://www.sqlite.org/fileformat.html#the_database_header).
HEADER: Final = {0: b"SQLite format 3\0\x10\x00", 20: b"\0\x40\x20\x20", 44: b"\0\0\0\4", 56: b"\0\0\0\1"}
DAMAGE: Final = (apsw.CorruptError, apsw.NotADBError, UnicodeDecodeError)
UNREADABLE: Final = (apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS)


class DamagedError(OSError):
    """The file is not as it was written."""


def is_damage(error: BaseException | None) -> bool:
    """Whether what SQLite raised says that the file is not what was written, or cannot be read."""
    return isinstance(error, DAMAGE) or (
        isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in UNREADABLE
    )


def check_header(path: Path) -> None:
    """Raise apsw.NotADBError where the file's header is none of ours."""
    with path.open("rb") as file:
        header = file.read(100)
    if any(header[at : at + len(wanted)] != wanted for at, wanted in HEADER.items()):
        raise apsw.NotADBError("file is not a database: its header is damaged")


def check(db: apsw.Connection) -> None:
    """Look at every page, some seconds for a million items. Raises apsw.CorruptError where one is damaged."""
    answers = [str(answer) for (answer,) in db.execute("PRAGMA quick_check(1)")]
    if answers != ["ok"]:
        raise apsw.CorruptError(answers[0])


def has_types(destination: Any, pixel_id: Any, key: Any, subject: Any, payload: Any) -> bool:
    """Whether these can be a row's at all: SQLite checks what is written, not what it reads."""
    is_text = isinstance(destination, str) and isinstance(pixel_id, str)
    is_blob = (key is None or isinstance(key, bytes)) and (subject is None or isinstance(subject, bytes))
    return is_text and is_blob and isinstance(payload, bytes)


def checksum_of(destination: str, pixel_id: str, key: bytes | None, subject: bytes | None, payload: bytes) -> int:
    """The checksum of a row: of what must not change while it lies on the disk."""
    identity = b"\0".join((destination.encode(), pixel_id.encode(), key or b"", subject or b""))
    return zlib.crc32(payload, zlib.crc32(identity))
