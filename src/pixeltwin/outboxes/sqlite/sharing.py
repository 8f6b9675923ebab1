"""One file, one writer: those who open the same path in one process share it, another process is turned away.

mitmproxy's hot reload starts the new addon while the old one still drains, so two openers are ordinary.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixeltwin.outboxes.sqlite.file import lock
from pixeltwin.outboxes.sqlite.keeper import Keeper
from pixeltwin.outboxes.sqlite.mounts import refuse_network
from pixeltwin.outboxes.sqlite.space import Limits
from pixeltwin.outboxes.sqlite.writer import Writer
from pixeltwin.sqlite_file import make_private_folder


@dataclass(slots=True)
class Shared:
    """An open file and how many have opened it."""

    writer: Writer
    keeper: Keeper
    openers: int = 0

    def close(self) -> None:
        self.writer.stop()
        self.keeper.close()


DEFAULT: Final = Limits()
_shared: Final[dict[Path, Shared]] = {}
_changing: Final = threading.Lock()  # an opener that meets the last close waits for its end


def acquire(path: Path, synchronous: str = "full", limits: Limits = DEFAULT) -> Writer:
    """The writer of the file, started for the first opener. Blocks; raises OSError where the file is not to be had.

    `synchronous`, SQLite's pragma, and the limits hold from now on for all who share the file.
    """
    with _changing:
        if path in _shared:
            _shared[path].keeper.space.limit(limits)
        else:
            _shared[path] = _open(path, limits)
        _shared[path].openers += 1
        _shared[path].writer.synchronous(synchronous)
        return _shared[path].writer


def release(path: Path) -> None:
    """Undo one `acquire`; the last one finishes the work, closes the file and frees the lock. Blocks."""
    with _changing:
        _shared[path].openers -= 1
        if not _shared[path].openers:
            _shared.pop(path).close()


def _open(path: Path, limits: Limits) -> Shared:
    refuse_network(path)
    make_private_folder(path.parent)
    held = lock(path)
    try:
        keeper = Keeper(path, held, limits)
    except BaseException:
        os.close(held)
        raise
    return Shared(Writer(keeper), keeper)
