"""What joining customers adds to the cost of an event: from its hit to Meta's answer, with and without a source.

    python tests/benchmarks/bench_joined.py [--rounds 9] [--visit 8]

Leases of 500 Purchase hits of logged-in customers: admitted, kept in a SQLite outbox, looked up among 100,000
customers, sealed, posted to a stub on this machine, settled. The two runs of a pair follow each other, the median of
their ratios counts.

First without a cache: each hit is another customer's, and nobody was ever seen before. Then as a source is by default,
with visitors who bring `--visit` hits each, one a lease: the cache knows them from their second hit on.

"The cost of delivering an event" is CPU of this process, all threads: the whole line from a parsed request to the
settled item, HTTP of the browser not included; and of that the delivery alone: lease, look-up, seal, post, settle,
report. A stub's and PostgreSQL's own CPU is in neither. The first column of figures is the whole line.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks.bench_enrich import CUSTOMERS, QUERY, customers, signed_cookie, store
from tests.factories import hit_query, open_sources, request
from tests.processes import free_port
from tests.sources.postgres import fill_table, postgres

from pixeltwin.cli.collector import collect_seldom
from pixeltwin.config import Config
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.gateway.items import items_of
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import admit
from pixeltwin.outboxes import sqlite

LEASE: Final = 500
KEY: Final = "a-key-that-signs-cookies"
PIXEL: Final = "1234567890123456"
STUB: Final = """
import asyncio, sys
BODY = b'{"events_received": 1000, "messages": [], "fbtrace_id": "x"}'
HEAD = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n"
ANSWER = HEAD % len(BODY) + BODY
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            lines = head.lower().split(b"\\r\\n")
            await reader.readexactly(next(int(line[15:]) for line in lines if line.startswith(b"content-length:")))
            writer.write(ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
"""


def config(source: str, port: int) -> str:
    enrich = "enrich: [customers], " if source else ""
    sources = f"sources: {{ customers: {source} }}" if source else ""
    return f"""
meta: {{ graph: "http://127.0.0.1:{port}" }}
pixels: [{{ id: "{PIXEL}", {enrich}access_token: "${{T}}" }}]
elements: {{ customer_id: {{ signed_cookie: uid, key: "${{KEY}}" }} }}
{sources}
"""


def hits(number: int, visit: int = 1) -> list[Any]:
    """A lease's worth of hits, each of another customer; of other ones after so many leases."""
    found = []
    for index in range(LEASE):
        cookie = signed_cookie(f"cust-{(number // visit * LEASE + index * 97) % CUSTOMERS}", KEY)
        query = hit_query("Purchase", eid=f"o-{number}-{index}", cd_value="12.5", cd_currency="EUR", fbp="fb.1.1.2")
        found.append(request(query, headers={"cookie": cookie}, received_at=time.time()))
    return found


class Line:
    """The whole line of one config."""

    def __init__(self, text: str, folder: Path, port: int) -> None:
        self.config = Config.from_text(text, base=folder, env={"T": "t", "KEY": KEY, "DSN": DSN[0]})
        self.policy = policy_of(self.config)
        self.folder, self.port = folder, port

    async def open(self, name: str) -> None:
        settings = sqlite.Settings(path=Path(f"{name}.db"))
        self.outbox = await sqlite.open_outbox(settings, base=self.folder)
        twins = Twins(self.config, self.policy, open_sources(self.config), Journal())
        api = ConversionsApi(self.config.meta.graph, "v26.0", {PIXEL: lambda: "t"})
        self.worker = Worker(self.outbox, api, twins.prepare, twins.report, lease_limit=LEASE)

    async def visits(self, number: int, visit: int) -> tuple[float, float]:
        """What `round` says, on average of the leases of some visitors."""
        rounds = [await self.round(hits(number * visit + lease, visit)) for lease in range(visit)]
        early, late = (statistics.fmean(times) for times in zip(*rounds, strict=True))
        return early, late

    async def round(self, requests: Sequence[Any]) -> tuple[float, float]:
        """CPU seconds until the hits are kept, and from there until Meta's answer."""
        began = time.process_time()
        admissions = [admit(it, self.policy, record_id="", random_below=lambda below: 1) for it in requests]
        await self.outbox.append([item for it in admissions for item in items_of(it, "none", time.time())])
        kept = time.process_time()
        assert await self.worker.deliver_due() == LEASE
        return kept - began, time.process_time() - kept


DSN = [""]


async def compare(name: str, source: str, folder: Path, port: int, rounds: int, visit: int = 1) -> None:
    plain, joined = Line(config("", port), folder, port), Line(config(source, port), folder, port)
    await plain.open(f"plain-{name}")
    await joined.open(f"joined-{name}")
    collect_seldom()  # as `pixeltwin run` does
    pairs = [(await plain.visits(number, visit), await joined.visits(number, visit)) for number in range(rounds + 1)]
    pairs = pairs[1:]  # the first connects
    micro = 1e6 / LEASE
    without, with_ = (statistics.median(sum(pair[side]) for pair in pairs) * micro for side in (0, 1))
    late, late_with = (statistics.median(pair[side][1] for pair in pairs) * micro for side in (0, 1))
    ratio = statistics.median(sum(joined) / sum(plain) for plain, joined in pairs)
    print(f"{name:<23} without {without:6.1f}  with {with_:6.1f} µs an event  {ratio:5.2f}×", end="   ")
    print(f"delivery alone {late:6.1f} → {late_with:6.1f} µs  {late_with / late:5.2f}×")


async def bench(folder: Path, dsn: str, port: int, rounds: int, visit: int) -> None:
    DSN[0] = dsn
    store(folder)
    await fill_table(dsn, "customers", dict(customers(CUSTOMERS)))
    kinds = {"embedded": "path: customers.db", "PostgreSQL": f'url: "${{DSN}}", query: "{QUERY}"'}
    for name, options in kinds.items():
        source = f"kind: {'sql' if name == 'PostgreSQL' else 'embedded'}, key: customer_id, {options}"
        await compare(f"{name}, no cache", f"{{ {source}, cache: null }}", folder, port, rounds)
        await compare(f"{name}, visits of {visit}", f"{{ {source} }}", folder, port, max(1, rounds // 3), visit)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--visit", type=int, default=8, help="hits of a visitor")
    asked, port = parser.parse_args(), free_port()
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as folder, postgres() as dsn:
        stub = subprocess.Popen([sys.executable, "-c", STUB, str(port)])
        try:
            asyncio.run(bench(Path(folder), dsn, port, asked.rounds, asked.visit))
        finally:
            stub.terminate()


if __name__ == "__main__":
    main()
