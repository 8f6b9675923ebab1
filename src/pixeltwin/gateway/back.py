"""The process behind the fronts: all of a gateway but the front door. What fronts hand over is kept here.

So there is one outbox with one writer, one memory of what was sent, one journal, one admin page, however many fronts.
A file for each front would need no link, but a repeat at another front would be sent twice, a visitor's answer would
find only some of what waits, and each file would pay for its own commits.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from pixeltwin.config import Config
from pixeltwin.consent.verdict import Answer
from pixeltwin.delivery.journal import MOST_CHANGES, Change, Journal, Record, State, Unmade, changed
from pixeltwin.delivery.outbox import NewItem
from pixeltwin.gateway import counts
from pixeltwin.gateway.consents import Said
from pixeltwin.gateway.entries import tell_answer
from pixeltwin.gateway.fronts import STOPPING, Fronts
from pixeltwin.gateway.gateway import STOP_SECONDS, Gateway
from pixeltwin.gateway.items import Relay
from pixeltwin.gateway.link import Kind, Link, Message, entry_of, record_of
from pixeltwin.telemetry import FRONT_HITS

EARLY: Final = 1000  # changes of records that have not arrived yet


class Back(Gateway):
    """A gateway with `count` fronts before it, each a process of `command`."""

    def __init__(self, config: Config, *, relay: Relay, count: int, command: Sequence[str]) -> None:
        super().__init__(config, relay=relay, journal=BackJournal())
        self.fronts = Fronts(count, command, lambda number: Desk(str(number), self), (self._cells.fd,))

    async def open(self) -> None:
        """As any gateway; then the fronts are started. Raises `OSError` also when one does not come to serve."""
        await super().open()
        try:
            await self.fronts.open(self.config)
        except BaseException:
            await self.close()
            raise

    async def apply(self, config: Config) -> None:
        await super().apply(config)
        await self.fronts.apply(config)

    def ready(self) -> str | None:
        return super().ready() or self.fronts.ready()

    def hurry(self) -> None:
        super().hurry()
        self.fronts.kill()

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        """End the fronts, then as any gateway."""
        began = time.monotonic()
        await self.fronts.stop(min(seconds, STOPPING))
        await super().close(max(0.0, seconds - (time.monotonic() - began)))


class Desk:
    """Where one front hands over what it has decided."""

    def __init__(self, front: str, back: Back) -> None:
        self.link = Link(self._hear, lambda: None)
        self.served = 0
        self._handed = 0
        self._told = asyncio.Event()
        self._back = back
        self._taken = FRONT_HITS.labels(front)
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly

    async def hand_on(self, config: Config) -> None:
        """Return when the front serves by the config, or by one that was handed on later."""
        self._handed += 1
        number = self._handed
        self.link.send(Kind.CONFIG, config.text, str(config.base))
        while self.served < number:
            self._told.clear()
            await self._told.wait()

    def _hear(self, messages: list[Message]) -> None:
        batch: list[tuple[int, Sequence[Any]]] = []
        for message in messages:
            match message:
                case [Kind.KEEP, number, items]:
                    batch.append((number, items))
                case [Kind.RECORD, record]:
                    self._back.journal.add(record_of(record))
                case [Kind.ENTRY, entry]:
                    self._back.journal.add_later(entry_of(entry))
                case [Kind.FOLLOW, number, *said]:
                    self._spawn(self._follow(number, *said))
                case [Kind.COUNTS, increments]:
                    counts.add(increments)
                case [Kind.SERVING]:
                    self.served += 1
                    self._told.set()
        if batch:
            self._taken.inc(len(batch))
            self._spawn(self._keep(batch))

    async def _keep(self, batch: Sequence[tuple[int, Sequence[Any]]]) -> None:
        """Append what has arrived together, as one; nothing of it is stored when that fails."""
        try:
            appended = iter(await self._back.outbox.append([NewItem(*item) for _, items in batch for item in items]))
        except OSError as error:
            for number, _ in batch:
                self.link.send(Kind.FAILED, number, str(error))
            return
        self.link.send(Kind.KEPT, [(number, [next(appended) for _ in items]) for number, items in batch])

    async def _follow(self, number: int, browser: str, pixels: Sequence[str], answer: str, is_held: bool) -> None:
        said = Said(browser, pixels, Answer(answer), is_held)
        concerned = await self._back.consents.follow(said)
        if concerned:
            tell_answer(self._back.journal, said)
        self.link.send(Kind.DONE, number, concerned)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class BackJournal(Journal):
    """Takes records from fronts. News of one may come first: a twin may be sent before its record is here."""

    def __init__(self) -> None:
        super().__init__()
        self._early: OrderedDict[str, tuple[Change, ...]] = OrderedDict()

    def add(self, record: Record) -> None:
        """A record that is known is the front's last word about it, which counts if nothing was heard since."""
        known = self.get(record.id)
        if known is None:
            super().add(changed(record, self._early.pop(record.id, ())))
        elif known.state is State.UNACKED:
            self.update(record.id, state=record.state, detail=record.detail)

    def add_later(self, unmade: Unmade) -> None:
        """One of which something is known is made at once."""
        if unmade.record_id in self._records or unmade.record_id in self._early:
            self.add(unmade.record())
        else:
            super().add_later(unmade)

    def change(self, record_id: str, change: Change) -> None:
        if record_id in self._records:
            super().change(record_id, change)
            return
        self._early[record_id] = (*self._early.get(record_id, ()), change)[-MOST_CHANGES:]
        while len(self._early) > EARLY:
            self._early.popitem(last=False)

    def forget(self, is_about: Callable[[Record], bool]) -> int:
        self._early.clear()
        return super().forget(is_about)
