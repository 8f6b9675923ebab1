"""A disk that loses power: the log of what SQLite does to its files, and what of it survives a cut.

`logging` has every write, truncation, sync and deletion put into a log, in the order in which SQLite asked for them,
beside whatever else is said there. `Disk` replays such a log up to a cut. Its rules:

* What was synced survives. A sync is trusted; a disk that lies about it is outside of every promise.
* Of what was written to a file since its last sync, nothing survives, or any of its sectors of 512 bytes, later ones
  without earlier ones too; a truncation or none. Bytes beside a write are never harmed (SQLite's "powersafe overwrite",
  which it takes for granted by default).
* A file has its name from its first sync on (SQLite syncs the folder with it, the engine once more at its opening);
  before, it may be there or not. A deletion is for good from the next sync of any file on, as with ext4's journal;
  before, the file may be there once more.
* SQLite's shared memory (`-shm`) does not survive; it is made anew from the log.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import apsw

SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Write:
    file: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    file: str


type Change = Write | Truncate
type Operation = Change | Sync | Delete


@contextmanager
def logging(log: Callable[[Operation], object]) -> Iterator[None]:
    """Log what is done to the SQLite files that this process opens meanwhile, each operation once it is done."""
    vfs = _LoggedVfs(log)
    try:
        yield
    finally:
        vfs.unregister()


class _LoggedVfs(apsw.VFS):
    def __init__(self, log: Callable[[Operation], object]) -> None:
        self._log = log
        self._below = apsw.vfs_names()[0]
        super().__init__("logged", self._below, makedefault=True)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 SQLite's name
        return _LoggedFile(self._below, name, flags, self._log)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(filename, syncdir)
        self._log(Delete(Path(filename).name))


class _LoggedFile(apsw.VFSFile):
    def __init__(
        self,
        below: str,
        name: apsw.URIFilename | str | None,
        flags: list[int],
        log: Callable[[Operation], object],
    ) -> None:
        super().__init__(below, name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path or "").name
        self._log = log

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        super().xWrite(data, offset)
        self._log(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        super().xTruncate(newsize)
        self._log(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        self._log(Sync(self._name))


@dataclass(slots=True)
class _File:
    """`synced` is what survives for sure, None while the name may not; `unsynced` what was done since, in order."""

    synced: bytearray | None = None
    unsynced: list[Change] = field(default_factory=list)

    def sync(self) -> None:
        self.synced = _changed(self.synced or bytearray(), self.unsynced)
        self.unsynced = []


class Disk:
    """The files after the operations done so far."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._deleted: dict[str, _File] = {}  # not for good yet

    def do(self, operation: Operation) -> None:
        match operation:
            case Sync(name):
                self._deleted.clear()
                self._files.setdefault(name, _File()).sync()
            case Delete(name):
                self._deleted[name] = self._files.pop(name, _File())
            case Write(name) | Truncate(name):
                self._files.setdefault(name, _File()).unsynced.append(operation)

    def cut(self, chance: random.Random, share: float) -> dict[str, bytes]:
        """The files as the next start finds them. `share` of what was not synced survives, by chance; 0: nothing."""
        back = {name: file for name, file in self._deleted.items() if name not in self._files and _by(chance, share)}
        left = {name: self._left(file, chance, share) for name, file in (self._files | back).items()}
        return {name: bytes(data) for name, data in left.items() if data is not None}

    def _left(self, file: _File, chance: random.Random, share: float) -> bytearray | None:
        changes = [part for change in file.unsynced for part in _sectors(change) if _by(chance, share)]
        return _changed(bytearray(file.synced or b""), changes) if changes else file.synced


def _by(chance: random.Random, share: float) -> bool:
    return share > 0 and chance.random() < share


def _sectors(change: Change) -> Iterator[Change]:
    """The parts of a change of which each survives or not."""
    if isinstance(change, Truncate):
        yield change
        return
    offset, end = change.offset, change.offset + len(change.data)
    while offset < end:
        until = min(end, offset - offset % SECTOR + SECTOR)
        yield Write(change.file, offset, change.data[offset - change.offset : until - change.offset])
        offset = until


def _changed(data: bytearray, changes: list[Change]) -> bytearray:
    for change in changes:
        match change:
            case Truncate(_, size):
                del data[size:]
                data.extend(bytes(size - len(data)))
            case Write(_, offset, new):
                data.extend(bytes(max(0, offset - len(data))))
                data[offset : offset + len(new)] = new
    return data
