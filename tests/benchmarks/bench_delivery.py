"""How long a hit takes to its answer and to Meta's 200, at 20 to 2,000 hits/s, beside posting each event directly.

    uv run --group dev python tests/benchmarks/bench_delivery.py [--nodes]

Hits come as visitors do, at random (Poisson) and whether or not earlier ones were answered; a hit's time counts from
when it was due. Meta is a stub of this machine that answers after 80 ms. `pixeltwin` is `pixeltwin run` as it is
deployed, durable, a front process for each core; it relays the browser's copies in the `background`, or the `browser`
brings them to Meta. `direct` posts each event by itself, with nothing between; it runs right after, and the ratio is to
it. CPU is that of the gateway's processes: on a machine that others use too, times tell how much of it we got, CPU what
a hit costs; visitors and Meta have to live on the same cores. What has not arrived after half a minute is late.

With `--nodes` it is two gateways without senders and two workers, each a process, on one PostgreSQL; hits come to the
gateways in turn. CPU is that of these four; PostgreSQL's comes on top, on the same cores.
Reports, asserts nothing; some three minutes, one with `--nodes`.
"""

import argparse
import asyncio
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.bench_lanes import cpu_seconds
from tests.factories import PIXEL, UA, hit_query
from tests.processes import BIN, Process, free_port, started, until, write_config
from tests.sources.postgres import postgres

META_SECONDS: Final = 0.08  # Graph's usual round trip
CONNECTIONS: Final = 64
HEAD: Final = f"HTTP/1.1\r\nHost: px.shop.example\r\nUser-Agent: {UA}\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
PATIENCE: Final = 30.0  # seconds for what is late
SQLITE: Final = "{ kind: sqlite, path: outbox.db }"
POSTGRES: Final = '{ kind: postgres, url: "${OUTBOX_DSN}", spool: { path: spool.db } }'

type Message = Callable[[str], bytes]  # what asks about an event of that id
type Times = dict[str, float]  # by event id, in seconds of the machine's monotonic clock


# Meta


async def stub(port: int) -> None:
    """Takes everything, and tells under `/taken` when it answered each event."""
    taken: Times = {}

    async def answer(head: bytes, body: bytes) -> bytes:
        if b" /taken" in head:
            return orjson.dumps(taken)
        await asyncio.sleep(META_SECONDS)
        if b"/events " not in head:
            return b""
        events = orjson.loads(body)["data"]
        now = time.monotonic()
        for event in events:
            taken.setdefault(event["event_id"], now)
        return b'{"events_received":%d}' % len(events)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                said = await answer(head, await reader.readexactly(length_of(head)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


def length_of(head: bytes) -> int:
    lines = (line.lower() for line in head.split(b"\r\n"))
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)


# Visitors


@dataclass(frozen=True)
class Visits:
    """When each hit was due, and when it was answered."""

    due: Times = field(default_factory=dict)
    answered: Times = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """A keep-alive connection that asks one thing at a time. Without tasks, as the machine is to be the gateway's."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._crowd.is_free(self)

    def ask(self, event_id: str, message: bytes) -> None:
        self.event_id, self._answer = event_id, b""
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if end and len(body) >= length_of(head):
            assert head.startswith(b"HTTP/1.1 200"), head
            self._crowd.visits.answered[self.event_id] = time.monotonic()
            self._crowd.is_free(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._crowd.has_gone(self)

    def close(self) -> None:
        self._transport.close()


class Crowd:
    """Visitors of a port: a hit waits for a free connection."""

    def __init__(self, port: int, message: Message, visits: Visits) -> None:
        self.visits = visits
        self._port, self._message = port, message
        self._waiting = deque[str]()
        self._free: list[Connection] = []

    async def open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Connection(self), "127.0.0.1", self._port)

    def come(self, event_id: str, at: float) -> None:
        self.visits.due[event_id] = at
        self._waiting.append(event_id)
        self._send()

    def is_free(self, connection: Connection) -> None:
        self._free.append(connection)
        self._send()

    def has_gone(self, connection: Connection) -> None:
        """The other side closes what it has not heard of for a while."""
        if connection in self._free:
            self._free.remove(connection)
            self._opening = asyncio.ensure_future(self.open())

    def leave(self) -> None:
        free, self._free = self._free, []
        for connection in free:
            connection.close()

    def _send(self) -> None:
        while self._waiting and self._free:
            event_id = self._waiting.popleft()
            self._free.pop().ask(event_id, self._message(event_id))


async def visit(ports: Sequence[int], message: Message, rate: float, seconds: float, name: str) -> Visits:
    """Send at random moments, `rate` a second, to the ports in turn. What is not answered is left."""
    visits = Visits()
    crowds = [Crowd(port, message, visits) for port in ports]
    for crowd in islice(cycle(crowds), CONNECTIONS):
        await crowd.open()
    await come(cycle(crowds), visits.due, rate, seconds, name)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while len(visits.answered) < len(visits.due):  # noqa: ASYNC110 the last answer rings no bell
                await asyncio.sleep(0.05)
    for crowd in crowds:
        crowd.leave()
    return visits


async def come(turns: Iterator[Crowd], due: Times, rate: float, seconds: float, name: str) -> None:
    chance, at = random.Random(name), time.monotonic()  # noqa: S311 - visitors are no secret
    end = at + seconds
    while (at := at + chance.expovariate(rate)) < end:
        if (early := at - time.monotonic()) > 0:
            await asyncio.sleep(early)
        next(turns).come(f"{name}-{len(due)}", at)


def hit(event_id: str) -> bytes:
    """A hit of now, with a purchase's data, to a gateway's front door."""
    now = time.time_ns() // 1_000_000
    query = hit_query("AddToCart", eid=event_id, ts=str(now), it=str(now - 9000), cd_value="129.9", cd_currency="EUR")
    return f"GET /tr/?{query} {HEAD}".encode()


def post(event_id: str) -> bytes:
    """An event to Meta, by itself."""
    body = orjson.dumps({"data": [{"event_id": event_id, "event_name": "AddToCart", "padding": "x" * 1000}]})
    return b"POST /v26.0/%s/events HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PIXEL.encode(), len(body)) + body


# Measuring


@dataclass(frozen=True)
class Side:
    """One way to Meta: what was sent, over what time, how long its answers took, and how long what arrived took.

    `cpu` is in seconds.
    """

    sent: int
    seconds: float
    answers: list[float]
    waits: list[float]
    cpu: float = 0.0

    def __str__(self) -> str:
        p50, p99 = (percentile(self.waits, at) * 1000 for at in (50, 99))
        return f"{len(self.waits) / self.seconds:>6,.0f}/s {self.sent - len(self.waits):>6,} {p50:>8,.0f} {p99:>8,.0f}"


def percentile(times: list[float], at: int) -> float:
    return statistics.quantiles(times, n=100)[at - 1]


def judged(visits: Visits, meta: str) -> Side:
    """Once everything has arrived, or patience has ended."""
    due = visits.due
    end = time.monotonic() + PATIENCE
    while True:
        taken: Times = httpx.get(f"{meta}/taken", trust_env=False).json()
        if due.keys() <= taken.keys() or time.monotonic() > end:
            break
        time.sleep(0.5)
    arrived = [taken[event_id] for event_id in due if event_id in taken]
    waits = [taken[event_id] - at for event_id, at in due.items() if event_id in taken]
    answers = [at - due[event_id] for event_id, at in visits.answered.items()]
    return Side(len(due), max(arrived) - min(due.values()), answers, waits)


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def through_run(folder: Path, meta: str, relay: str, rate: float, seconds: float, name: str) -> Side:
    port, admin = free_port(), free_port()
    config = write_config(folder, meta, port=port, admin=admin, pixel=f", relay: {relay}")
    command = (BIN / "pixeltwin", "run", "-c", config)
    env = {"PYTHONDONTWRITEBYTECODE": "", "PIXELTWIN_WORKERS": ""}  # as many as there are cores
    with started(*command, log=folder / "gateway.log", port=admin, patience=2 * PATIENCE, env=env) as process:
        assert until(lambda: listens(port), patience=PATIENCE), process.output()
        asyncio.run(visit([port], hit, 100, 2, f"warm-{name}"))
        return measured([process], [port], meta, rate, seconds, name)


def through_nodes(folder: Path, meta: str, relay: str, rate: float, seconds: float, name: str) -> Side:
    """Two gateways that only take hits, two workers that only deliver them, and PostgreSQL between."""
    ports = [free_port(), free_port()]
    with ExitStack() as running:
        env = {"PYTHONDONTWRITEBYTECODE": "", "OUTBOX_DSN": running.enter_context(postgres())}

        def start(command: str, port: int) -> Process:
            words = (BIN / "pixeltwin", command, "-c", node_config(folder, meta, relay, port))
            return running.enter_context(started(*words, log=folder / f"{port}.log", env=env))

        gateways = [start("run", port) for port in ports]
        for port, gateway in zip(ports, gateways, strict=True):
            assert until(lambda port=port: listens(port), patience=2 * PATIENCE), gateway.output()
        workers = [start("worker", free_port()) for _ in ports]
        warm = judged(asyncio.run(visit(ports, hit, 100, 2, f"warm-{name}")), meta)
        assert len(warm.waits) == warm.sent, workers[0].output()
        return measured([*gateways, *workers], ports, meta, rate, seconds, name)


def node_config(folder: Path, meta: str, relay: str, port: int) -> Path:
    """A node's, in a folder of its own: PostgreSQL's spool is one file a node."""
    (home := folder / f"node-{port}").mkdir()
    config = write_config(home, meta, port=port, pixel=f", relay: {relay}", more="delivery: { senders: false }")
    text = config.read_text()
    assert SQLITE in text
    config.write_text(text.replace(SQLITE, POSTGRES))
    return config


def measured(
    processes: Sequence[Process], ports: Sequence[int], meta: str, rate: float, seconds: float, name: str
) -> Side:
    """What hits to these ports came to, and what these processes used for them."""
    began = sum(map(cpu_seconds, processes))
    side = judged(asyncio.run(visit(ports, hit, rate, seconds, name)), meta)
    return replace(side, cpu=sum(map(cpu_seconds, processes)) - began)


def directly(meta: str, rate: float, seconds: float, name: str) -> Side:
    port = int(meta.rpartition(":")[2])
    return judged(asyncio.run(visit([port], post, rate, seconds, name)), meta)


# who brings the browser's copy to Meta, hits a second, and for how many seconds
ROWS: Final = (
    ("background", 20, 20.0),
    ("background", 200, 10.0),
    ("background", 1000, 10.0),
    ("background", 2000, 10.0),
    ("browser", 1000, 10.0),
    ("browser", 2000, 10.0),
)
NODES: Final = (("browser", 200, 10.0), ("browser", 1000, 10.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", action="store_true", help="two gateways and two workers on one PostgreSQL")
    way, rows = (through_nodes, NODES) if parser.parse_args().nodes else (through_run, ROWS)
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    columns = " arrived   late   p50 ms   p99 ms"
    print(f"{'':20}{'answered':^16}    {'pixeltwin':^{len(columns)}}    {'direct':^{len(columns)}}")
    print(f"hits/s  copy           p50     p99    {columns}    {columns}      p50      p99  CPU a hit")
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "stub.log"
        with started(sys.executable, __file__, "stub", str(port), log=log, port=port):
            meta = f"http://127.0.0.1:{port}"
            for number, (relay, rate, seconds) in enumerate(rows):
                (folder := Path(home) / str(number)).mkdir()
                side = way(folder, meta, relay, rate, seconds, f"{number}-twin")
                beside = directly(meta, rate, seconds, f"{number}-direct")
                ratios = [percentile(side.waits, at) / percentile(beside.waits, at) for at in (50, 99)]
                answers = " ".join(f"{percentile(side.answers, at) * 1000:>7.1f}" for at in (50, 99))
                cpu = side.cpu / len(side.waits) * 1000
                shown = f"{ratios[0]:6.2f}x {ratios[1]:6.2f}x {cpu:>7.2f} ms"
                print(f"{rate:>6,}  {relay:<12}{answers}    {side}    {beside}  {shown}", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stub", port]:
            asyncio.run(stub(int(port)))
        case _:
            main()
