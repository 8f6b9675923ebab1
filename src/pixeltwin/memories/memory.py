"""Kind `memory`: nothing is written anywhere, and all is lost with the process. For a first look and for tests."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pixeltwin.enrich.memory import MaxEntries, Memory, Remembered, needles, unpacked, updated
from pixeltwin.kinds import KindSettings


class Settings(KindSettings):
    """At most `max` entries, a kilobyte each."""

    kind: Literal["memory"]
    max: MaxEntries = 100_000


async def open_memory(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Memory:
    return MemoryInProcess(settings.max, clock)


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry's bytes, and until when it counts."""

    entry: bytes
    until: float


class MemoryInProcess:
    """Entries by key, the one written longest ago first."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._closed = False
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()

    async def recall(self, keys: Collection[bytes]) -> Mapping[bytes, Remembered]:
        self._check_open()
        stored = {key: entry for key in keys if (entry := self._stored(key))}
        return {key: known for key, entry in stored.items() if (known := unpacked(entry))}

    async def remember(self, entries: Mapping[bytes, Remembered], seconds: float) -> None:
        self._check_open()
        until = self._clock() + seconds
        for key, new in entries.items():
            if (entry := updated(self._stored(key), new)) is not None:
                self._kept[key] = Kept(entry, until)
                self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    async def forget(self, hashes: Collection[str]) -> int:
        self._check_open()
        wanted = needles(hashes)
        gone = [key for key, kept in self._kept.items() if any(needle in kept.entry for needle in wanted)]
        for key in gone:
            del self._kept[key]
        return len(gone)

    async def withdraw(self, browser: bytes) -> int:
        self._check_open()
        known = ((key, unpacked(kept.entry)) for key, kept in self._kept.items())
        gone = [key for key, entry in known if entry and entry.browser == browser.hex()]
        for key in gone:
            del self._kept[key]
        return len(gone)

    async def close(self) -> None:
        self._closed = True
        self._kept.clear()

    def _stored(self, key: bytes) -> bytes | None:
        """The entry, dropped if its time has ended."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self._clock():
            del self._kept[key]
            return None
        return kept.entry

    def _check_open(self) -> None:
        if self._closed:
            raise OSError("the memory in this process is closed")
