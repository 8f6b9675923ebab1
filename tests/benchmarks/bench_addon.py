"""Hits per second through bare mitmdump, through mitmdump with the addon, and through `pixeltwin run`.

    uv run --group dev python tests/benchmarks/bench_addon.py

All on loopback, keep-alive, 32 connections, windows of 4 s taken in turn; reports medians and ratios, asserts nothing.
Everything is started and ended here; about two minutes.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.factories import UA, hit_query
from tests.processes import BIN, Process, free_port, gateway, mitmdump, started, write_config

CONNECTIONS = 32
WINDOW, WARM_UP = 4.0, 1.0  # seconds
ROUNDS = 3
TICKS = os.sysconf("SC_CLK_TCK")


async def upstream(port: int) -> None:
    """A Meta that answers at once: nothing to a hit, its count to a batch."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length:")), 0)
                body = await reader.readexactly(length)
                said = b'{"events_received":%d}' % body.count(b'"event_name"') if b"/events " in head else b""
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(said) + said
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


async def hits_per_second(port: int, seconds: float) -> tuple[int, list[float]]:
    """Hits answered in the window, and how long each took."""
    until, times = time.perf_counter() + seconds, []

    async def browser(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        count = 0
        while (began := time.perf_counter()) < until:
            query = hit_query(ts=str(time.time_ns() // 1_000_000), ec=str(count), it=str(number), cd_value="129.9")
            head = f"GET /tr/?{query} HTTP/1.1\r\nHost: px.shop.example\r\nUser-Agent: {UA}\r\n"
            writer.write(f"{head}X-Forwarded-For: 203.0.113.{number}\r\nAccept: */*\r\n\r\n".encode())
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200"), answer
            times.append(time.perf_counter() - began)
            count += 1
        writer.close()

    await asyncio.gather(*(browser(number) for number in range(CONNECTIONS)))
    return len(times), times


def cpu_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(url: str, process: Process) -> tuple[float, float, float]:
    """Hits per second, p99 in ms, CPU in µs per hit."""
    port = int(url.rpartition(":")[2])
    asyncio.run(hits_per_second(port, WARM_UP))
    before = cpu_seconds(process)
    count, times = asyncio.run(hits_per_second(port, WINDOW))
    cpu = (cpu_seconds(process) - before) / count * 1e6
    return count / WINDOW, statistics.quantiles(times, n=100)[98] * 1e3, cpu


@contextmanager
def bare(folder: Path, meta: str) -> Iterator[tuple[str, Process]]:
    port = free_port()
    command = (BIN / "mitmdump", "-q", "--mode", f"reverse:{meta}@127.0.0.1:{port}", "--set", f"confdir={folder}")
    with started(*command, log=folder / "log", port=port) as process:
        yield f"http://127.0.0.1:{port}", process


@contextmanager
def with_addon(folder: Path, meta: str) -> Iterator[tuple[str, Process]]:
    with mitmdump(folder, write_config(folder, meta), f"reverse:{meta}", "-q") as running:
        yield running.url, running.process


@contextmanager
def run(folder: Path, meta: str) -> Iterator[tuple[str, Process]]:
    with gateway(folder, meta) as running:
        yield running.url, running.process


def main() -> None:
    subjects = {"bare mitmdump": bare, "mitmdump -s pixel_mirror.py": with_addon, "pixeltwin run": run}
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in subjects}
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "upstream.log"
        with started(sys.executable, __file__, "upstream", str(port), log=log, port=port):
            for _ in range(ROUNDS):
                for name, subject in subjects.items():
                    with (
                        tempfile.TemporaryDirectory() as own,
                        subject(Path(own), f"http://127.0.0.1:{port}") as (url, process),
                    ):
                        found[name].append(measure(url, process))
    print(f"medians of {ROUNDS} windows, {CONNECTIONS} connections")
    print(f"{'':30}{'hits/s':>9}{'of bare':>9}{'p99 ms':>9}{'CPU µs':>9}")
    base = statistics.median(rate for rate, _, _ in found["bare mitmdump"])
    for name, rows in found.items():
        rate, p99, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:30}{rate:9.0f}{rate / base:9.2f}{p99:9.0f}{cpu:9.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["upstream"]:
        asyncio.run(upstream(int(sys.argv[2])))
    else:
        main()
