"""The latest hits and what became of each: what the Test Events page, the API and the content view show.

A bounded ring in memory. It holds what the twin holds, hashes and no plaintext, and is no promise: the outbox is.
"""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

MOST_CHANGES: Final = 8  # that wait for somebody to look; a twin that is sent at once has two
FORGOTTEN: Final = "forgotten"  # the detail of a record that was emptied
NOTHING_LEFT: Final[Mapping[str, Any]] = {
    "event_id": "",
    "source_url": "",
    "detail": FORGOTTEN,
    "hit": (),
    "twin": None,
    "origins": {},
    "notes": (),
}


class State(StrEnum):
    """How far a hit's twin has come."""

    SKIPPED = "skipped"
    UNACKED = "unacked"  # answered before it was durable
    QUEUED = "queued"
    HELD = "held"
    DUPLICATE = "duplicate"
    LATER = "later"
    DELIVERED = "delivered"
    REFUSED = "refused"
    DROPPED = "dropped"
    EXPIRED = "expired"
    SHED = "shed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One hit and its twin.

    `hit` is the hit's parameters as they came, decoded, in order. `twin` is the event for Meta, None where there is
    none; `origins` says of what it knows and the hit did not (`user_data.em`) who set that
    (`customers`, `rule margin`), `rules` names the rules that held, `consent` is the visitor's answer and who asked
    (`granted (eu)`), `notes` what is remarkable. `detail` says in one line why the state is what it is: the skip's
    reason, Meta's answer, the error. `relay` says who brings the browser's copy to Meta, or that it was `held` for
    consent or `withheld` when it came.
    """

    id: str
    received_at: float
    pixel_id: str
    event_name: str
    event_id: str
    source_url: str
    state: State
    detail: str = ""
    relay: str = "none"
    hit: Sequence[tuple[str, str]] = ()
    twin: Mapping[str, Any] | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    rules: Sequence[str] = ()
    consent: str = ""
    notes: Sequence[str] = ()


class Unmade(Protocol):
    """What a record can be made of, should somebody look at it: small, as a thousand of them are kept."""

    @property
    def record_id(self) -> str: ...

    def record(self) -> Record: ...


type Change = Callable[[Record], Mapping[str, Any]]
"""What is different about a record from now on; asked when somebody looks at it."""


class Changed(NamedTuple):
    """A record to which something has happened before anybody looked at it."""

    unmade: Unmade
    changes: tuple[Change, ...]

    @property
    def record_id(self) -> str:
        return self.unmade.record_id

    def record(self) -> Record:
        return changed(self.unmade.record(), self.changes)


def changed(record: Record, changes: Iterable[Change]) -> Record:
    """The record with all changes, one after the other."""
    for change in changes:
        record = replace(record, **change(record))
    return record


class Journal:
    """The last `size` records by id, and a feed of every change."""

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._records: OrderedDict[str, Record | Unmade] = OrderedDict()
        self._run = secrets.token_hex(4)  # a queued twin of an earlier run names none of our records
        self._ids = itertools.count(1)
        self._followers: set[asyncio.Queue[Record]] = set()

    def next_id(self) -> str:
        return f"{self._run}-{next(self._ids)}"

    def add(self, record: Record) -> None:
        self._keep(record.id, record)
        self._tell(record)

    def add_later(self, unmade: Unmade) -> None:
        """As `add`, but the record is made when somebody looks at it, which happens to few."""
        if self._followers:
            self.add(unmade.record())
        else:
            self._keep(unmade.record_id, unmade)

    def update(self, record_id: str, **fields: Any) -> None:
        """Set fields of a record; one that has left the ring is left alone."""
        self.change(record_id, lambda _: fields)

    def change(self, record_id: str, change: Change) -> None:
        """As `update`, but what is to be set is made when somebody looks at the record."""
        found = self._records.get(record_id)
        if found is None:
            return
        unmade, waiting = found if isinstance(found, Changed) else (found, ())
        if isinstance(unmade, Record) or self._followers or len(waiting) == MOST_CHANGES:
            self._records[record_id] = made = changed(_made(found), [change])
            self._tell(made)
        else:
            self._records[record_id] = Changed(unmade, (*waiting, change))

    def forget(self, is_about: Callable[[Record], bool]) -> int:
        """Empty the records that are about somebody, on open pages as well; answers how many."""
        found = [record for record in self.latest(self._size) if record.detail != FORGOTTEN and is_about(record)]
        for record in found:
            self.update(record.id, **NOTHING_LEFT)
        return len(found)

    def get(self, record_id: str) -> Record | None:
        found = self._records.get(record_id)
        if found is None:
            return None
        self._records[record_id] = made = _made(found)
        return made

    def latest(self, limit: int = 100) -> list[Record]:
        """The newest records, newest first."""
        newest = list(itertools.islice(reversed(self._records), limit))
        return [record for record_id in newest if (record := self.get(record_id))]

    @contextmanager
    def follow(self) -> Iterator[asyncio.Queue[Record]]:
        """A queue of every record added or changed from now on; a follower that lags loses the oldest."""
        queue: asyncio.Queue[Record] = asyncio.Queue(maxsize=1000)
        self._followers.add(queue)
        try:
            yield queue
        finally:
            self._followers.discard(queue)

    def _keep(self, record_id: str, record: Record | Unmade) -> None:
        self._records[record_id] = record
        if len(self._records) > self._size:
            self._records.popitem(last=False)

    def _tell(self, record: Record) -> None:
        for queue in self._followers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(record)


def _made(found: Record | Unmade) -> Record:
    return found if isinstance(found, Record) else found.record()
