"""Hits per second through each lane of `pixeltwin run`, beside bare mitmdump, uvicorn, and what a shop would write.

    uv run --group dev python tests/benchmarks/bench_lanes.py
        [--quick] [--windows 5] [--seconds 4] [--backlog 1000000] [--only WORD]…

The servers have one core, wrk, the upstream and Meta the other. All servers run at once, and are asked in turn, window
by window: the figures are medians, the ratios are of the same minutes. A hit is the pixel's GET of some 620 bytes of
query with 15 headers of a browser, each with an id, a page, a browser and an address of its own, and the signed cookie
of one of 100,000 customers.

The lanes are measured while Meta is away, so that twins wait in the outbox, but for `delivered`, the rows with
customers and the last: those are charged until Meta has everything. What an enrichment adds is between `delivered` and
a row with customers, window by window: the cookie is verified, and ten fields of its customer are joined, hashed by the
embedded store long before, or as they come from PostgreSQL. Each hit is another customer's, but for `visits`: there
everybody comes back seven times, each time some two seconds later, and PostgreSQL has the cache that it has by default.

CPU a hit is that of all of the server's processes, PostgreSQL's own not among them. Ratios are of hits a second, and of
CPU, which others may use as well: how many hits are answered in the CPU time of one of bare mitmdump's, or uvicorn's.
`--backlog` adds a row with so many twins in the outbox before the first hit (1.5 GB of disk and some minutes for a
million). Needs wrk; the Node peer needs npm. Reports, asserts nothing.
"""

import argparse
import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.bench_enrich import CUSTOMERS, QUERY, customers, signed_cookie, store
from tests.benchmarks.bench_outbox import fill
from tests.factories import PIXEL
from tests.processes import BIN, Process, free_port, started
from tests.sources.postgres import fill_table, postgres

from pixeltwin.outboxes import sqlite

HERE: Final = Path(__file__).parent
SERVER, LOAD = "0", "1"  # cores
TICKS: Final = os.sysconf("SC_CLK_TCK")
NOBODY: Final = "http://127.0.0.1:9"
KEEP_ALIVE: Final = "keep-alive"
HOP: Final = 7919  # from one hit's cookie to the next one's in the file, see `hits.lua`
VISIT: Final = 8  # hits of a visitor
VISITORS: Final = 4096  # who come in turn
BARE, CEILING = "bare mitmdump", "uvicorn hello-world"
PATIENCE: Final = 60.0  # seconds for Meta to get the rest
IDLE_SECONDS: Final = 0.3

CONFIG: Final = """
server: {{ listen: "127.0.0.1:{port}", public_hosts: [px.shop.example], trusted_proxies: [127.0.0.1/32] }}
meta: {{ graph: "{graph}", pixel: "{graph}" }}
pixels: [{{ name: shop, id: "{pixel}", access_token: "${{SHOP_TOKEN}}", relay: {relay}, enrich: [{enrich}] }}]
outbox: {{ {outbox} }}
elements: {{ customer_id: {{ signed_cookie: uid, key: "${{UID_KEY}}" }} }}
sources: {{ {sources} }}
admin: null
rules:{rules}
"""
KEY: Final = "a-key-that-signs-cookies"
ONE_RULE: Final = """
  - { name: source, match: { event: Purchase }, then: { custom_data: { json: { channel: web } } } }"""
OTHER_RULES: Final = "".join(
    f"\n  - {{ name: campaign-{n}, match: {{ event: Purchase, path: /campaign-{n}/* }}, then: {{ drop: twin }} }}"
    for n in range(99)
)

HELLO: Final = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"),
                (b"content-length", b"0"), (b"cache-control", b"no-store")]})
    await send({"type": "http.response.body", "body": b""})
"""


async def meta(port: int) -> None:
    """A Meta that answers at once: nothing to a hit, its count to a batch; and `/count` of all events so far."""
    events = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal events
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                said = str(events).encode() if head.startswith(b"GET /count") else b""
                if b"/events" in head.partition(b"\r\n")[0]:
                    events += (count := max(1, body.count(b"event_name")))
                    said = b'{"events_received":%d,"messages":[],"fbtrace_id":"x"}' % count
                kind = b"application/json" if said else b"text/plain"
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(said)) + said
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port) as server:
        await server.serve_forever()


@dataclass(frozen=True)
class Around:
    """What is around the servers: Meta's address, the shop's signed cookies and its customers, by kind of source.

    The cookies are those of single hits, and of visits.
    """

    graph: str
    cookies: Path
    visits: Path
    sources: Mapping[str, str]


type Command = Callable[[Path, int, Around], Sequence[str | Path]]


@dataclass(frozen=True)
class Subject:
    """A server to measure. `command` makes its files in the folder and answers its command line.

    `source` is the kind of source that it asks about customers, `visits` how these come.
    """

    name: str
    command: Command
    delivers: bool = False
    source: str = ""
    visits: bool = False


def pixeltwin(
    lane: str = "fast",
    outbox: str = "kind: sqlite, path: outbox.db",
    rules: str = " []",
    relay: str = "none",
    source: str = "",
    delivers: bool = False,
    backlog: int = 0,
) -> Command:
    def command(folder: Path, port: int, around: Around) -> Sequence[str | Path]:
        if backlog:
            asyncio.run(fill_outbox(folder, backlog))
        config = folder / "pixeltwin.yaml"
        config.write_text(
            CONFIG.format(
                port=port,
                graph=around.graph if delivers else NOBODY,
                pixel=PIXEL,
                relay=relay,
                enrich="customers" if source else "",
                sources=f"customers: {around.sources[source]}" if source else "",
                outbox=outbox,
                rules=rules,
            )
        )
        return (BIN / "pixeltwin", "run", "-c", config, "--lane", lane)

    return command


async def fill_outbox(folder: Path, rows: int) -> None:
    outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=folder)
    await fill(outbox, range(rows))
    await outbox.close()


def mitmdump(folder: Path, port: int, around: Around) -> Sequence[str | Path]:
    options = ("--set", f"confdir={folder}", "--set", "connection_strategy=lazy")
    return (BIN / "mitmdump", "-q", "--mode", f"reverse:{around.graph}@127.0.0.1:{port}", *options)


def uvicorn(folder: Path, port: int, around: Around) -> Sequence[str | Path]:
    (folder / "hello.py").write_text(HELLO)
    options = ("--http", "httptools", "--no-access-log", "--log-level", "warning", "--app-dir", folder)
    return (BIN / "uvicorn", "hello:app", "--port", str(port), *options)


def collector(folder: Path, port: int, around: Around) -> Sequence[str | Path]:
    packages = ("express", "facebook-nodejs-business-sdk")
    modules = Path(tempfile.gettempdir()) / "pixeltwin-bench-npm"  # fetched once, never committed
    if not all((modules / "node_modules" / package).exists() for package in packages):
        modules.mkdir(exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(modules), *packages]
        subprocess.run(command, check=True, timeout=100)
    return ("node", HERE / "collector.cjs", modules, str(port), around.graph)


FAST: Final = "fast, 1 rule"
DELIVERED: Final = f"{FAST}, delivered"
CACHED: Final = "PostgreSQL, visits"
SUBJECTS: Final = (
    Subject(BARE, mitmdump),
    Subject(CEILING, uvicorn),
    Subject("native, 1 rule", pixeltwin("native", rules=ONE_RULE)),
    Subject("flows, 1 rule", pixeltwin("flows", rules=ONE_RULE)),
    Subject("fast, outbox in memory", pixeltwin(outbox="kind: memory")),
    Subject("fast, no rule", pixeltwin()),
    Subject(FAST, pixeltwin(rules=ONE_RULE)),
    Subject("fast, 100 rules", pixeltwin(rules=ONE_RULE + OTHER_RULES)),
    Subject("fast, 1 rule, relayed later", pixeltwin(rules=ONE_RULE, relay="background")),
    Subject(DELIVERED, pixeltwin(rules=ONE_RULE, delivers=True), delivers=True),
    *(
        Subject(f"fast, {kind}", pixeltwin(rules=ONE_RULE, source=kind, delivers=True), True, kind, kind == CACHED)
        for kind in ("embedded", "PostgreSQL", CACHED)
    ),
    Subject("express and Meta's Node SDK", collector, delivers=True),
)
LOADS: Final = ((32, KEEP_ALIVE), (256, KEEP_ALIVE), (1000, KEEP_ALIVE), (32, "close"))
EVERYWHERE: Final = (BARE, CEILING, FAST)  # measured at every load, the others at the first


@dataclass
class Window:
    """What one window showed: hits/s, milliseconds, µs of CPU a hit, MiB, and answers that were none."""

    rate: float
    p50: float
    p99: float
    cpu: float
    rss: float
    errors: float


@dataclass
class Running:
    """A subject that runs, and the hits that it has had."""

    subject: Subject
    port: int
    process: Process
    hits: int = 0
    windows: dict[tuple[int, str], list[Window]] = field(default_factory=dict)


def tree(pid: int) -> Iterator[int]:
    """The process and its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree(int(child))


def cpu_seconds(process: Process) -> float:
    """What the process and its descendants have used so far."""
    stats = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in tree(process.popen.pid))
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS


def rss_mib(process: Process) -> float:
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in tree(process.popen.pid))
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def events_at(graph: str) -> int:
    return int(httpx.get(f"{graph}/count", trust_env=False).text)


def wait_until_delivered(graph: str) -> None:
    """Return when Meta gets no more."""
    deadline, before = time.monotonic() + PATIENCE, -1
    while time.monotonic() < deadline and (now := events_at(graph)) != before:
        before = now
        time.sleep(1.0)


def wait_until_idle(process: Process) -> None:
    """Return when the process has done what it had to do for its hits: else it would disturb the next one's window."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = cpu_seconds(process)
        time.sleep(IDLE_SECONDS)
        if cpu_seconds(process) - before <= IDLE_SECONDS / 10:
            return


def loaded(
    port: int, connections: int, connection: str, seconds: float, cookies: Path, before: int
) -> tuple[int, float, float, float, int]:
    """Hits that were answered, seconds, p50 and p99 in ms, and answers that were none."""
    command = ["taskset", "-c", LOAD, "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "10s"]
    command += ["-s", str(HERE / "hits.lua"), f"http://127.0.0.1:{port}", "--", connection, str(cookies), str(before)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    hits, micros, p50, p99, errors = map(int, re.search(r"RESULT (.*)", said)[1].split())
    return hits, micros / 1e6, p50 / 1e3, p99 / 1e3, errors


def measure(running: Running, connections: int, connection: str, seconds: float, around: Around) -> Window:
    before = cpu_seconds(running.process)
    cookies = around.visits if running.subject.visits else around.cookies
    hits, took, p50, p99, errors = loaded(running.port, connections, connection, seconds, cookies, running.hits)
    running.hits += hits
    if running.subject.delivers:
        wait_until_delivered(around.graph)
    wait_until_idle(running.process)
    cpu = (cpu_seconds(running.process) - before) / max(1, hits) * 1e6
    return Window(hits / took, p50, p99, cpu, rss_mib(running.process), errors)


def in_postgres(dsn: str) -> Mapping[str, str]:
    """Sources with the customers in a table; the DSN is an environment variable's, as a secret's has to be."""
    os.environ["CRM_DSN"] = dsn
    asyncio.run(fill_table(dsn, "customers", dict(customers(CUSTOMERS))))
    options = f'kind: sql, key: customer_id, url: "${{CRM_DSN}}", query: "{QUERY}"'
    return {"PostgreSQL": f"{{ {options}, cache: null }}", CACHED: f"{{ {options} }}"}


def surroundings(graph: str, subjects: Sequence[Subject], stack: ExitStack) -> Around:
    """What the subjects need around them."""
    folder, kinds = Path(stack.enter_context(tempfile.TemporaryDirectory())), {it.source for it in subjects}
    cookies = [signed_cookie(f"cust-{number}", KEY) for number in range(CUSTOMERS)]
    (folder / "cookies").write_text("\n".join(cookies))
    (folder / "visits").write_text("\n".join(in_visits(cookies)))
    sources: dict[str, str] = {}
    if "embedded" in kinds:
        sources["embedded"] = f"{{ kind: embedded, key: customer_id, path: {store(folder)} }}"
    if kinds & {"PostgreSQL", CACHED}:
        sources |= in_postgres(stack.enter_context(postgres()))
    return Around(graph, folder / "cookies", folder / "visits", sources)


def in_visits(cookies: Sequence[str]) -> Sequence[str]:
    """The same cookies so that hits that take them in hops are those of visits."""
    placed = list(cookies)
    for hit in range(len(cookies)):
        turn, visitor = divmod(hit, VISITORS)
        placed[hit * HOP % len(cookies)] = cookies[turn // VISIT * VISITORS + visitor]
    return placed


@contextmanager
def stub() -> Iterator[str]:
    """The address of a Meta."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = ("taskset", "-c", LOAD, sys.executable, __file__, "meta", str(port))
        with started(*command, log=Path(folder) / "log", port=port):
            yield f"http://127.0.0.1:{port}"


def start(subject: Subject, around: Around, stack: ExitStack) -> Running | None:
    """The subject's server until the stack ends; None where this machine cannot run it."""
    folder, port = Path(stack.enter_context(tempfile.TemporaryDirectory())), free_port()
    try:
        command = subject.command(folder, port, around)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{subject.name} is left out: {error}")
        return None
    pinned = ("taskset", "-c", SERVER, *command)
    env = {"PYTHONDONTWRITEBYTECODE": "", "UID_KEY": KEY}  # without bytecode mitmproxy starts a second and a half later
    process = stack.enter_context(started(*pinned, log=folder / "log", port=port, env=env))
    loaded(port, 32, KEEP_ALIVE, 1, around.cookies, 0)  # warm
    return Running(subject, port, process)


def shown(all_running: Sequence[Running]) -> None:
    by_name = {running.subject.name: running for running in all_running}
    head = ("hits/s", "× bare", "× uvicorn", "CPU µs", "× bare", "× uvicorn", "p50 ms", "p99 ms", "RSS MiB", "errors")
    for load in LOADS:
        rows = [running for running in all_running if load in running.windows]
        if not rows:
            continue
        print(f"\n{load[0]} connections, {load[1] if load[1] == KEEP_ALIVE else 'one for each hit'}")
        print(f"{'':30}" + "".join(f"{name:>11}" for name in head))
        bases = [median(by_name[name], load) if name in by_name else None for name in (BARE, CEILING)]
        for running in rows:
            it = median(running, load)
            rates = [f"{it.rate / base.rate:.2f}" if base else "" for base in bases]
            cpus = [f"{base.cpu / it.cpu:.2f}" if base else "" for base in bases]
            figures = [f"{it.rate:.0f}", *rates, f"{it.cpu:.0f}", *cpus, f"{it.p50:.1f}", f"{it.p99:.1f}"]
            figures += [f"{it.rss:.0f}", f"{it.errors:.0f}"]
            print(f"{running.subject.name:30}" + "".join(f"{figure:>11}" for figure in figures))


def shown_enrichments(all_running: Sequence[Running]) -> None:
    """What each source adds to the CPU of delivering, as the median of its windows and those just before."""
    plain = next((it for it in all_running if it.subject.name == DELIVERED), None)
    for running in all_running if plain else ():
        if running.subject.source:
            pairs = zip(running.windows[LOADS[0]], plain.windows[LOADS[0]], strict=True)
            more = statistics.median(joined.cpu / alone.cpu for joined, alone in pairs) - 1
            print(f"{running.subject.name}: {more:+.0%} of the CPU of {DELIVERED}")


def median(running: Running, load: tuple[int, str]) -> Window:
    columns = zip(*(vars(window).values() for window in running.windows[load]), strict=True)
    return Window(*map(statistics.median, columns))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--quick", action="store_true", help="one window of a second each, 32 connections only")
    parser.add_argument("--backlog", type=int, default=0)
    parser.add_argument("--only", action="append", help="rows whose name has this word; may be repeated")
    asked = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is missing: apt-get install wrk")
    windows, seconds, loads = (1, 1.0, LOADS[:1]) if asked.quick else (asked.windows, asked.seconds, LOADS)
    subjects = [it for it in SUBJECTS if not asked.only or any(word in it.name for word in asked.only)]
    if asked.backlog:
        waiting = pixeltwin(
            rules=ONE_RULE, outbox="kind: sqlite, path: outbox.db, max_size: 16GiB", backlog=asked.backlog
        )
        subjects.append(Subject(f"{FAST}, {asked.backlog:,} waiting", waiting))
    with ExitStack() as stack:
        around = surroundings(stack.enter_context(stub()), subjects, stack)
        running = [it for subject in subjects if (it := start(subject, around, stack))]
        for load in loads:
            for _ in range(windows):
                for it in running:
                    if load == LOADS[0] or it.subject.name in EVERYWHERE:
                        it.windows.setdefault(load, []).append(measure(it, *load, seconds, around))
        shown(running)
        shown_enrichments(running)
    print(f"\nmedians of {windows} windows of {seconds:.0f} s; load of the machine {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["meta"]:
        asyncio.run(meta(int(sys.argv[2])))
    else:
        main()
