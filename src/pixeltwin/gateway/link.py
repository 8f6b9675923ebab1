"""What a front process and its back say to each other: messages, over a pair of sockets that nobody else has.

Whatever is said in one turn of the event loop is one write, and what has arrived is heard together: so hits share the
way to the outbox as they share its commits. msgpack knows where a message ends, and takes bytes as they are.
"""

import asyncio
from collections.abc import Callable, Sequence
from enum import IntEnum
from operator import attrgetter
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]  # it brings no types

from pixeltwin.delivery.journal import Record, State
from pixeltwin.gateway.entries import Entry

RECORD: Final = tuple(Record.__dataclass_fields__)
ENTRY: Final = tuple(Entry.__dataclass_fields__)


class Kind(IntEnum):
    """What a message says; it is its first element.

    The front says KEEP (number, items), FOLLOW (number, answer), RECORD (record), ENTRY (entry), COUNTS (increments),
    SERVING; the back says KEPT (for each number what became of its items), DONE (number, result), FAILED (number, why),
    CONFIG (text, folder), STOP.
    """

    KEEP = 0
    FOLLOW = 1
    RECORD = 2
    COUNTS = 3
    SERVING = 4
    DONE = 5
    FAILED = 6
    CONFIG = 7
    STOP = 8
    ENTRY = 9
    KEPT = 10


type Message = Sequence[Any]

packed_record: Final = attrgetter(*RECORD)
packed_entry: Final = attrgetter(*ENTRY)


def record_of(packed: Sequence[Any]) -> Record:
    return Record(**_unpacked(RECORD, packed))


def entry_of(packed: Sequence[Any]) -> Entry:
    return Entry(**_unpacked(ENTRY, packed))


def _unpacked(names: Sequence[str], packed: Sequence[Any]) -> dict[str, Any]:
    fields = dict(zip(names, packed, strict=True))
    return {**fields, "state": State(fields["state"])}


class Link(asyncio.Protocol):
    """One end. `hear` is called with the messages that have arrived, `lost` when there will be no more."""

    def __init__(self, hear: Callable[[list[Message]], None], lost: Callable[[], None]) -> None:
        self._hear, self._lost = hear, lost
        self._packer = msgpack.Packer(default=str, unicode_errors="surrogatepass")  # str: integers above 64 bits
        self._unpacker = msgpack.Unpacker(use_list=False, unicode_errors="surrogatepass")
        self._unsent: list[bytes] = []
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # the pair's, which is written to

    def data_received(self, data: bytes) -> None:
        self._unpacker.feed(data)
        self._hear(list(self._unpacker))

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._lost()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    @property
    def backlog(self) -> int:
        """Bytes that the other end has not taken yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def send(self, *message: Any) -> None:
        """Say it with the next turn of the loop; to nobody when the other end has gone."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(self._packer.pack(message))

    def close(self) -> None:
        """Say what is still to be said, then nothing more."""
        self._flush()
        if self._transport:
            self._transport.close()

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        if self._transport and data:
            self._transport.write(data)
