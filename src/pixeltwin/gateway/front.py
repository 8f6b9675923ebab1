"""A front process: takes hits, decides about them, answers; what follows is kept by the process behind it, its back.

It has no outbox, no senders, no sources and no records of its own.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from pixeltwin.config import Config
from pixeltwin.delivery.journal import Change, Journal, Record, State, Unmade
from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.gateway.consents import Said
from pixeltwin.gateway.counts import Counts
from pixeltwin.gateway.entries import Entry
from pixeltwin.gateway.gateway import FLUSH_SECONDS, STOP_SECONDS, Gateway
from pixeltwin.gateway.items import Relay
from pixeltwin.gateway.line import closed_line
from pixeltwin.gateway.link import Kind, Link, Message, packed_entry, packed_record
from pixeltwin.gateway.throttle import Cells
from pixeltwin.telemetry import RECORDS_LOST, log

COUNT_SECONDS: Final = 0.25  # between two reports; what a front counts in its last one is lost when it is killed
MOST_BACKLOG: Final = 4 << 20  # bytes on the way to the back; above it no records are sent


class Front(Gateway):
    """A gateway whose hits are kept by the back, `behind` it."""

    def __init__(self, config: Config, *, relay: Relay, behind: "Behind", cells: Cells) -> None:
        super().__init__(config, relay=relay, senders=False, journal=FrontJournal(behind), cells=cells)
        self._behind = behind
        self._keeper.use(behind, behind)

    async def open(self) -> None:
        """There is nothing to open."""

    async def apply(self, config: Config) -> None:
        """Take another config from the next hit on."""
        self._line = closed_line(config, self._relay, self._cells)

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        """Wait for what is being kept, then let go of the back."""
        await self._keeper.flush(min(seconds, FLUSH_SECONDS))
        self._behind.close()


class Behind:
    """The back, as its front knows it: keeps items as an outbox does, follows answers, says what config counts.

    `gone` is called when it has ended before us. What it was asked to keep may be lost: no browser may be told anything
    else, so nothing must be answered any more.
    """

    def __init__(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        self._is_closing = False
        self._link = Link(self._hear, self._lost)
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._configs: asyncio.Queue[Sequence[str]] = asyncio.Queue()
        self._counts = Counts()
        self._counting: asyncio.Task[None] | None = None

    async def connect(self, ours: socket.socket) -> None:
        await asyncio.get_running_loop().create_unix_connection(lambda: self._link, sock=ours)
        self._counting = asyncio.create_task(self._count())

    async def next_config(self) -> Config | None:
        """The config that is to count from now on, once there is one; None: it is time to end.

        Raises `ConfigError` when it cannot be used here.
        """
        if told := await self._configs.get():
            text, base = told
            return Config.from_text(text, base=Path(base))
        return None

    def tell_serving(self) -> None:
        """Tell that the port is open, and one config more counts."""
        self._link.send(Kind.SERVING)

    def tell(self, record: Record) -> None:
        """Hand a record on; it is lost when the back lags, or nothing can be made of it."""
        self._hand_on(Kind.RECORD, packed_record(record))

    def tell_unmade(self, entry: Entry) -> None:
        """As `tell`, for one that the back makes when somebody looks at it."""
        self._hand_on(Kind.ENTRY, packed_entry(entry))

    def append(self, items: Sequence[NewItem]) -> asyncio.Future[list[Appended]]:
        """As an outbox does; without a task, as this is done for every hit. Raises `OSError` when the back has gone."""
        return self._ask(Kind.KEEP, items)

    async def follow(self, said: Said | None) -> int:
        """As `Consents` do."""
        if said is None:
            return 0
        try:
            concerned: int = await self._ask(Kind.FOLLOW, said.browser, tuple(said.pixels), said.answer, said.is_held)
        except OSError as error:
            log.error("an answer could not be carried out", answer=str(said.answer), error=str(error))
            return 0
        return concerned

    def close(self) -> None:
        self._is_closing = True
        if self._counting:
            self._counting.cancel()
        self._tell_counts()
        self._link.close()

    def _ask(self, kind: Kind, *what: Any) -> asyncio.Future[Any]:
        if not self._link.is_open:
            raise ConnectionError("the process behind this front has gone")
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        self._link.send(kind, number, *what)
        return future

    def _hand_on(self, kind: Kind, packed: Sequence[Any]) -> None:
        if self._link.backlog > MOST_BACKLOG:
            RECORDS_LOST.inc()
        else:
            self._link.send(kind, packed)

    def _hear(self, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case [Kind.KEPT, kept]:
                    for number, appended in kept:
                        self._answered(number, [Appended(one) for one in appended])
                case [Kind.DONE, number, result]:
                    self._answered(number, result)
                case [Kind.FAILED, number, why]:
                    self._answered(number, OSError(why))
                case [Kind.CONFIG, *config]:
                    self._configs.put_nowait(config)
                case [Kind.STOP]:
                    self._configs.put_nowait(())

    def _answered(self, number: int, result: Any) -> None:
        future = self._asked.pop(number)
        if future.done():
            return  # nobody waits any more
        if isinstance(result, OSError):
            future.set_exception(result)
        else:
            future.set_result(result)

    def _lost(self) -> None:
        if not self._is_closing:
            self._gone()
        for number in list(self._asked):
            self._answered(number, ConnectionError("the process behind this front has gone"))
        self._configs.put_nowait(())

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_SECONDS)
            self._tell_counts()

    def _tell_counts(self) -> None:
        if counts := self._counts.take():
            self._link.send(Kind.COUNTS, counts)


class FrontJournal(Journal):
    """Hands records on to the back, and holds none but those of which the last word is still to be said."""

    def __init__(self, behind: Behind) -> None:
        super().__init__()
        self._behind = behind

    def add(self, record: Record) -> None:
        if record.state is State.UNACKED:
            super().add(record)
        self._behind.tell(record)

    def add_later(self, unmade: Unmade) -> None:
        """Somebody may look at it in the back."""
        if isinstance(unmade, Entry) and unmade.state is not State.UNACKED:
            self._behind.tell_unmade(unmade)
        else:
            self.add(unmade.record())

    def change(self, record_id: str, change: Change) -> None:
        super().change(record_id, change)
        if record := self.get(record_id):
            del self._records[record_id]
            self._behind.tell(record)
