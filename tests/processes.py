"""Real processes for end-to-end tests: each on a free port of loopback, each ended by the test that began it."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TOKEN, UID_KEY = "a-token-of-the-test", "a-key-of-the-test"
PATIENCE = float(os.environ.get("PIXELTWIN_PATIENCE", "20"))  # seconds; more on a machine that has much else to do
GIVEN: set[int] = set()
# Below the ports that the system gives to whoever connects, which may be gone between a look and a server's start; for
# each of the processes that pytest runs tests in others.
PORTS = 2500
LOWEST_PORT = 12_000 + PORTS * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8)


def free_port(count: int = 1) -> int:
    """The first of so many ports in a row that nobody listens on and that were not given away before."""
    while True:
        first = LOWEST_PORT + random.randrange(PORTS - count)  # noqa: S311 - no secret
        ports = range(first, first + count)
        if GIVEN.isdisjoint(ports) and all(map(is_free, ports)):
            GIVEN.update(ports)
            return first


def is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def until[T](probe: Callable[[], T], *, patience: float = PATIENCE) -> T:
    """The probe's first true answer; what it said last when patience ends."""
    deadline = time.monotonic() + patience
    while not (found := probe()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@dataclass
class Process:
    """A program under test, its output in a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, number: int = signal.SIGTERM, *, patience: float = PATIENCE) -> int:
        """Send a signal, wait, answer the exit code."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(patience)


@contextmanager
def started(
    *command: str | Path,
    log: Path,
    port: int | None = None,
    env: dict[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[Process]:
    """The program, once its port answers; killed at the end if it still runs. A gateway is one process unless told."""
    given = {"SHOP_TOKEN": TOKEN, "UID_KEY": UID_KEY, "PIXELTWIN_WORKERS": "1"}
    environment = {**os.environ, **given, **(env or {})}
    with log.open("ab") as output:
        popen = subprocess.Popen(list(map(str, command)), stdout=output, stderr=output, env=environment, cwd=ROOT)
    process = Process(popen, log)
    try:
        if port is not None:
            assert until(lambda: popen.poll() is not None or _answers(port), patience=patience), process.output()
            assert popen.poll() is None, process.output()
        yield process
    finally:
        if popen.poll() is None:
            popen.kill()
            popen.wait()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started and that are there."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Meta:
    """A sandbox Meta in a process of its own."""

    url: str

    def report(self) -> dict:
        return httpx.get(f"{self.url}/sandbox/events", trust_env=False).json()

    def forget(self) -> None:
        httpx.delete(f"{self.url}/sandbox/events", trust_env=False)

    def servers(self) -> list[dict]:
        """The server events it took."""
        return [entry["server"]["event"] for entry in self.report()["events"] if entry["server"]]

    def pairs(self) -> list[dict]:
        return [entry for entry in self.report()["events"] if entry["verdict"] == "deduplicated"]


@contextmanager
def sandbox(folder: Path) -> Iterator[Meta]:
    port = free_port()
    with started(BIN / "pixeltwin", "sandbox", "--port", str(port), log=folder / "sandbox.log", port=port):
        yield Meta(f"http://127.0.0.1:{port}")


CONFIG = """
server: {{ listen: "127.0.0.1:{port}", public_hosts: [px.shop.example, 127.0.0.1],
           trusted_proxies: [127.0.0.1/32] {server} }}
meta: {{ graph: "{meta}", pixel: "{meta}" }}
pixels:
  - {{ name: shop, id: "1234567890123456", access_token: "${{SHOP_TOKEN}}" {pixel} }}
  - {{ name: other, id: "2345678901234567", access_token: "${{SHOP_TOKEN}}" {pixel} }}
  - {{ name: third, id: "3456789012345678", access_token: "${{SHOP_TOKEN}}" {pixel} }}
outbox: {{ kind: sqlite, path: outbox.db }}
admin: {admin}
{more}
"""


@dataclass
class Gateway:
    """A gateway in a process of its own, or mitmdump with the addon."""

    url: str
    admin: str
    config: Path
    process: Process

    def records(self) -> list[dict]:
        return httpx.get(f"{self.admin}/api/events", params={"limit": 1000}, trust_env=False).json()["events"]


def write_config(
    folder: Path,
    meta: str,
    *,
    port: int = 8080,
    admin: int | None = None,
    server: str = "",
    pixel: str = "",
    more: str = "",
) -> Path:
    path = folder / "pixeltwin.yaml"
    listen = f'{{ listen: "127.0.0.1:{admin}", token: "${{UID_KEY}}" }}' if admin else "null"
    path.write_text(CONFIG.format(port=port, meta=meta, admin=listen, server=server, pixel=pixel, more=more))
    return path


@contextmanager
def gateway(
    folder: Path, meta: str, *, server: str = "", pixel: str = "", more: str = "", workers: int = 1
) -> Iterator[Gateway]:
    """`pixel` are options of every pixel, `more` are sections of the file."""
    port, admin = free_port(), free_port()
    config = write_config(folder, meta, port=port, admin=admin, server=server, pixel=pixel, more=more)
    command = (BIN / "pixeltwin", "run", "-c", config, "--workers", str(workers))
    last, patience = (port, PATIENCE) if workers == 1 else (admin, 3 * PATIENCE)  # what answers last; imports
    with started(*command, log=folder / "gateway.log", port=last, patience=patience) as process:
        yield Gateway(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", config, process)


@contextmanager
def mitmdump(folder: Path, config: Path, mode: str, *options: str, script: Path | None = None) -> Iterator[Gateway]:
    """mitmdump with the addon, in `mode` ("reverse:http://…", "regular")."""
    port = free_port()
    command = (
        *(BIN / "mitmdump", "--mode", f"{mode}@127.0.0.1:{port}", "-s", script or ROOT / "addons/pixel_mirror.py"),
        *("--set", f"pixeltwin_config={config}", "--set", f"confdir={folder / 'mitmproxy'}", *options),
    )
    with started(*command, log=folder / "mitmdump.log", port=port) as process:
        yield Gateway(f"http://127.0.0.1:{port}", "", config, process)
