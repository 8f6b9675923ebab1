"""The contract of the queue between a hit's answer and its delivery.

An item waits in the outbox from `append`, which makes it durable, until it is settled: delivered, refused, or
put back for later. A lease hides items from other workers while one tries to deliver them; a lease that ends
unsettled gives its items back. An item may be held until its browser's consent is known: `release` lets it go,
and `purge` takes away all that waits of a browser whose consent was withdrawn. Engines are the files of `outboxes/`;
`tests/conformance/` holds every one of them to the promises written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

REMEMBERED: Final = 48 * 3600.0  # seconds for which Meta and so the outbox tells duplicates apart


@dataclass(frozen=True, slots=True, kw_only=True)
class NewItem:
    """Something to deliver once.

    `destination` names who delivers it (`conversions_api`, `pixel_relay`), `pixel_id` for which pixel.
    `key` is the de-duplication key: an item whose destination, pixel and key were accepted in the last 48 hours
    is a duplicate (Meta de-duplicates by event name and id within 48 h: PROTOCOL 1.10). None: never a duplicate.
    `payload` is opaque to the outbox. `subject` says whose browser the item is about, a digest of 16 bytes: what
    `release` and `purge` find it by. `hold_until` (unix seconds): until then the item waits for a release.
    """

    destination: str
    pixel_id: str
    key: bytes | None
    payload: bytes
    subject: bytes | None = None
    hold_until: float | None = None


class Appended(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item under lease. `attempts` counts the tries that ended in `Later`; `appended_at` is unix seconds.

    `held`: the item was to wait for a release, and its time has passed without one.
    """

    seq: int
    pixel_id: str
    payload: bytes
    attempts: int
    appended_at: float
    held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Items that are ours until the lease ends (`ends_at`, unix seconds)."""

    token: str
    destination: str
    ends_at: float
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The destination took the item; the outbox forgets its payload."""


@dataclass(frozen=True, slots=True)
class Later:
    """Try again at `at` (unix seconds), because of `reason`."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The item will never be taken, for `reason`; it goes to the dead letters."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The item is not sent after all, for `reason`, a policy's decision; counted, not kept."""

    reason: str


type Outcome = Delivered | Later | Refused | Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much waits for one destination.

    `ready`, `leased` and `held` share no item and add up to all that waits: `leased` is what is under lease, `held`
    what else was to wait for a release and got none, its time passed or not, `ready` the rest, later tries too.
    `oldest_at` (unix seconds) is when the oldest item was appended that needs no release, None when there is none.
    """

    ready: int = 0
    leased: int = 0
    held: int = 0
    dead: int = 0
    oldest_at: float | None = None


class Outbox(Protocol):
    """What an engine promises. All times are unix seconds; engines are handed their clock."""

    async def append(self, items: Sequence[NewItem]) -> list[Appended]:
        """Store the items, all or none of them; durable when it returns.

        Any number of tasks may append at once; an engine commits what waits together. Raises `OSError` when
        the items could not be stored.
        """

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        """Take up to `limit` items of the destination that are due, oldest first; none is an empty lease."""

    async def settle(self, lease: Lease, outcomes: Mapping[int, Outcome]) -> int:
        """Apply the outcomes (by `seq`), durable when it returns; answers how many were applied.

        Items of the lease that are not named are let go: due at once, no attempt counted. What the lease no
        longer holds (it ended and another took it, or it was settled before) is left as it is, not an error.
        """

    async def release(self, pixel_id: str, subject: bytes) -> int:
        """Make every held item of the pixel and subject due, and held no longer; answers how many, durable.

        An item under lease because its time has passed is left as it is. One whose lease has ended is not: the
        lease has lost it.
        """

    async def purge(self, pixel_id: str, subject: bytes) -> int:
        """Delete every item of the pixel and subject, dead letters too; answers how many, durable.

        Items under lease stay: they are on their way. Keys stay remembered, so that no repeat is accepted.
        """

    async def wait(self, destination: str, *, seconds: float) -> None:
        """Return when an item of the destination may have become due, at the latest after `seconds`."""

    async def stats(self) -> Mapping[str, Depth]:
        """Depth by destination."""

    async def close(self) -> None:
        """Finish what was begun and let go of the store. Leased items are ready again at the next opening."""
