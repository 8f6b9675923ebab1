"""What a front process more brings: durable hits per second and CPU per hit of `pixeltwin run --workers N`.

    uv run --group dev python tests/benchmarks/bench_workers.py
        [--workers 1 2 3] [--connections 64 256 1000] [--rounds 3] [--seconds 4]

wrk (one thread, keep-alive connections, a new event id each time) runs on the same cores, and its CPU is shown.
Meta is out, so that the senders pause and only taking hits is measured: each hit is a twin and a relayed copy in a
SQLite outbox with `synchronous=FULL`, under one rule. Windows are taken in turn, each with a gateway of its own;
medians, and of each round the gain over the first number of workers. The last two columns are no measurements: they
say which rate these costs allow on these cores when nothing else runs there, wrk on what is left, and which one when
every process has a core of its own.
"""

import argparse
import itertools
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.factories import UA, hit_query
from tests.processes import Gateway, free_port, gateway

WARM_UP = 1
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
    """CPU per hit in µs: `behind` of the process that was started, `fronts` of its children, `load` of wrk.

    `p99` in ms. `share` is the busiest front's of what all of them spent.
    """

    rate: float
    p99: float
    behind: float
    fronts: float
    load: float
    share: float

    def apart(self, workers: int) -> float:
        """Hits per second with a core for each process."""
        return 1e6 / max(self.behind, self.fronts / workers)

    def alone(self, workers: int) -> float:
        """Hits per second on these cores, if they had nothing else to do."""
        return min(self.apart(workers), (os.cpu_count() or 1) * 1e6 / (self.behind + self.fronts + self.load))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wrk(url: str, script: Path, connections: int, seconds: int) -> str:
    begun = str(time.time_ns())
    query = hit_query("Purchase", ts=str(time.time_ns() // 1_000_000), cd_value="129.9", cd_currency="EUR")
    script.write_text(SCRIPT.format(begun=begun, query=query, ua=UA))
    command = ("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script, url)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(running: Gateway, script: Path, connections: int, seconds: int) -> Window:
    wrk(running.url, script, connections, WARM_UP)
    pid = running.process.popen.pid
    fronts = children(pid)
    before, own = [cpu_seconds(one) for one in (pid, *fronts)], resource.getrusage(resource.RUSAGE_CHILDREN)
    said = wrk(running.url, script, connections, seconds)
    after, now = [cpu_seconds(one) for one in (pid, *fronts)], resource.getrusage(resource.RUSAGE_CHILDREN)
    count = int(re.search(r"(\d+) requests in", said)[1])
    assert "Non-2xx" not in said, said
    behind, *of_fronts = (b - a for a, b in zip(before, after, strict=True))
    return Window(
        rate=count / seconds,
        p99=milliseconds(*re.search(r"99%\s+([\d.]+)(\w+)", said).groups()),
        behind=behind / count * 1e6,
        fronts=sum(of_fronts) / count * 1e6,
        load=(now.ru_utime + now.ru_stime - own.ru_utime - own.ru_stime) / count * 1e6,
        share=max(of_fronts) / sum(of_fronts) if of_fronts else 1.0,
    )


def milliseconds(number: str, unit: str) -> float:
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def window(workers: int, connections: int, seconds: int) -> Window:
    with tempfile.TemporaryDirectory() as folder:
        meta = f"http://127.0.0.1:{free_port()}"
        with gateway(Path(folder), meta, more=RULE, workers=workers) as running:
            return measure(running, Path(folder) / "hits.lua", connections, seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--connections", type=int, nargs="+", default=[64, 256, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    found: dict[tuple[int, int], list[Window]] = {
        key: [] for key in itertools.product(asked.connections, asked.workers)
    }
    for _ in range(asked.rounds):
        for (connections, workers), windows in found.items():
            windows.append(window(workers, connections, asked.seconds))
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, medians of {asked.rounds} windows of {asked.seconds} s"
    )
    print("CPU in µs per hit; hits/s as measured, and as these costs allow")
    names = ("wrk's", "workers", "hits/s", "gain", "p99 ms", "behind", "fronts", "wrk", "busiest", "alone", "apart")
    print("".join(f"{name:>9}" for name in names))
    for (connections, workers), windows in found.items():
        show(connections, workers, windows, found[connections, asked.workers[0]])


def show(connections: int, workers: int, windows: Sequence[Window], first: Sequence[Window]) -> None:
    """Medians; the gain is over the first number of workers, by rounds."""
    rows = [
        (*vars(it).values(), it.rate / one.rate, it.alone(workers), it.apart(workers))
        for it, one in zip(windows, first, strict=True)
    ]
    rate, p99, behind, fronts, load, share, gain, alone, apart = map(statistics.median, zip(*rows, strict=True))
    costs = f"{behind:9.0f}{fronts:9.0f}{load:9.0f}"
    print(f"{connections:9}{workers:9}{rate:9.0f}{gain:9.2f}{p99:9.0f}{costs}{share:9.0%}{alone:9.0f}{apart:9.0f}")


if __name__ == "__main__":
    main()
