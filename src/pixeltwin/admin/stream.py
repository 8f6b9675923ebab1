"""The journal's changes as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final, Protocol

from pixeltwin.admin.records import summary, to_json
from pixeltwin.delivery.journal import Journal, Record

FRAME: Final = 0.1  # seconds between looks at the queue: a hit that is queued and delivered within one is told once
HEARTBEAT: Final = 15.0  # seconds of silence before a comment keeps proxies from hanging up
OPENING: Final = "retry: 1000\n\n"  # milliseconds before a browser comes back
SIGN_OF_LIFE: Final = ": still here\n\n"


class Journaled(Protocol):
    """A gateway's journal, and its pixels' names by id."""

    @property
    def journal(self) -> Journal: ...
    @property
    def pixels(self) -> Mapping[str, str]: ...


async def changes(
    view: Journaled, stopping: asyncio.Event, *, replay: int = 0, heartbeat: float = HEARTBEAT
) -> AsyncIterator[str]:
    """First the last `replay` records as they are now, oldest first, then every change until `stopping` is set.

    Both come from one place in this order, so that no reader ever replaces a newer state with an older one.
    """
    with view.journal.follow() as queue:
        yield OPENING + _messages(reversed(view.journal.latest(replay)), view.pixels)
        silence = 0.0
        while not stopping.is_set():
            await asyncio.sleep(FRAME)
            silence += FRAME
            if changed := _drain(queue):
                yield _messages(changed, view.pixels)
                silence = 0.0
            elif silence >= heartbeat:
                yield SIGN_OF_LIFE
                silence = 0.0


def _drain(queue: asyncio.Queue[Record]) -> Iterable[Record]:
    """What the queue holds, of each record the last state only."""
    changed: dict[str, Record] = {}
    while not queue.empty():
        record = queue.get_nowait()
        changed[record.id] = record
    return changed.values()


def _messages(records: Iterable[Record], pixels: Mapping[str, str]) -> str:
    return "".join(f"id: {record.id}\ndata: {to_json(summary(record, pixels))}\n\n" for record in records)
