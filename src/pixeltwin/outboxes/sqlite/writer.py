"""One thread does everything that is done to the file, and does together what waits together.

An fsync costs the same for one hit as for five hundred, so all commands that wait become one transaction. Their
tasks hear of it after the commit, with one call into their event loop. What is appended while a loop is busy comes to
the thread together: it would wake up for the first, and commit that alone. So groups grow with the load. Nor do two
groups follow each other too soon: at 1,000 hits a second nearly each would be committed alone otherwise, and a commit
costs both threads more than all that is decided about a hit. A hit that comes alone waits for nobody.
"""

import asyncio
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from pixeltwin.delivery.outbox import Appended, NewItem
from pixeltwin.outboxes.sqlite.intake import Order
from pixeltwin.outboxes.sqlite.keeper import Keeper, Remedy
from pixeltwin.outboxes.sqlite.store import Store

QUIET_TURNS: Final = 3  # a hit comes from its socket to its append in so many
PACE: Final = 0.002  # seconds from one group to the next; who comes in between waits half of that on average
LONGEST_GATHERING: Final = 0.03  # seconds; a loop that is never quiet hands over all the same
REMEDIES: Final = 2  # for one group: the ballast's room, then the log's
MAX_GROUP: Final = 1000  # entries and one turn's more; bounds how long the first of a group waits for the last


class Work(NamedTuple):
    """Anything that is done to the store, and who waits for it."""

    work: Callable[[Store], Any]
    futures: Sequence[asyncio.Future[Any]]

    def do(self, store: Store) -> Sequence[Any]:
        return [self.work(store)]

    def alone(self) -> Sequence["Command"]:
        return [self]


class Group(NamedTuple):
    """What is appended together, and who waits for what becomes of each. Nearly everything that is done is this."""

    orders: list[Order]
    futures: list[asyncio.Future[list[Appended]]]

    def do(self, store: Store) -> Sequence[Any]:
        return store.append(self.orders)

    def alone(self) -> Sequence["Command"]:
        """Each as a command of its own."""
        return [Group([order], [future]) for order, future in zip(self.orders, self.futures, strict=True)]


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who waits for a destination, for `seconds` at most.

    `asked_at` is the time on the asker's clock; `began` and `look_at` are on the monotonic one.
    """

    destination: str
    seconds: float
    asked_at: float
    began: float
    future: asyncio.Future[None]
    look_at: float = 0.0


type Command = Work | Group
type Entry = Command | Waiter | None  # None: stop

COMMANDS: Final = (Work, Group)


class Answers(NamedTuple):
    """What some tasks of one loop are told: each its value, or the error to raise."""

    futures: Sequence[asyncio.Future[Any]]
    values: Sequence[Any]

    def tell(self) -> None:
        for future, value in zip(self.futures, self.values, strict=True):
            if future.done():  # its task was cancelled
                continue
            if isinstance(value, Exception):
                future.set_exception(value)
            else:
                future.set_result(value)


class Writer:
    """The thread of one store. Any task of any event loop may call it."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._store = keeper.store
        self._entries: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, Group] = {}
        self._next_group_at = 0.0  # by the loops' clock, which is the same for all of a process
        self._waiters: list[Waiter] = []
        # A daemon: whoever ends without closing has lost nothing that was acknowledged.
        self._thread = threading.Thread(target=self._serve, name="outbox", daemon=True)
        self._thread.start()

    @property
    def commits(self) -> int:
        return self._store.commits

    def synchronous(self, level: str) -> None:
        """Say how SQLite is to write from the next transaction on."""
        self._store.synchronous = level

    def refusal(self) -> str | None:
        """Why no item at all is accepted at present."""
        return self._keeper.refusal()

    async def do[T](self, work: Callable[[Store], T]) -> T:
        """The result of the work, once it is durable. What the work raises is raised here."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._hand_over(loop)
        self._entries.put(Work(work, [future]))
        return await future

    def append(self, items: Sequence[NewItem], now: float) -> asyncio.Future[list[Appended]]:
        """What becomes of the items, once they are durable; without a task, as this is done for every hit."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Appended]] = loop.create_future()
        group = self._gathered.get(loop)
        if group is None:
            group = self._gathered[loop] = Group([], [])
            self._begin_gathering(loop)
        group.orders.append((items, now))
        group.futures.append(future)
        return future

    def _begin_gathering(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        if now < self._next_group_at:
            loop.call_at(self._next_group_at, self._hand_over, loop)
        else:
            loop.call_soon(self._gather, loop, 0, 0, now + LONGEST_GATHERING)

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int, until: float) -> None:
        """Hand over when some turns of the loop have brought no more."""
        group = self._gathered.get(loop)
        count = len(group.orders) if group else 0
        quiet = quiet + 1 if count == before else 0
        if quiet == QUIET_TURNS or loop.time() >= until:
            self._hand_over(loop)
        elif count:
            loop.call_soon(self._gather, loop, count, quiet, until)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the thread what was gathered."""
        if group := self._gathered.pop(loop, None):
            self._next_group_at = loop.time() + PACE
            self._entries.put(group)

    async def wait(self, destination: str, *, seconds: float, now: float) -> None:
        """Return when something of the destination may have become due, or after so many seconds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entries.put(Waiter(destination, seconds, now, time.monotonic(), future))
        await future

    def stop(self) -> None:
        """Finish what was asked for so far and end the thread; blocks until it has."""
        self._entries.put(None)
        self._thread.join()

    def _serve(self) -> None:
        stopping = False
        while not stopping:
            entries = self._next_entries()
            stopping = None in entries
            answers = self._attempt([entry for entry in entries if isinstance(entry, COMMANDS)])
            self._waiters += [entry for entry in entries if isinstance(entry, Waiter)]
            answers += self._wake(everybody=stopping)
            _tell(answers)

    def _next_entries(self) -> list[Entry]:
        """Everything that waits by now; nothing when it is time to look after a waiter."""
        entries: list[Entry] = []
        room = MAX_GROUP
        with suppress(queue.Empty):
            entries.append(self._entries.get(timeout=self._pause()))
            while (room := room - _size(entries[-1])) > 0:
                entries.append(self._entries.get_nowait())
        return entries

    def _pause(self) -> float | None:
        if not self._waiters:
            return None
        wanted = min(waiter.look_at for waiter in self._waiters) - time.monotonic()
        return min(max(0.0, wanted), threading.TIMEOUT_MAX)

    def _attempt(self, commands: Sequence[Command], *, tries: int = REMEDIES) -> list[Answers]:
        """Do the commands in one transaction; should that fail, one by one, so that a bad one fails alone.

        Not so when it was the disk that failed: then all of them have.
        """
        if not commands:
            return []
        try:
            self._keeper.check()
            with self._store.transaction():
                done = [Answers(command.futures, command.do(self._store)) for command in commands]
        except Exception as error:
            remedy = self._keeper.remedy(error)
            if remedy is Remedy.AGAIN and tries:
                return self._attempt(commands, tries=tries - 1)
            alone = [one for command in commands for one in command.alone()]
            if remedy is Remedy.NONE or len(alone) == 1:
                return [Answers(one.futures, [self._keeper.told(error)]) for one in alone]
            return [answers for one in alone for answers in self._attempt([one])]
        return done

    def _wake(self, *, everybody: bool) -> list[Answers]:
        """Look after the waiters whose time has come or whose destination was touched."""
        now = time.monotonic()
        answers, staying = [], []
        for waiter in self._waiters:
            looking = waiter.look_at <= now or waiter.destination in self._store.touched
            answer = Answers([waiter.future], [None]) if everybody else self._look(waiter) if looking else None
            if answer:
                answers.append(answer)
            else:
                staying.append(waiter)
        self._waiters = staying
        self._store.touched.clear()
        return answers

    def _look(self, waiter: Waiter) -> Answers | None:
        """The waiter's answer; None while there is nothing for it, and then `look_at` says when to look again."""
        elapsed = time.monotonic() - waiter.began
        now = waiter.asked_at + elapsed
        try:
            pause = min(self._store.next_due(waiter.destination, now) - now, waiter.seconds - elapsed)
        except Exception as error:
            return Answers([waiter.future], [self._keeper.told(error)])
        waiter.look_at = time.monotonic() + pause
        return Answers([waiter.future], [None]) if pause <= 0 else None


def _size(entry: Entry) -> int:
    """How many commands it is."""
    return len(entry.orders) if isinstance(entry, Group) else 1


def _tell(answers: Iterable[Answers]) -> None:
    """Hand the answers to their event loops, one call each."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[Answers]] = defaultdict(list)
    for some in answers:
        by_loop[some.futures[0].get_loop()].append(some)
    for loop, theirs in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, so nobody waits for these any more
            loop.call_soon_threadsafe(_tell_all, theirs)


def _tell_all(answers: Iterable[Answers]) -> None:
    for some in answers:
        some.tell()
