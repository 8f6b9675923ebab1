"""The contract of the queue between a hit's answer and its delivery.

An item waits in the outbox from `append`, which makes it durable, until it is settled: delivered, refused, or
put back for later. A lease hides items from other workers while one tries to deliver them; a lease that ends
unsettled gives its items back. What a lease held that ended without a settle or a let-go (its process died, or its time
ran out) may have been sent: from then on the deadline of such items is at most `REPEATABLE` after the lease began,
whatever a late settle says. An item may be held until its browser's consent is known: `release` lets it go,
and `purge` takes away all that waits of a browser whose consent was withdrawn. What can never be delivered, or not in
time, becomes a letter, which is kept with its reason until somebody requeues or discards it, or a week has passed.
Nothing disappears uncounted: `Tally` has an equation for it. Engines are the files of `outboxes/`;
`tests/conformance/` holds every one of them to the promises written here.
"""

import math
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

REMEMBERED: Final = 48 * 3600.0  # seconds for which Meta and so the outbox tells duplicates apart
REPEATABLE: Final = REMEMBERED - 900.0  # a try began before it is settled, and the next may come late in its lease
KEEP_LETTERS: Final = 7 * 24 * 3600.0  # seconds; Meta takes nothing older than that, and they are personal data
DEADLINE_PASSED: Final = "its deadline passed"  # why `expire` made a letter; ": " and the item's last reason follow
CORRUPT: Final = "its bytes changed on the disk"  # why an engine that checks what it stored made a dead letter
MONEY, ORDINARY, MINOR = 2, 1, 0  # priorities: events that carry money or a lead, others, page views and the like


class NewItem(NamedTuple):
    """Something to deliver once.

    `destination` names who delivers it (`conversions_api`, `pixel_relay`), `pixel_id` for which pixel.
    `key` is the de-duplication key: an item whose destination, pixel and key were accepted in the last 48 hours
    is a duplicate (Meta de-duplicates by event name and id within 48 h: PROTOCOL 1.10). None: never a duplicate.
    `payload` is opaque to the outbox. `subject` says whose browser the item is about, a digest of 16 bytes: what
    `release` and `purge` find it by. `hold_until` (unix seconds): until then the item waits for a release.
    `priority`: leased before lower ones of its pixel, and shed after them: `MONEY`, `ORDINARY` or `MINOR`.
    `deadline` (unix seconds): from then on the item must not be sent any more.
    """

    destination: str
    pixel_id: str
    key: bytes | None
    payload: bytes
    subject: bytes | None = None
    hold_until: float | None = None
    priority: int = 0
    deadline: float = math.inf


class Appended(StrEnum):
    """What became of an item. `SHED`: there is no room for one of its priority; it is counted, not kept.

    Nothing remembers a shed item: the same may be accepted when there is room again. One that was accepted already
    is a duplicate, room or no room.
    """

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    SHED = "shed"


@dataclass(slots=True, unsafe_hash=True)  # frozen by its types alone, like a hit
class Item:
    """An item under lease. `attempts` counts the tries that ended in a `Later` that counts.

    `held`: the item was to wait for a release, and its time has passed without one.
    """

    seq: Final[int]
    pixel_id: Final[str]
    payload: Final[bytes]
    attempts: Final[int]
    appended_at: Final[float]
    held: Final[bool] = False
    priority: Final[int] = 0
    deadline: Final[float] = math.inf


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
    """Try again at `at` (unix seconds), because of `reason`.

    `ambiguous`: this try may have arrived. A repeat is a duplicate that Meta must still recognise, so from the first
    such try on the item's deadline is `REPEATABLE` seconds away at most. `counts`: it is one more of the item's
    attempts; not so after a throttle or a fault of the set-up, which are nothing against the item.
    """

    at: float
    reason: str
    ambiguous: bool = False
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """The item will never be taken, for `reason`; it becomes a dead letter.

    `code` is Meta's, with its subcode: `100/2804050`.
    """

    reason: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Expired:
    """It is too late for the item, for `reason`; it becomes a letter that is marked as expired."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The item is not sent after all, for `reason`, a policy's decision; counted, not kept."""

    reason: str


type Outcome = Delivered | Later | Refused | Dropped | Expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An item that was not delivered: refused, or `is_expired`. `at` is when that was, in unix seconds."""

    seq: int
    destination: str
    pixel_id: str
    payload: bytes
    reason: str
    code: str
    at: float
    is_expired: bool
    appended_at: float
    attempts: int
    deadline: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An item that waits, under lease or not. `last_reason` is that of its last `Later`, empty before one.

    `due` is when it may be leased; for an item that is `held`, how long it waits for a release.
    """

    seq: int
    destination: str
    pixel_id: str
    payload: bytes
    priority: int
    due: float
    attempts: int
    last_reason: str
    appended_at: float
    deadline: float
    held: bool


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing of the pixel is leased before `until` (unix seconds), because of `reason`."""

    until: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What ever happened to a destination's items.

    At all times `accepted + requeued = delivered + dropped + dead + expired + purged + lost` and what waits, which
    is `ready + leased + held` of the `Depth`; and `dead + expired = requeued + discarded` and the letters there are,
    which is `dead` of the `Depth`. `purged` counts items that waited; letters that went, in whatever way, are
    `discarded`. `lost` counts items that waited and that a damaged disk has eaten. What was `shed` was not accepted.
    """

    accepted: int = 0
    delivered: int = 0
    dropped: int = 0
    dead: int = 0
    expired: int = 0
    purged: int = 0
    requeued: int = 0
    discarded: int = 0
    lost: int = 0
    shed: int = 0

    @property
    def waiting(self) -> int:
        """How many items wait, by the first equation."""
        ended = self.delivered + self.dropped + self.dead + self.expired + self.purged + self.lost
        return self.accepted + self.requeued - ended

    @property
    def letters(self) -> int:
        """How many letters there are, by the second one."""
        return self.dead + self.expired - self.requeued - self.discarded


def misses(tallies: Mapping[str, Tally], items: Mapping[str, int], letters: Mapping[str, int]) -> dict[str, int]:
    """By destination, by how many items and letters the equations are wrong, where there are so many."""
    return {
        name: abs(tally.waiting - items.get(name, 0)) + abs(tally.letters - letters.get(name, 0))
        for name in sorted({*tallies, *items, *letters})
        for tally in (tallies.get(name, Tally()),)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """How much waits for one destination.

    `ready`, `leased` and `held` share no item and add up to all that waits: `leased` is what is under lease, `held`
    what else was to wait for a release and got none, its time passed or not, `ready` the rest: later tries, parked
    pixels and what is past its deadline too. `dead` counts the letters, the expired ones among them. `oldest_at`
    (unix seconds) is when the oldest item was appended that needs no release, None when there is none.
    """

    ready: int = 0
    leased: int = 0
    held: int = 0
    dead: int = 0
    oldest_at: float | None = None


class Outbox(Protocol):
    """What an engine promises. All times are unix seconds; engines are handed their clock.

    What changes the outbox is durable when it returns, and is counted in the same stroke.
    """

    def append(self, items: Sequence[NewItem]) -> Awaitable[list[Appended]]:
        """Store the items, all or none of them; durable when the answer is there.

        Any number of tasks may append at once; an engine commits what waits together. Raises `OSError` when
        the items could not be stored. An engine with a bound sheds as `shedding` says when it fills up: what it
        has is delivered and settled all the same.
        """

    async def lease(self, destination: str, *, limit: int, seconds: float) -> Lease:
        """Take up to `limit` items of the destination that are due; none is an empty lease.

        Never an item of a parked pixel, nor one past its deadline. The pixels take turns, so that one's backlog
        never starves another: each gets as many as any other unless it has fewer, and another begins each time. Of a
        pixel's items higher priorities go first. Of a priority that has more than its pixel may take, the oldest
        are 30 % (rounded up) and the newest the rest: after an outage, live traffic is delivered at once and old
        items still make it. An item is as old as it has been due. The items come highest priority first, then
        oldest first.
        """

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
        """Delete every item and every letter of the pixel and subject; answers how many, durable.

        Items under lease stay: they are on their way. Keys stay remembered, so that no repeat is accepted.
        """

    async def withdraw(self, seqs: Collection[int]) -> int:
        """Delete these waiting items, counted as `purged`; answers how many, durable.

        Items under lease stay: they are on their way. Keys stay remembered. An engine with a file leaves nothing of
        them in its bytes.
        """

    async def expire(self, *, limit: int) -> int:
        """Make letters of up to `limit` items that are past their deadline, held ones too; answers how many.

        Items under lease stay: they are on their way. Up to `limit` letters that are too old to keep are discarded.
        """

    async def park(self, destination: str, pixel_id: str, *, until: float, reason: str) -> None:
        """Lease nothing of the pixel before `until`; a time that has passed, 0 for one, ends what was parked."""

    async def parks(self) -> Mapping[tuple[str, str], Park]:
        """What is parked at present, by destination and pixel."""

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Letter]:
        """The first letters of a `seq` above `after`, in that order: the next page begins after this one's last."""

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Waiting]:
        """What waits, in pages like the letters."""

    async def requeue(self, seqs: Collection[int]) -> int:
        """Make items of these letters: due at once, no attempt counted; answers how many.

        Letters past their deadline stay. An item that was to wait for a release is still held, its time passed.
        """

    async def discard(self, seqs: Collection[int]) -> int:
        """Delete these letters; answers how many there were."""

    async def wait(self, destination: str, *, seconds: float) -> None:
        """Return when an item of the destination may have become due, at the latest after `seconds`."""

    async def stats(self) -> Mapping[str, Depth]:
        """Depth by destination, where anything waits or there are letters."""

    async def tally(self) -> Mapping[str, Tally]:
        """Tally by destination, since the store was made."""

    async def unaccounted(self) -> Mapping[str, int]:
        """By destination, by how many items and letters the equations of its tally are wrong: 0, or there is a fault.

        Looks at the rows, all of them, and not at what the tally says of them: that takes 0.1 s a million.
        """

    def trouble(self) -> str | None:
        """Why nothing at all is accepted at present; None when something is."""

    async def close(self) -> None:
        """Finish what was begun and let go of the store and of its leases, whose items were not sent.

        They are ready again at the next opening.
        """
