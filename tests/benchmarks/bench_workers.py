"""What a front process more brings: durable hits per second and CPU per hit of `pixeltwin run --workers N`.

    python tests/benchmarks/bench_workers.py [--workers 1 2 3] [--rounds 3] [--seconds 4]

wrk (one thread, 64 keep-alive connections, a new event id each time) runs on the same cores, and its CPU is shown.
Meta is out, so that the senders pause and only taking hits is measured: each hit is a twin and a relayed copy in a
SQLite outbox with `synchronous=FULL`, under one rule. Windows are taken in turn, each with a gateway of its own;
medians. With more cores than these the rate is bounded by whichever process is busiest: the last column says how many
hits per second the CPU per hit of a front and of the process behind it would allow, if each had a core of its own.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.factories import UA, hit_query
from tests.processes import Gateway, free_port, gateway

CONNECTIONS, WARM_UP = 64, 1
TICKS = os.sysconf("SC_CLK_TCK")
RULE = "rules: [{ name: new, match: { event: Purchase }, then: { custom_data: { json: { customer_type: new } } } }]\n"
SCRIPT = """
local hits, begun = 0, "{begun}"
request = function()
  hits = hits + 1
  return wrk.format("GET", "/tr/?{query}&eid=" .. begun .. "-" .. hits)
end
wrk.headers["User-Agent"] = "{ua}"
wrk.headers["Host"] = "px.shop.example"
"""


@dataclass(frozen=True)
class Window:
    """`behind` is the CPU per hit of the process that was started, `fronts` of all its children, in µs."""

    rate: float
    p99: str
    behind: float
    fronts: float
    load: float
    share: float

    def bound(self, workers: int) -> float:
        """Hits per second with a core for each process."""
        busiest = max(self.behind, self.fronts / workers)
        return 1e6 / busiest


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wrk(url: str, script: Path, seconds: int) -> str:
    begun = str(time.time_ns())
    query = hit_query("Purchase", ts=str(time.time_ns() // 1_000_000), cd_value="129.9", cd_currency="EUR")
    script.write_text(SCRIPT.format(begun=begun, query=query, ua=UA))
    command = ("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script, url)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(running: Gateway, script: Path, seconds: int) -> Window:
    wrk(running.url, script, WARM_UP)
    pid = running.process.popen.pid
    fronts = children(pid)
    before, own = [cpu_seconds(one) for one in (pid, *fronts)], resource.getrusage(resource.RUSAGE_CHILDREN)
    said = wrk(running.url, script, seconds)
    after, now = [cpu_seconds(one) for one in (pid, *fronts)], resource.getrusage(resource.RUSAGE_CHILDREN)
    count = int(re.search(r"(\d+) requests in", said)[1])
    assert "Non-2xx" not in said, said
    behind, *of_fronts = (b - a for a, b in zip(before, after, strict=True))
    return Window(
        rate=count / seconds,
        p99=re.search(r"99%\s+(\S+)", said)[1],
        behind=behind / count * 1e6,
        fronts=sum(of_fronts) / count * 1e6,
        load=(now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime) / count * 1e6,
        share=max(of_fronts) / sum(of_fronts) if of_fronts else 1.0,
    )


def window(workers: int, seconds: int) -> Window:
    with tempfile.TemporaryDirectory() as folder:
        meta = f"http://127.0.0.1:{free_port()}"
        with gateway(Path(folder), meta, more=RULE, workers=workers) as running:
            assert urlsplit(running.url).port
            return measure(running, Path(folder) / "hits.lua", seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    found: dict[int, list[Window]] = {workers: [] for workers in asked.workers}
    for _ in range(asked.rounds):
        for workers, windows in found.items():
            windows.append(window(workers, asked.seconds))
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {asked.rounds} windows of {asked.seconds} s"
    )
    print(
        f"{'workers':>8}{'hits/s':>8}{'ratio':>7}{'p99':>10}{'CPU µs: behind':>16}{'fronts':>8}{'wrk':>6}"
        f"{'busiest front':>15}{'a core each':>13}"
    )
    base = statistics.median(one.rate for one in found[asked.workers[0]])
    for workers, windows in found.items():
        rate, behind, fronts, load, share, bound = (
            statistics.median(column)
            for column in zip(
                *((o.rate, o.behind, o.fronts, o.load, o.share, o.bound(workers)) for o in windows), strict=True
            )
        )
        print(
            f"{workers:8}{rate:8.0f}{rate / base:7.2f}{windows[-1].p99:>10}{behind:16.0f}{fronts:8.0f}{load:6.0f}"
            f"{share:15.0%}{bound:13.0f}"
        )


if __name__ == "__main__":
    main()
