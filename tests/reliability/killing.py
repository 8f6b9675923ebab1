"""The life of a gateway or a worker and its end by kill -9, at a point or anywhere."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import ClassVar, Final

from tests.processes import free_port, write_config
from tests.reliability.forms import tell
from tests.reliability.meta import API, RELAY, OracleMeta
from tests.reliability.nursery import Child, Kind, Nursery
from tests.reliability.oracle import Hit, Oracle, Verdict
from tests.reliability.visitors import Visitors

from pixeltwin.delivery.outbox import Outbox
from pixeltwin.outboxes import postgres

ANYWHERE: Final = "anywhere"
LIFE: Final = 20.0  # seconds after which a process whose point is not reached is killed where it is
PASSES: Final = {
    "in_commit": 300,
    "in_checkpoint": 60,
    "in_shutdown": 8,
    "in_bisect": 3,
    "after_post": 6,
    "before_post": 6,
    "after_settle": 8,
}
SQLITE: Final = "{ kind: sqlite, path: outbox.db }"  # as in tests/processes.py
POISON_EVERY: Final = 40
MOST_LET_GO: Final = 0.1  # of the answered: a machine under such a load is slow at times, and hardly anything else
RANDOM: Final = random.Random(5)  # noqa: S311 places to kill at


@dataclass
class Mortal:
    """A process of `pixeltwin KIND` that is started again and again. `lease` as in `short_leases`."""

    kind: ClassVar[Kind]
    folder: Path
    meta: OracleMeta
    lease: float | None = None
    senders: bool = True
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        lease = f", lease: {self.lease:.0f}s" if self.lease else ""
        more = f"delivery: {{ senders: {str(self.senders).lower()}{lease} }}"
        self.config = write_config(self.folder, self.meta.url, port=self.port, more=more)
        self.note = self.config.with_suffix(".note")
        self.note.touch()

    async def works(self) -> None:
        """Return when it, or one like it, has done something more."""
        raise NotImplementedError

    async def start(self, born: Nursery, failpoint: str = "") -> Child:
        return await born.start(self.config, kind=self.kind, failpoint=failpoint, note=self.note, lease=self.lease)

    async def kill(self, born: Nursery, point: str) -> bool:
        """One cycle; answers whether the process died at the point."""
        times = RANDOM.randint(1, PASSES.get(point, 20))
        noted = self.note.stat().st_size
        child = await self.start(born, "" if point == ANYWHERE else f"{point}:{times}")
        await self._die(child, point)
        return point == ANYWHERE or b"killed" in self.note.read_bytes()[noted:]

    async def _die(self, child: Child, point: str) -> None:
        if point == ANYWHERE:
            if RANDOM.random() < 0.7:
                await self.works()
            await asyncio.sleep(RANDOM.uniform(0.0, 0.5))
        elif point == "in_shutdown":
            await self.works()
            child.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(child.ended), 0.0 if point == ANYWHERE else LIFE)
        child.signal(signal.SIGKILL)
        await child.ended


@dataclass
class Node(Mortal):
    """A gateway, and the visitors that come to it."""

    kind = "run"
    oracle: Oracle = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.visitors = Visitors(self.oracle, self._issued)

    def _issued(self, hit: Hit) -> None:
        """Some are such as Meta refuses, so that batches are searched."""
        if int(hit.event_id.partition("-")[2]) % POISON_EVERY == 0:
            self.meta.poison.add(hit.event_id)

    async def works(self) -> None:
        await self.visitors.answers()

    def hear(self) -> None:
        """Tell the oracle which hits the gateway said it could not keep."""
        for line in self.note.read_text().splitlines():
            if line.startswith("let go "):
                event_id, _, why = line.removeprefix("let go ").partition(" ")
                self.oracle.let_go[event_id] = why


@dataclass
class Sender(Mortal):
    """A worker without a front door."""

    kind = "worker"

    async def works(self, seconds: float = 30.0) -> None:
        async with asyncio.timeout(seconds):
            before = len(self.meta.posts)
            while len(self.meta.posts) == before:  # noqa: ASYNC110 a post rings no bell
                await asyncio.sleep(0.005)


async def torment(mortal: Mortal, born: Nursery, points: Sequence[str], first: int, cycles: int) -> Counter[str]:
    """Kill it at the points in turn, from the first on; how often it died where it should."""
    reached: Counter[str] = Counter()
    for point in islice(cycle(points), first, first + cycles):
        reached[point] += await mortal.kill(born, point)
    return reached


def share_database(mortal: Mortal, url: str, schema: str) -> None:
    """Give it an outbox in PostgreSQL instead of its own."""
    secret = mortal.folder / "url"
    secret.write_text(url)
    text = mortal.config.read_text()
    assert SQLITE in text
    shared = f'{{ kind: postgres, url: "${{file:{secret}}}", schema: {schema}, spool: {{ path: spool.db }} }}'
    mortal.config.write_text(text.replace(SQLITE, shared))


@asynccontextmanager
async def shared_outbox(url: str, schema: str, base: Path) -> AsyncIterator[Outbox]:
    """The nodes' outbox, as one more of them."""
    outbox = await postgres.open_outbox(postgres.Settings(kind="postgres", url=url, schema=schema), base=base)
    try:
        yield outbox
    finally:
        await outbox.close()


async def judge_shared(oracle: Oracle, url: str, schema: str, *, base: Path) -> Verdict:
    """After the end: nothing may wait any more."""
    async with shared_outbox(url, schema, base) as outbox:
        return await oracle.judge(outbox, drained=True)


async def drained(oracle: Oracle, meta: OracleMeta, seconds: float = 60.0) -> None:
    """Until Meta has taken all that was answered and is no poison, or for so long: the judge says what is missing."""
    answered = oracle.answered.keys() - oracle.let_go.keys()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not (  # noqa: ASYNC110 an arrival rings no bell
                answered - meta.poison <= meta.ids(API) and answered <= meta.ids(RELAY)
            ):
                await asyncio.sleep(0.05)


async def emptied(url: str, schema: str, *, base: Path, seconds: float) -> None:
    """Until nothing waits, or for so long: of many events that Meta refuses some have several tries before them."""
    async with shared_outbox(url, schema, base) as outbox:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await outbox.waiting(limit=1):  # noqa: ASYNC110 an end rings no bell
                    await asyncio.sleep(0.5)


def tell_let_go(oracle: Oracle, verdict: Verdict) -> None:
    tell("let go, and counted", share=f"{verdict.share_let_go:.2%}", **Counter(oracle.let_go.values()))
