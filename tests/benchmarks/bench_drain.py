"""How fast a core works a full outbox off: twins sealed and delivered, and browsers' copies relayed.

    uv run --group dev python tests/benchmarks/bench_drain.py [--rounds 3] [--events 20000]

A SQLite outbox is filled with Purchases; then the worker that `run` has, with its lingering, is started and measured
until the last of them is settled: leased, looked up, sealed, posted in batches, settled, reported. It has the first
core, its SQLite thread included; the stub for Meta, nginx and PostgreSQL have the second. The rows with a source look
every customer up among 100,000, with ten fields each and no cache. The SDKs are Meta's own, sequential as they are:
Python's in batches of 1000, Node.js's in batches of 100 (its row is missing without Node.js). They have no outbox, no
rules, no consent and no deadline. Copies are relayed over TLS, verified, to an nginx.

A row's events a second are of wall time on that core; those a second of CPU are what the core could do if nobody else
had it. Rounds are taken in turn, medians count. `idle` is how long one event takes that comes alone. Reports, asserts
nothing.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks.bench_enrich import CUSTOMERS, QUERY, customers, store
from tests.benchmarks.bench_joined import STUB
from tests.factories import UA, hit_query, open_sources, request
from tests.npm import installed
from tests.processes import free_port, started
from tests.sources.postgres import fill_table, postgres

from pixeltwin.capi.hashes import sha256
from pixeltwin.config import Config
from pixeltwin.delivery.destination import Destination
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.outbox import Delivered, NewItem, Outbox
from pixeltwin.delivery.worker import Ended, Prepare, Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.destinations.pixel_relay import NAME as RELAY
from pixeltwin.destinations.pixel_relay import PixelRelay, relay_payload
from pixeltwin.gateway.delivering import LINGER
from pixeltwin.gateway.items import twin_item
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.relays import Relays
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import admit
from pixeltwin.outboxes import sqlite

PIXEL: Final = "1234567890123456"
KEY: Final = "a-key-that-signs-cookies"
OURS, THEIRS = ({0}, {1}) if (os.cpu_count() or 1) > 1 else ({0}, {0})
ALONE: Final = 20  # events that come alone
NGINX: Final = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_requests 1000000;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/tls.pem; ssl_certificate_key {folder}/tls.key;
        location / {{ return 200 ""; }}
    }}
}}
"""
SOURCES: Final = {
    "plain": "",
    "embedded": "{ kind: embedded, key: customer_id, path: customers.db }",
    "PostgreSQL": f'{{ kind: sql, key: customer_id, url: "${{DSN}}", cache: null, query: "{QUERY}" }}',
}


# What is measured, in a process of its own


def config(source: str, port: int, folder: Path) -> Config:
    enrich = "enrich: [customers], " if source else ""
    sources = f"sources: {{ customers: {source} }}" if source else ""
    text = f"""
meta: {{ graph: "http://127.0.0.1:{port}" }}
pixels: [{{ id: "{PIXEL}", {enrich}access_token: "${{T}}" }}]
elements: {{ customer_id: {{ signed_cookie: uid, key: "${{KEY}}" }} }}
{sources}
"""
    return Config.from_text(text, base=folder, env={"T": "t", "KEY": KEY, "DSN": os.environ.get("DSN", "")})


def twins_of(config: Config, count: int, first: int = 0) -> Iterator[NewItem]:
    """Drafts of one hit that a browser matched with hashes, each of another event and another customer."""
    told = {"ud[em]": sha256("john@example.com"), "ud[external_id]": sha256("u-17"), "fbp": "fb.1.1795461138686.39550"}
    query = hit_query("Purchase", eid="o", cd_value="12.5", cd_currency="EUR", cd_content_ids='["a","b"]', **told)
    admitted = admit(request(query, received_at=time.time()), policy_of(config), record_id="", random_below=lambda _: 1)
    (draft,) = admitted.drafts
    for number in range(first, first + count):
        event = {**draft.event, "event_id": f"o-{number}"}
        keys = {"customers": f"cust-{number * 97 % CUSTOMERS}"} if config.sources else {}
        yield twin_item(draft._replace(event=event, keys=keys))


def copies(count: int) -> Iterator[NewItem]:
    for number in range(count):
        query = hit_query("Purchase", eid=f"o-{number}", cd_value="12.5", cd_currency="EUR")
        hit = request(query, headers={"user-agent": UA, "referer": "https://www.shop.example/p/1"})
        yield NewItem(destination=RELAY, pixel_id=PIXEL, key=None, payload=relay_payload(hit))


class Ends:
    """Stops the worker when so many items have been delivered."""

    def __init__(self, report: Any) -> None:
        self._report = report
        self.count = 0
        self.wanted = 0
        self.are_all = asyncio.Event()

    def report(self, ended: Sequence[Ended]) -> None:
        assert all(isinstance(outcome, Delivered) for _, outcome, _ in ended), ended
        self._report(ended)
        self.count += len(ended)
        if self.count >= self.wanted:
            self.are_all.set()

    async def of(self, wanted: int) -> None:
        self.are_all.clear()
        self.wanted = wanted
        if self.count < wanted:
            await self.are_all.wait()


async def drain(
    outbox: Outbox, destination: Destination, prepare: Prepare, report: Any, fill: Sequence[NewItem], linger: float
) -> tuple[Worker, Ends, asyncio.Task[None], float, float]:
    """Fill the outbox, then work it off; answers the seconds and the seconds of CPU that the latter took."""
    for start in range(0, len(fill), 1000):
        await outbox.append(fill[start : start + 1000])
    ends = Ends(report)
    worker = Worker(outbox, destination, prepare, ends.report, linger=linger)
    began, used = time.perf_counter(), time.process_time()
    running = asyncio.create_task(worker.run())
    await ends.of(len(fill))
    return worker, ends, running, time.perf_counter() - began, time.process_time() - used


async def twins(kind: str, port: int, count: int, folder: Path) -> None:
    read = config(SOURCES[kind], port, folder)
    made = Twins(read, policy_of(read), open_sources(read), Journal())
    with tempfile.TemporaryDirectory(dir=folder) as own:
        outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=Path(own))
        api = ConversionsApi(read.meta.graph, "v26.0", {PIXEL: lambda: "t"})
        fill = list(twins_of(read, count))
        worker, ends, running, seconds, cpu = await drain(outbox, api, made.prepare, made.report, fill, LINGER)
        alone = [await idle(outbox, ends, item) for item in twins_of(read, ALONE, first=count)]
        worker.stop()
        await running
        await api.close()
        await outbox.close()
    print(seconds, cpu, statistics.median(alone), max(alone))


async def idle(outbox: Outbox, ends: Ends, item: NewItem) -> float:
    """Seconds until an event that comes alone is delivered and settled."""
    await asyncio.sleep(0.02)
    began = time.perf_counter()
    await outbox.append([item])
    await ends.of(ends.count + 1)
    return time.perf_counter() - began


async def relay(port: int, count: int, folder: Path) -> None:
    relays = Relays({PIXEL: "shop"})
    with tempfile.TemporaryDirectory(dir=folder) as own:
        outbox = await sqlite.open_outbox(sqlite.Settings(path=Path("outbox.db")), base=Path(own))
        pixel = PixelRelay(f"https://127.0.0.1:{port}")
        fill = list(copies(count))
        worker, _, running, seconds, cpu = await drain(outbox, pixel, relays.prepare, relays.report, fill, 0.0)
        worker.stop()
        await running
        await pixel.close()
        await outbox.close()
    print(seconds, cpu)


def python_sdk(port: int, count: int) -> None:
    from facebook_business.adobjects.serverside.action_source import ActionSource
    from facebook_business.adobjects.serverside.custom_data import CustomData
    from facebook_business.adobjects.serverside.event import Event
    from facebook_business.adobjects.serverside.event_request import EventRequest
    from facebook_business.adobjects.serverside.user_data import UserData
    from facebook_business.api import FacebookAdsApi
    from facebook_business.session import FacebookSession

    FacebookSession.GRAPH = f"http://127.0.0.1:{port}"
    FacebookAdsApi.init(access_token="t")

    def event(number: int) -> Event:
        return Event(
            event_name="Purchase",
            event_time=int(time.time()),
            event_id=f"o-{number}",
            action_source=ActionSource.WEBSITE,
            event_source_url="https://www.shop.example/p/1",
            user_data=UserData(
                emails=[f"user{number}@example.com"],
                external_ids=[f"cust-{number}"],
                client_ip_address="203.0.113.9",
                client_user_agent=UA,
                fbp="fb.1.1795461138686.39550",
            ),
            custom_data=CustomData(value=12.5, currency="eur", content_ids=["a", "b"]),
        )

    def post(first: int) -> None:
        EventRequest(pixel_id=PIXEL, events=[event(first + index) for index in range(1000)]).execute()

    post(0)  # connects
    began, used = time.perf_counter(), time.process_time()
    for first in range(0, count, 1000):
        post(first)
    print(time.perf_counter() - began, time.process_time() - used)


# The table


def measured(*command: str, **env: str) -> list[float]:
    """What a process on the first core prints."""

    def pinned() -> None:
        os.sched_setaffinity(0, OURS)

    told = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **env}, preexec_fn=pinned
    )
    *logged, figures = told.stdout.splitlines()
    print(*logged, sep="\n", end="\n" if logged else "", flush=True)
    return [float(number) for number in figures.split()]


def row(name: str, count: int, rounds: Sequence[Sequence[float]]) -> None:
    seconds, cpu = (statistics.median(one[at] for one in rounds) for at in (0, 1))
    print(f"{name:<24}{count / seconds:>9,.0f} /s {count / cpu:>9,.0f} /s of CPU {cpu / count * 1e6:>7.1f} µs", end="")
    if len(rounds[0]) > 2:
        usual, longest = (statistics.median(one[at] for one in rounds) * 1000 for at in (2, 3))
        print(f"   idle {usual:.0f} ms, at most {longest:.0f}", end="")
    print(flush=True)


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    made = ("-keyout", folder / "tls.key", "-out", folder / "tls.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, *made], check=True, stderr=-3)
    command = ("nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "nginx.log")
    with started(*command, log=folder / "nginx.out", port=port):
        yield port


def modules(folder: Path) -> Path | None:
    """Where Meta's Node SDK is."""
    try:
        return installed("facebook-nodejs-business-sdk", folder.absolute())
    except BaseException:  # what pytest raises to skip is no Exception
        return None


def prepare(folder: Path, dsn: str) -> None:
    store(folder)
    asyncio.run(fill_table(dsn, "customers", dict(customers(CUSTOMERS))))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--npm", type=Path, default=Path(tempfile.gettempdir()), help="where npm puts Meta's SDK")
    asked = parser.parse_args()
    os.sched_setaffinity(0, THEIRS)
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixeltwin-bench-")))
        folder.chmod(0o755)
        dsn, meta = stack.enter_context(postgres()), str(free_port())
        prepare(folder, dsn)
        stack.enter_context(started(sys.executable, "-c", STUB, meta, log=folder / "stub.log", port=int(meta)))
        upstream = str(stack.enter_context(nginx(folder)))
        us, count, some = (sys.executable, __file__), str(asked.events), str(asked.events // 2)
        commands = {
            **{f"twins, {kind}": (*us, "twins", kind, meta, count, str(folder)) for kind in SOURCES},
            "Meta's SDK, Python": (*us, "sdk", meta, count),
            "relayed, TLS": (*us, "relay", upstream, some, str(folder)),
        }
        if found := modules(asked.npm):
            script = Path(__file__).with_name("sdk_posts.cjs")
            commands["Meta's SDK, Node.js"] = ("node", script, found, f"http://127.0.0.1:{meta}", PIXEL, count)
        if asked.only:
            commands = {name: it for name, it in commands.items() if any(word in name for word in asked.only)}
        told: dict[str, list[list[float]]] = {name: [] for name in commands}
        for number in range(asked.rounds):
            for name, command in commands.items():
                told[name].append(measured(*map(str, command), DSN=dsn, SSL_CERT_FILE=str(folder / "tls.pem")))
                if number == asked.rounds - 1:
                    row(name, asked.events // 2 if name.startswith("relayed") else asked.events, told[name])
        print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["twins", kind, port, count, folder]:
            asyncio.run(twins(kind, int(port), int(count), Path(folder)))
        case ["relay", port, count, folder]:
            asyncio.run(relay(int(port), int(count), Path(folder)))
        case ["sdk", port, count]:
            python_sdk(int(port), int(count))
        case _:
            main()
