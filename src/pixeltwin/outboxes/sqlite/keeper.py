"""Keeps the file usable: opens it, and mends what its disk has done to it, in the thread that writes.

After an error of the disk nobody knows what of the last transaction it kept. Nothing is tried again as if nothing had
happened: the file is opened anew and checked, and what its log holds is brought into it and synced, before anything
else is acknowledged. A file that is damaged is salvaged. Leases outlive all that.
"""

import errno
import os
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import Final

import apsw

from pixeltwin.delivery.shedding import FULL
from pixeltwin.outboxes.sqlite.checks import DamagedError, is_damage
from pixeltwin.outboxes.sqlite.file import VERSION, accepted, connect
from pixeltwin.outboxes.sqlite.marks import Mark, Witness, read_mark, write_mark
from pixeltwin.outboxes.sqlite.salvage import Salvaged, finish, forget, salvage
from pixeltwin.outboxes.sqlite.space import Limits, Space
from pixeltwin.outboxes.sqlite.store import LeasedRow, Store
from pixeltwin.sqlite_file import os_error, os_errors
from pixeltwin.telemetry import OUTBOX_FAULTS, log

BETWEEN_SALVAGES: Final = 60.0  # seconds; a disk that spoils files faster than that is beyond help


class Remedy(Enum):
    """What to do about commands that failed together."""

    AGAIN = auto()  # nothing of them was done, and the fault is mended
    ALONE = auto()  # it may be one command's own fault
    NONE = auto()  # the disk failed; nobody knows what it kept


class Keeper:
    """The file behind a store. `trouble` says why it takes no command at present."""

    def __init__(self, path: Path, lock: int, limits: Limits) -> None:
        self.trouble = ""
        self._path = path
        self._lock = lock
        self._mend_at = self._salvage_at = 0.0
        self._leases: list[LeasedRow] = []
        self.space = Space(path, limits)
        self.space.make_ballast()
        self._db = self._open()
        self.store = Store(self._db, self.space, lambda accepted: self.witness.saw(accepted))

    def close(self) -> None:
        """Close the file and free its lock."""
        with suppress(apsw.Error):
            self._db.close()
        if not self.trouble and not self._path.with_name(self._path.name + "-wal").exists():
            write_mark(self._lock, Mark(VERSION, is_open=False))
        os.close(self._lock)

    def refusal(self) -> str | None:
        """Why no item at all is accepted at present."""
        if self.trouble:
            return f"the outbox {self._path} cannot be used: {self.trouble}"
        return f"the outbox {self._path} is full" if self.space.fill >= FULL else None

    def check(self) -> None:
        """Raise OSError while the file cannot be used, after another try to mend it when it is time for one."""
        if self.trouble and time.monotonic() >= self._mend_at:
            self._mend(is_damaged=False)
        if self.trouble:
            raise OSError(errno.EIO, self.trouble, str(self._path))

    def remedy(self, error: Exception) -> Remedy:
        """Do what can be done about an error, and say what that means for the commands that met it."""
        if isinstance(error, apsw.FullError):
            return Remedy.AGAIN if self.space.give_up_ballast() or self._empty_log() else Remedy.ALONE
        if is_damage(error):
            log.error("the outbox is damaged", outbox=str(self._path), error=str(error))
            self._mend(is_damaged=True)
            return Remedy.NONE if self.trouble else Remedy.AGAIN
        if isinstance(error, apsw.IOError | apsw.CantOpenError):
            log.error("the disk of the outbox failed", outbox=str(self._path), error=str(error))
            OUTBOX_FAULTS.labels(str(self._path), "failed").inc()
            self._mend(is_damaged=False)
            return Remedy.NONE
        return Remedy.NONE if self.trouble else Remedy.ALONE

    def told(self, error: Exception) -> Exception:
        """The error as whoever asked hears of it: as an OSError with the file's name where SQLite raised it."""
        return os_error(error, self._path) if isinstance(error, apsw.Error) else error

    def _empty_log(self) -> bool:
        """Bring the log into the file, which has room for most of it already; whether that has made room."""
        wal = self._path.with_name(self._path.name + "-wal")
        with suppress(apsw.Error, OSError):
            before = wal.stat().st_size
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            return wal.stat().st_size < before
        return False

    def _mend(self, *, is_damaged: bool) -> None:
        """Have the file opened anew, checked and synced, or salvaged; else `trouble` says why that was not possible."""
        began = time.monotonic()
        if not self.trouble:
            self._leases = self.store.leases()
        try:
            with os_errors(self._path):
                self._close_as_it_is()
                self._db = self._salvaged(VERSION) if is_damaged else self._open()
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                self.store.use(self._db, self._leases)
        except OSError as error:
            self.trouble = str(error)
            self._mend_at = 2 * time.monotonic() - began  # it takes half of the time at most
        else:
            self.trouble = ""

    def _close_as_it_is(self) -> None:
        """Without bringing the log into the file: what the log lacks is told by its checksums when it is read again."""
        with suppress(apsw.ConnectionClosedError):
            self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._db.close(True)

    def _open(self) -> apsw.Connection:
        finish(self._path)
        forget(self._path, time.time())
        mark = read_mark(self._lock) if self._path.exists() else None
        try:
            db = self._connect(mark)
        except DamagedError as error:
            log.error("the outbox is damaged", outbox=str(self._path), error=str(error))
            return self._salvaged(mark.version if mark else VERSION)
        self._mark_open(db)
        return db

    def _mark_open(self, db: apsw.Connection) -> None:
        mark = Mark(VERSION, is_open=True, accepted=accepted(db))
        write_mark(self._lock, mark)
        self.witness = Witness(self._lock, mark)

    def _connect(self, mark: Mark | None) -> apsw.Connection:
        """Open the file, should the disk be full with the ballast's room."""
        try:
            return connect(self._path, mark)
        except DamagedError:
            raise
        except OSError as error:
            is_full = error.errno == errno.ENOSPC or isinstance(error.__cause__, apsw.IOError)
            if is_full and self.space.give_up_ballast():
                return connect(self._path, mark)
            raise

    def _salvaged(self, version: int) -> apsw.Connection:
        """A connection to what could be salvaged. Raises OSError."""
        if self._salvage_at and time.monotonic() < self._salvage_at:
            raise OSError(errno.EIO, "it was damaged again at once", str(self._path))
        done = self._salvage(version)
        self._salvage_at = time.monotonic() + BETWEEN_SALVAGES
        OUTBOX_FAULTS.labels(str(self._path), "damaged").inc()
        log.error(
            "the damaged outbox was put aside, and what could be read of it was salvaged",
            outbox=str(self._path),
            aside=str(done.aside),
            items=done.items,
            letters=done.letters,
            lost_items=done.lost_items,
            lost_letters=done.lost_letters,
        )
        db = connect(self._path)
        self._mark_open(db)
        return db

    def _salvage(self, version: int) -> Salvaged:
        """Salvage the file, should the disk be full with the ballast's room."""
        try:
            with os_errors(self._path):
                return salvage(self._path, version)
        except OSError:
            if not self.space.give_up_ballast():
                raise
        with os_errors(self._path):
            return salvage(self._path, version)
