"""What travels together: events of one pixel, one test event code and one token, not too many and not too heavy."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pixeltwin.delivery.outbox import Item


@dataclass(slots=True)  # frozen by its types alone, like a hit
class Ready:
    """An item made ready: the bytes to send. Only items of one test event code travel together; empty: none.

    `credential` names whose token they travel with, empty for the pixel's own; they do not mix either.
    """

    payload: Final[bytes]
    test_event_code: Final[str] = ""
    credential: Final[str] = ""


type Parcel = tuple[Item, Ready]
type Batch = tuple[Parcel, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """The most that a batch may hold."""

    events: int
    octets: int


HEALTHY: Final = Size(200, 512 * 1024)  # a larger one saves little and is answered later (DELIVERY 2f)
BACKLOGGED: Final = Size(1000, 1024 * 1024)  # Meta's bound (PROTOCOL 1.9)
BACKLOG: Final = 2000  # waiting items from which throughput matters more than the answer's delay


def size_for(backlog: int, max_batch: int) -> Size:
    """How large batches should be while `backlog` items wait."""
    size = BACKLOGGED if backlog > BACKLOG else HEALTHY
    return Size(min(size.events, max_batch), size.octets)


def groups(ready: Iterable[Parcel]) -> Iterator[Batch]:
    """The items by pixel, test event code and token; within each as they came."""
    alike: defaultdict[tuple[str, str, str], list[Parcel]] = defaultdict(list)
    for one in ready:
        item, made = one
        alike[item.pixel_id, made.test_event_code, made.credential].append(one)
    return (tuple(alike[kind]) for kind in sorted(alike))


def cut(group: Batch, size: Size) -> Iterator[Batch]:
    """The group in batches; an event that is too heavy by itself travels alone."""
    batch: list[Parcel] = []
    octets = 0
    for one in group:
        weight = len(one[1].payload)
        if batch and (len(batch) == size.events or octets + weight > size.octets):
            yield tuple(batch)
            batch, octets = [], 0
        batch.append(one)
        octets += weight
    if batch:
        yield tuple(batch)
