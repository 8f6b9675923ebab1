"""How many instructions a hit takes, which no neighbour on the machine changes: `valgrind --tool=callgrind` counts.

    uv run --group dev python tests/benchmarks/bench_instructions.py [STAGE…]

Each stage is run in processes of its own, over few hits and over more; the difference is what so many hits take,
without imports and start. A first run over few, which may have to compile them, does not count. User mode, all threads,
no garbage collection; the kernel's part is in none. No hit is answered before it is durable, which under valgrind would
be most of them. The hits are those of `bench_stages.py` and, from `line` on, of `bench_joined.py`: Purchases, of
logged-in customers there. `handle` has a durable outbox and 32 hits at once; `line` is a lease of 500 from parsed
requests to the settled items, `line embedded` and `line PostgreSQL` the same with 100,000 customers of whom each hit is
another one's first (no cache). `run` is the whole process, asked over 32 connections, its twins delivered. Reports,
asserts nothing.
"""

import argparse
import asyncio
import gc
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks import bench_joined
from tests.benchmarks.bench_enrich import CUSTOMERS, QUERY, customers, store
from tests.benchmarks.bench_joined import LEASE, Line, hits
from tests.benchmarks.bench_lanes import ONE_RULE, Around, meta, pixeltwin
from tests.benchmarks.bench_stages import OUTBOXES, gateway, handled, hit, read
from tests.processes import free_port, started, until
from tests.sources.postgres import fill_table, postgres

from pixeltwin.mirror import admit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import RequestReader

COUNTER: Final = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
COLLECTED: Final = re.compile(r"Collected\s*:\s*(\d+)")
CONNECTIONS: Final = 32
PATIENCE: Final = 120.0  # seconds; valgrind takes fifty times as long as the machine
TIMES: Final = 3  # so many times as many hits in the second run

type Stage = Callable[[Sequence[bytes], Path], Coroutine[Any, Any, None]]

CACHE: Final = "key: customer_id, cache: null"
SOURCES: Final = {
    "line": "",
    "line embedded": f"{{ kind: embedded, path: customers.db, {CACHE} }}",
    "line PostgreSQL": f'{{ kind: sql, url: "${{DSN}}", query: "{QUERY}", {CACHE} }}',
}


async def reading(sent: Sequence[bytes], folder: Path) -> None:
    requests_of(sent)


async def deciding(sent: Sequence[bytes], folder: Path) -> None:
    policy = gateway(folder, OUTBOXES["in memory"]).policy
    for request in requests_of(sent):
        admit(request, policy, record_id="1-1", random_below=secrets.randbelow)


async def handling(sent: Sequence[bytes], folder: Path) -> None:
    opened = gateway(folder, OUTBOXES["durable"])
    await opened.open()
    await handled(opened, requests_of(sent))
    await opened.close()


def requests_of(sent: Sequence[bytes]) -> list[HitRequest]:
    reader = RequestReader(max_head=1 << 16, max_body=1 << 18)
    return [read(reader, data) for data in sent]


def delivering(source: str) -> Stage:
    async def deliver(sent: Sequence[bytes], folder: Path) -> None:
        bench_joined.DSN[0] = os.environ.get("DSN", "")
        if source:
            (folder / "customers.db").symlink_to(os.environ.get("CUSTOMERS", folder))
        made = Line(bench_joined.config(source, int(os.environ["META"])), folder, 0)
        await made.open("outbox")
        leases = [hits(number) for number in range(TIMES)]
        for lease in leases[: len(sent) // LEASE]:
            await made.round(lease)

    return deliver


STAGES: Final[Mapping[str, tuple[Stage, int]]] = {
    "read HTTP": (reading, 200),
    "read, decide": (deciding, 200),
    "read, handle": (handling, 320),
    **{name: (delivering(source), LEASE) for name, source in SOURCES.items()},
}
ALL: Final = (*STAGES, "run")


async def counted(*command: str | Path, env: Mapping[str, str]) -> int:
    """The instructions of a program that ends by itself."""
    environment = {**os.environ, **env, "PYTHONHASHSEED": "0"}
    process = await asyncio.create_subprocess_exec(
        *COUNTER, *map(str, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return collected(output.decode())


def collected(output: str) -> int:
    found = COLLECTED.search(output)
    assert found, output
    return int(found[1])


async def staged(stage: str, env: Mapping[str, str]) -> float:
    """The instructions that a hit takes in a stage."""
    few = STAGES[stage][1]
    _, first, second = [
        await counted(sys.executable, __file__, "--child", stage, "--hits", str(count), env=env)
        for count in (few, few, TIMES * few)
    ]
    return (second - first) / (TIMES * few - few)


async def ran(around: Around, port: int) -> float:
    """The instructions that a hit takes in `pixeltwin run`, its twin's delivery with it."""
    few = 20 * CONNECTIONS
    _, first, second = [await running(around, port, count) for count in (few, few, TIMES * few)]
    return (second - first) / (TIMES * few - few)


async def running(around: Around, meta_port: int, count: int) -> int:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder:
        log = Path(folder) / "run.log"
        command = pixeltwin(rules=ONE_RULE, delivers=True)(Path(folder), port, around)
        be_patient(Path(folder) / "pixeltwin.yaml")
        before = await asyncio.to_thread(count_at, meta_port)
        with started(*COUNTER, *command, log=log, port=port, patience=PATIENCE) as process:
            await asyncio.gather(*(ask(port, range(start, count, CONNECTIONS)) for start in range(CONNECTIONS)))
            await asyncio.to_thread(until, lambda: count_at(meta_port) >= before + count, patience=PATIENCE)
            await asyncio.to_thread(process.stop, patience=PATIENCE)
        return collected(process.output())


def be_patient(config: Path) -> None:
    """Have every hit wait until it is durable."""
    config.write_text(config.read_text().replace("server: {", "server: { limits: { ack_deadline: 10m },", 1))


async def ask(port: int, numbers: Sequence[int]) -> None:
    """Send hits over one connection, each when the last is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in numbers:
        writer.write(hit(number))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
    writer.close()


def count_at(meta_port: int) -> int:
    return int(httpx.get(f"http://127.0.0.1:{meta_port}/count", trust_env=False).text or 0)


@asynccontextmanager
async def surroundings(folder: Path, stages: Sequence[str]) -> AsyncIterator[tuple[dict[str, str], int]]:
    """A Meta's port, and what stages are told: where it is, and where customers are if one of them needs those."""
    port = free_port()
    serving = asyncio.create_task(meta(port))
    env = {"META": str(port)}
    try:
        if "line embedded" in stages:
            env["CUSTOMERS"] = str(store(folder))
        if "line PostgreSQL" not in stages:
            yield env, port
            return
        with postgres() as dsn:
            await fill_table(dsn, "customers", dict(customers(CUSTOMERS)))
            yield env | {"DSN": dsn}, port
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def bench(stages: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder:
        async with surroundings(Path(folder), stages) as (env, port):
            for stage in stages:
                around = Around(f"http://127.0.0.1:{port}", Path(), Path(), {})
                made = await (ran(around, port) if stage == "run" else staged(stage, env))
                print(f"{stage:20}{made / 1000:8.0f} thousand instructions a hit", flush=True)


def child(stage: str, count: int) -> None:
    """Run a stage over so many hits; as many are made whatever the count, so that making them is in no difference."""
    gc.disable()
    work, few = STAGES[stage]
    made = [hit(number) for number in range(TIMES * few)]
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder:
        asyncio.run(work(made[:count], Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"some of {', '.join(ALL)}; else all of them")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--hits", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if unknown := {*asked.stages} - {*ALL}:
        parser.error(f"there is no stage {', '.join(sorted(unknown))}")
    if not shutil.which("valgrind"):
        sys.exit("valgrind is missing: apt-get install valgrind")
    if asked.child:
        child(asked.child, asked.hits)
    else:
        asyncio.run(bench(asked.stages or ALL))


if __name__ == "__main__":
    main()
