"""What the lock's file says about the file beside it: that there is an outbox of ours, how we left it, what it had.

How much was accepted stands here a second time, by destination. It is written after each commit and never synced: the
process may be killed, and what the file then lacks was taken away by somebody else.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import orjson

LONGEST: Final = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """The schema's version; `is_open`: whoever had the file has not closed it; what was `accepted` by then."""

    version: int
    is_open: bool
    accepted: Mapping[str, int] = field(default_factory=dict)


def read_mark(lock: int) -> Mark | None:
    """What the last one to hold the lock left there; None: nobody had an outbox here."""
    head, _, rest = os.pread(lock, LONGEST, 0).partition(b"\n")
    found = re.fullmatch(rb"(open|closed) (\d{1,9})", head)
    return Mark(int(found[2]), found[1] == b"open", _accepted(rest)) if found else None


def write_mark(lock: int, mark: Mark) -> None:
    text = _head(mark) + orjson.dumps(mark.accepted)
    os.pwrite(lock, text, 0)
    os.ftruncate(lock, len(text))
    os.fsync(lock)


class Witness:
    """Tells the lock's file how much more was accepted since its `mark`, which is that of an open file."""

    def __init__(self, lock: int, mark: Mark) -> None:
        self._lock = lock
        self._at = len(_head(mark))
        self._accepted = defaultdict(int, mark.accepted)

    def saw(self, accepted: Mapping[str, int]) -> None:
        """This was committed. Counts only grow, so that the text before is written over."""
        for destination, number in accepted.items():
            self._accepted[destination] += number
        with suppress(OSError):  # a full disk: then what is lost without a trace is told a little too low
            os.pwrite(self._lock, orjson.dumps(self._accepted), self._at)


def _head(mark: Mark) -> bytes:
    return b"%s %d\n" % (b"open" if mark.is_open else b"closed", mark.version)


def _accepted(text: bytes) -> Mapping[str, int]:
    """Nothing for an older pixeltwin's mark, and for a text that the disk has spoilt."""
    with suppress(ValueError):
        found = orjson.loads(text)
        if isinstance(found, dict) and all(isinstance(number, int) for number in found.values()):
            return found
    return {}
