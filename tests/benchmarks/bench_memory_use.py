"""What memory `pixeltwin run` keeps: over many hits, over many connections, and while Meta is down.

    uv run --group dev python tests/benchmarks/bench_memory_use.py [--hits 200000] [--connections 20000] [--long]

wrk (Debian's) sends hits of ever new browsers to a gateway that delivers to a stub: first over 32 connections that
stay, then one connection a hit, then with the stub ended, so that everything waits in the outbox. RSS is that of all of
the gateway's processes, read after every window; a phase's first windows are its warm-up. `--long`: 5 million hits and
200,000 connections. Reports, asserts nothing.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks.bench_joined import STUB
from tests.benchmarks.bench_lanes import rss_mib
from tests.factories import PIXEL, UA
from tests.processes import BIN, Process, free_port, started, write_config

WINDOW: Final = 5  # seconds
LONG: Final = (5_000_000, 200_000)
WRK: Final = """
local count, begun = 0, os.time()
math.randomseed(begun)
local run = math.random(1, 1000000000)
function request()
    count = count + 1
    local now = os.time() * 1000
    local path = string.format(
        "/tr/?id=%s&ev=Purchase&eid=%d-%d-%d&dl=https%%3A%%2F%%2Fwww.shop.example%%2Fp%%2F%d&ts=%d&it=%d&ec=%d"
        .. "&fbp=fb.1.%d.%d&cd%%5Bvalue%%5D=9.5&cd%%5Bcurrency%%5D=EUR",
        "PIXEL", run, begun, count, count, now, now, count, now, count)
    return wrk.format("GET", path, {
        ["Host"] = "px.shop.example", ["User-Agent"] = "AGENT", ["Connection"] = "KEEP",
        ["X-Forwarded-For"] = string.format("203.0.%d.%d", math.floor(count / 250) % 250, count % 250) })
end
"""


def windows(process: Process, port: int, script: Path, wanted: int) -> Iterator[tuple[int, float]]:
    """Send so many hits; after every window how many there were so far, and the memory."""
    sent = 0
    while sent < wanted:
        command = ("wrk", "-t1", "-c32", f"-d{WINDOW}s", "-s", script, f"http://127.0.0.1:{port}")
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        answered = int(re.findall(r"(\d+) requests in", told)[0])
        assert answered, process.output()
        sent += answered
        yield sent, rss_mib(process)


def phase(name: str, process: Process, port: int, script: Path, wanted: int) -> None:
    seen = []
    print(f"{name}, MiB after so many thousand hits:", end="", flush=True)
    for sent, memory in windows(process, port, script, wanted):
        seen.append((sent, memory))
        print(f"  {sent / 1000:.0f}k {memory:.0f}", end="", flush=True)
    settled = [memory for _, memory in seen[len(seen) // 3 :]]  # after the warm-up
    change = settled[-1] / settled[0] - 1
    span = f"{min(settled):.0f} to {max(settled):.0f}"
    print(f"\n    {seen[-1][0]:,} hits: {span} MiB after warm-up, the last {change:+.1%} to the first", flush=True)


def script(folder: Path, name: str, keep: str) -> Path:
    path = folder / name
    path.write_text(WRK.replace("PIXEL", PIXEL).replace("AGENT", UA).replace("KEEP", keep))
    return path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hits", type=int, default=200_000)
    parser.add_argument("--connections", type=int, default=20_000)
    parser.add_argument("--long", action="store_true")
    asked = parser.parse_args()
    hits, connections = LONG if asked.long else (asked.hits, asked.connections)
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="pixeltwin-bench-") as home:
        folder, meta, port = Path(home), free_port(), free_port()
        stub = (sys.executable, "-c", STUB, str(meta))
        config = write_config(folder, f"http://127.0.0.1:{meta}", port=port, pixel=", relay: none")
        run = (BIN / "pixeltwin", "run", "-c", config)
        keep, close = script(folder, "keep.lua", "keep-alive"), script(folder, "close.lua", "close")
        with started(*run, log=folder / "gateway.log", port=port) as process:
            with started(*stub, log=folder / "stub.log", port=meta):
                phase("32 connections", process, port, keep, hits)
                phase("one connection a hit", process, port, close, connections)
            phase("Meta is down", process, port, keep, hits // 4)
            size = sum(file.stat().st_size for file in folder.glob("outbox.db*"))
            print(f"the outbox has {size / 2**20:.0f} MiB on the disk")


if __name__ == "__main__":
    main()
