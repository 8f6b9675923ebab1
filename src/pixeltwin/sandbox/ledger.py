"""Which copies of an event Meta would count (PROTOCOL 1.10). Pure: every copy says when it came.

A copy finds its entry by pixel, event name and event id within 48 hours of the first. Without an id there is
the weaker way by `fbp` or `external_id`, which works only for a server copy that follows a browser copy. The
second copy of the *same* channel is counted as a duplicate; what Meta does with it is not documented.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

type Channel = Literal["browser", "server"]
type By = Literal["event_id", "fbp", "external_id"]

WINDOW: Final = 48 * 3600.0
BROWSER_FAVOURED: Final = 5 * 60.0
MAX_ENTRIES: Final = 100_000  # some hundred MB; beyond it the older half is forgotten

PEOPLE: Final[tuple[By, ...]] = ("fbp", "external_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One event as it came over one channel. `detail` is what the page shows of it."""

    at: float
    pixel_id: str
    event_name: str
    event_id: str
    fbp: frozenset[str] = frozenset()
    external_id: frozenset[str] = frozenset()
    detail: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The copy for `/sandbox/events`."""
        return {"received_at": iso(self.at), **self.detail}


@dataclass(slots=True)
class Entry:
    """One event in Events Manager: the first copy of each channel, and how many more of them came."""

    browser: Copy | None = None
    server: Copy | None = None
    by: By | None = None
    browser_duplicates: int = 0
    server_duplicates: int = 0

    @property
    def first(self) -> Copy:
        """The copy that came first."""
        copies = [copy for copy in (self.browser, self.server) if copy]
        return min(copies, key=lambda copy: copy.at)

    @property
    def event_id(self) -> str:
        """The id of whichever copy has one."""
        return next((copy.event_id for copy in (self.browser, self.server) if copy and copy.event_id), "")

    @property
    def verdict(self) -> str:
        """What Events Manager would call it."""
        if self.browser and self.server:
            return "deduplicated"
        if not self.event_id:
            return "no_event_id"
        return "browser_only" if self.browser else "server_only"

    @property
    def kept(self) -> Channel:
        """The copy that counts: within five minutes the browser's, otherwise the first."""
        if self.browser and self.server and abs(self.browser.at - self.server.at) <= BROWSER_FAVOURED:
            return "browser"
        return "browser" if self.first is self.browser else "server"

    def take(self, channel: Channel, copy: Copy, by: By | None) -> None:
        """Put a copy in its place, or count it where that is taken; `by` is what it was recognised by."""
        if getattr(self, channel):
            duplicates = f"{channel}_duplicates"
            setattr(self, duplicates, getattr(self, duplicates) + 1)
            return
        setattr(self, channel, copy)
        self.by = by

    def as_json(self) -> dict[str, Any]:
        """The entry for `/sandbox/events`."""
        return {
            "pixel_id": self.first.pixel_id,
            "event_name": self.first.event_name,
            "event_id": self.event_id or None,
            "verdict": self.verdict,
            "by": self.by,
            "kept": self.kept,
            "browser": self.browser and self.browser.as_json(),
            "server": self.server and self.server.as_json(),
            "browser_duplicates": self.browser_duplicates,
            "server_duplicates": self.server_duplicates,
        }


class Ledger:
    """All entries, in the order in which their first copies came."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._by_id: dict[tuple[str, ...], Entry] = {}
        self._by_person: dict[tuple[object, ...], list[Entry]] = {}

    def record(self, channel: Channel, copy: Copy) -> Entry:
        """The entry the copy belongs to: one that is open, or a new one."""
        found = self._same_id(copy) or self._same_person(channel, copy)
        entry, by = found or (self._open(), None)
        entry.take(channel, copy, by)
        self._index(channel, copy, entry)
        return entry

    def counts(self) -> Counter[str]:
        """How many entries have which verdict, and how many copies were duplicates of their own channel."""
        totals = Counter({"events": len(self.entries)})
        for entry in self.entries:
            totals[entry.verdict] += 1
            totals["browser_duplicates"] += entry.browser_duplicates
            totals["server_duplicates"] += entry.server_duplicates
        return totals

    def _open(self) -> Entry:
        if len(self.entries) >= MAX_ENTRIES:
            self._forget_older_half()
        entry = Entry()
        self.entries.append(entry)
        return entry

    def _forget_older_half(self) -> None:
        self.entries = self.entries[MAX_ENTRIES // 2 :]
        self._by_id.clear()
        self._by_person.clear()
        for entry in self.entries:
            for channel, copy in _copies(entry):
                self._index(channel, copy, entry)

    def _index(self, channel: Channel, copy: Copy, entry: Entry) -> None:
        if copy.event_id:
            self._by_id[_id_key(copy)] = entry
        if channel == "browser" and entry.browser is copy:
            for _, key in _person_keys(copy, has_id=bool(copy.event_id)):
                self._by_person.setdefault(key, []).append(entry)

    def _same_id(self, copy: Copy) -> tuple[Entry, By] | None:
        entry = self._by_id.get(_id_key(copy)) if copy.event_id else None
        return (entry, "event_id") if entry and _is_open(entry, copy) else None

    def _same_person(self, channel: Channel, copy: Copy) -> tuple[Entry, By] | None:
        if channel == "browser":
            return None
        # Those with an id are listed apart: a copy that has one itself need not look through them.
        for has_id in (False,) if copy.event_id else (False, True):
            for by, key in _person_keys(copy, has_id):
                candidates = [entry for entry in self._by_person.get(key, ()) if _may_follow(entry, copy)]
                if candidates:
                    return next((entry for entry in candidates if not entry.server), candidates[-1]), by
        return None


def iso(at: float) -> str:
    """A moment as people and JSON readers know it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _copies(entry: Entry) -> Iterator[tuple[Channel, Copy]]:
    if entry.browser:
        yield "browser", entry.browser
    if entry.server:
        yield "server", entry.server


def _id_key(copy: Copy) -> tuple[str, ...]:
    return copy.pixel_id, copy.event_name, copy.event_id


def _person_keys(copy: Copy, has_id: bool) -> Iterator[tuple[By, tuple[object, ...]]]:
    for by in PEOPLE:
        for value in sorted(getattr(copy, by)):
            yield by, (copy.pixel_id, copy.event_name, by, value, has_id)


def _is_open(entry: Entry, copy: Copy) -> bool:
    return copy.at - entry.first.at <= WINDOW


def _may_follow(entry: Entry, copy: Copy) -> bool:
    """Two different ids are two events, whoever sent them."""
    return _is_open(entry, copy) and not (entry.event_id and copy.event_id)
