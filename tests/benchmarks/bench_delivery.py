"""How long a hit takes to its answer and to Meta's 200, at 20 to 2,000 hits/s, beside posting each event directly.

    uv run --group dev python tests/benchmarks/bench_delivery.py

Hits come as visitors do, at random (Poisson) and whether or not earlier ones were answered; a hit's time counts from
when it was due. Meta is a stub of this machine that answers after 80 ms. `run` is `pixeltwin run` as it is deployed,
durable, with the browser's copies relayed from the same process. `gateway` is a process that is handed the hits without
HTTP, for rates beyond the proxy's. `direct` posts each event by itself, with nothing between; it runs right after, and
the ratio is to it. CPU is that of the gateway's process, of `gateway` with making the hits: on a machine that others
use too, times tell how much of it we got, CPU what a hit costs. What has not arrived after half a minute is late.
Reports, asserts nothing; some five minutes.
"""

import asyncio
import json
import os
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.bench_lanes import cpu_seconds
from tests.factories import PIXEL, UA, hit_query, request
from tests.processes import BIN, free_port, started, until, write_config

from pixeltwin.config import Config
from pixeltwin.gateway.gateway import Gateway

META_SECONDS: Final = 0.08  # Graph's usual round trip
CONNECTIONS: Final = 64
PATIENCE: Final = 30.0  # seconds for what is late

type Send = Callable[[str], Awaitable[object]]
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

    async def send(self, send: Send, event_id: str, at: float) -> None:
        self.due[event_id] = at
        await send(event_id)
        self.answered[event_id] = time.monotonic()


async def visit(send: Send, rate: float, seconds: float, name: str) -> Visits:
    """Send at random moments, `rate` a second. Whoever waits too long goes away."""
    visits = Visits()
    chance, at = random.Random(name), time.monotonic()  # noqa: S311 - visitors are no secret
    end = at + seconds
    hits = []
    while (at := at + chance.expovariate(rate)) < end:
        await asyncio.sleep(at - time.monotonic())
        hits.append(asyncio.ensure_future(visits.send(send, f"{name}-{len(hits)}", at)))
    _, waiting = await asyncio.wait(hits, timeout=PATIENCE)
    for hit in waiting:
        hit.cancel()
    return visits


class Connections:
    """Keep-alive connections to a port; a message waits for a free one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(CONNECTIONS):
            self._free.put_nowait(None)

    async def ask(self, message: bytes) -> None:
        used = await self._free.get()
        try:
            await self._ask(message, used or await self._open())
        except (asyncio.IncompleteReadError, ConnectionError):
            await self._ask(message, await self._open())  # the other side had closed it just then

    async def _open(self) -> Any:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def _ask(self, message: bytes, connection: Any) -> None:
        reader, writer = connection
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(length_of(head))
        self._free.put_nowait((reader, writer))


def query_of(event_id: str) -> str:
    """A hit of now, with a purchase's data."""
    now = time.time_ns() // 1_000_000
    return hit_query("AddToCart", eid=event_id, ts=str(now), it=str(now - 9000), cd_value="129.9", cd_currency="EUR")


def as_visitor(port: int) -> Send:
    """To a gateway's front door."""
    connections = Connections(port)
    head = f"HTTP/1.1\r\nHost: px.shop.example\r\nUser-Agent: {UA}\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
    return lambda event_id: connections.ask(f"GET /tr/?{query_of(event_id)} {head}".encode())


def as_server(port: int) -> Send:
    """To Meta, one event a post."""
    connections = Connections(port)

    def post(event_id: str) -> Awaitable[None]:
        body = orjson.dumps({"data": [{"event_id": event_id, "event_name": "AddToCart", "padding": "x" * 1000}]})
        head = b"POST /v26.0/%s/events HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PIXEL.encode(), len(body))
        return connections.ask(head + body)

    return post


async def within(config: Config, rate: float, seconds: float, name: str) -> tuple[Visits, float]:
    """Hand hits to a gateway of this process, and wait until it has nothing left; the hits, and the CPU."""
    opened = Gateway(config, relay="background")
    await opened.open()
    began = time.process_time()
    visits = await visit(
        lambda event_id: opened.handle(request(query_of(event_id), received_at=time.time())), rate, seconds, name
    )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and any(it.ready + it.leased for it in (await opened.stats()).values()):  # noqa: ASYNC110 an empty outbox rings no bell
        await asyncio.sleep(0.2)
    took = time.process_time() - began
    await opened.close()
    return visits, took


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


def through_run(folder: Path, meta: str, rate: float, seconds: float, name: str) -> Side:
    port = free_port()
    command = (BIN / "pixeltwin", "run", "-c", write_config(folder, meta, port=port))
    with started(*command, log=folder / "gateway.log") as process:
        assert until(lambda: listens(port), patience=2 * PATIENCE), process.output()
        asyncio.run(visit(as_visitor(port), 20, 1, f"warm-{name}"))
        began = cpu_seconds(process)
        side = judged(asyncio.run(visit(as_visitor(port), rate, seconds, name)), meta)
        return replace(side, cpu=cpu_seconds(process) - began)


def through_gateway(folder: Path, meta: str, rate: float, seconds: float, name: str) -> Side:
    config, out = write_config(folder, meta), folder / "due.json"
    command = (sys.executable, __file__, "within", config, str(rate), str(seconds), name, out)
    with started(*command, log=folder / "within.log") as process:
        assert process.popen.wait(seconds + 5 * PATIENCE) == 0, process.output()
    due, answered, cpu = json.loads(out.read_text())
    return replace(judged(Visits(due, answered), meta), cpu=cpu)


def directly(meta: str, rate: float, seconds: float, name: str) -> Side:
    port = int(meta.rpartition(":")[2])
    return judged(asyncio.run(visit(as_server(port), rate, seconds, name)), meta)


ROWS: Final = (
    ("run", through_run, 20, 20.0),
    ("run", through_run, 200, 10.0),
    ("run", through_run, 1000, 5.0),
    ("run", through_run, 2000, 5.0),
    ("gateway", through_gateway, 2000, 5.0),
)


def main() -> None:
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    columns = " arrived   late   p50 ms   p99 ms"
    print(f"{'':16}{'answered':^16}    {'pixeltwin':^{len(columns)}}    {'direct':^{len(columns)}}")
    print(f"hits/s  path       p50     p99    {columns}    {columns}      p50      p99  CPU a hit")
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        log = Path(home) / "stub.log"
        with started(sys.executable, __file__, "stub", str(port), log=log, port=port):
            meta = f"http://127.0.0.1:{port}"
            for number, (path, through, rate, seconds) in enumerate(ROWS):
                (folder := Path(home) / str(number)).mkdir()
                side = through(folder, meta, rate, seconds, f"{number}-twin")
                beside = directly(meta, rate, seconds, f"{number}-direct")
                ratios = " ".join(
                    f"{percentile(side.waits, at) / percentile(beside.waits, at):6.1f} x" for at in (50, 99)
                )
                answers = " ".join(f"{percentile(side.answers, at) * 1000:>7.1f}" for at in (50, 99))
                cpu = side.cpu / len(side.waits) * 1000
                print(
                    f"{rate:>6,}  {path:<8}{answers}    {side}    {beside}  {' '.join(ratios)} {cpu:>7.2f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stub", port]:
            asyncio.run(stub(int(port)))
        case ["within", config, rate, seconds, name, out]:
            read = Config.from_text(Path(config).read_text(), base=Path(config).parent, env=os.environ)
            visits, cpu = asyncio.run(within(read, float(rate), float(seconds), name))
            Path(out).write_text(json.dumps((visits.due, visits.answered, cpu)))
        case _:
            main()
