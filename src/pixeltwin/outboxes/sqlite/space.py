"""How much room there is: the bound of the file, what must stay free on its disk, and a ballast for the worst case.

Even to forget a delivered item SQLite has to write first. So beside the file lies a ballast that holds nothing: on a
disk that is full it is given up, which makes room for the ends of what waits, and until there is room for a new ballast
nothing else is taken.
"""

import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from pixeltwin.delivery.shedding import FULL, Gauge
from pixeltwin.telemetry import OUTBOX_FAULTS, log

MAX_SIZE: Final = 4 << 30  # bytes; or half of what the disk has for it, where that is less: a salvage needs as much
KEEP_FREE: Final = 512_000_000  # bytes of the disk; or an eighth of it, where that is less
BALLAST: Final = 64 << 20  # bytes; or a sixteenth of the bound or of half the disk, where that is less
LOOK_EVERY: Final = 1.0  # seconds between looks for room for a new ballast
STRIDE: Final = 256 << 10  # bytes that may be appended between two looks; or 1/256 of the bound, where that is less
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Limits:
    """What an opener asks for, in bytes."""

    max_size: int = MAX_SIZE
    keep_free: int = KEEP_FREE


class Space:
    """The room of one file. Everything but `limit` belongs to the thread that writes. `fill`: what was seen last."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._ballast = path.with_name(path.name + ".ballast")
        self._gauge = Gauge(str(path))
        self._is_spent = False
        self._look_at = 0.0
        self.fill = 0.0
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Keep to these limits from now on."""
        disk = os.statvfs(self._path.parent)
        whole = disk.f_blocks * disk.f_frsize
        self._max_size, self._keep_free = limits.max_size, min(limits.keep_free, whole // 8)
        self.stride = min(STRIDE, limits.max_size // 256)
        self._ballast_size = min(BALLAST, limits.max_size // 16, whole // 32)
        if (bound := self._bound(_size(self._path), self._free())) < limits.max_size:
            log.warning("the outbox has less room than max_size on its disk", outbox=str(self._path), bytes=bound)

    def look(self, db: apsw.Connection) -> float:
        """How full the file is, its open transaction included: from 1 on there is room for nothing."""
        self._replace_ballast()
        self.fill = FULL if self._is_spent else self._measure(db)
        self._gauge.show(self.fill)
        return self.fill

    def _measure(self, db: apsw.Connection) -> float:
        if (free := self._free()) < self._keep_free:
            return FULL
        page, pages, unused = (db.pragma(name) for name in ("page_size", "page_count", "freelist_count"))
        return float((pages - unused) * page / self._bound(pages * page, free))

    def _bound(self, size: int, free: int) -> int:
        """How big a file of that size may get."""
        return max(1, min(self._max_size, (size + free) // 2, size + free - self._keep_free))

    def make_ballast(self) -> None:
        """Lay the ballast down. Where there is no room for it the disk is full."""
        if _size(self._ballast) == self._ballast_size:
            self._is_spent = False
            return
        self._ballast.unlink(missing_ok=True)
        self._is_spent = self._free() < self._keep_free + self._ballast_size or not self._lay_down()

    def give_up_ballast(self) -> bool:
        """Make room on a full disk; False when that was done already."""
        OUTBOX_FAULTS.labels(str(self._path), "full").inc()
        if self._is_spent:
            return False
        log.error("the disk of the outbox is full: nothing is taken until it has room", outbox=str(self._path))
        self._ballast.unlink(missing_ok=True)
        self._is_spent, self._look_at = True, time.monotonic() + LOOK_EVERY
        return True

    def _replace_ballast(self) -> None:
        if self._is_spent and time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY
            self.make_ballast()
            if not self._is_spent:
                log.info("the disk of the outbox has room again", outbox=str(self._path))

    def _lay_down(self) -> bool:
        descriptor = os.open(self._ballast, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._ballast_size)
        except OSError as error:
            self._ballast.unlink(missing_ok=True)
            log.warning("the outbox has no ballast", outbox=str(self._path), error=str(error))
            return error.errno not in NO_ROOM  # a file system that cannot do this has to go without
        finally:
            os.close(descriptor)
        return True

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
