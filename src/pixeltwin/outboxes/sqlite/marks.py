"""What the lock's file says about the file beside it: that there is an outbox of ours, and how we left it."""

import os
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """The schema's version; `is_open`: whoever had the file has not closed it."""

    version: int
    is_open: bool


def read_mark(lock: int) -> Mark | None:
    """What the last one to hold the lock left there; None: nobody had an outbox here."""
    found = re.fullmatch(rb"(open|closed) (\d{1,9})\n", os.pread(lock, 64, 0))
    return Mark(int(found[2]), found[1] == b"open") if found else None


def write_mark(lock: int, mark: Mark) -> None:
    text = b"%s %d\n" % (b"open" if mark.is_open else b"closed", mark.version)
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))
    os.fsync(lock)
