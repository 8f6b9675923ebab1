"""Two gateways, each in a network namespace of its own, one PostgreSQL and one sandbox Meta outside of them.

A node has two wires: `db` leads to the database, and is what tests cut; `web` is where browsers come in. Meta is
reached on the node's loopback, since plain HTTP is for loopback alone: sockets that are opened there are served here.
"""

import os
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.factories import PAGE, UA
from tests.outboxes.engines import Killable, killable_server
from tests.processes import BIN, Meta, Process, sandbox, started, until

STARTS = 120.0  # seconds, on a machine that has much else to do
PIXELS = ("1234567890123456", "2345678901234567", "3456789012345678")
CONFIG = """
server: {{ listen: "0.0.0.0:8080", public_hosts: [px.shop.example] }}
meta: {{ graph: "{meta}", pixel: "{meta}" }}
pixels:
  - {{ name: shop, id: "1234567890123456", access_token: "${{SHOP_TOKEN}}", relay: none }}
  - {{ name: other, id: "2345678901234567", access_token: "${{SHOP_TOKEN}}", relay: none }}
  - {{ name: third, id: "3456789012345678", access_token: "${{SHOP_TOKEN}}", relay: none }}
outbox: {{ kind: postgres, url: "${{DATABASE}}", spool: {{ path: "{spool}" }} }}
delivery: {{ lease: {lease}s }}
admin: null
"""
LEASE = 20  # seconds, the shortest there is


def skip_where_impossible() -> None:
    """Namespaces need root, Linux and iproute2."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2: apt-get install iproute2")
    name = f"pt{secrets.token_hex(3)}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"no network namespaces here: {tried.stderr.decode().strip()}")
    ip("netns", "del", name)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@dataclass
class Wire:
    """A pair of interfaces; `near` is the address inside of the namespace, `far` the one outside."""

    namespace: str
    name: str
    near: str
    far: str

    @contextmanager
    def laid(self) -> Iterator[None]:
        inside, outside = f"{self.name}i", f"{self.name}o"
        ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.namespace)
        ip("addr", "add", f"{self.far}/30", "dev", outside)
        ip("link", "set", outside, "up")
        ip("-n", self.namespace, "addr", "add", f"{self.near}/30", "dev", inside)
        ip("-n", self.namespace, "link", "set", inside, "up")
        try:
            yield
        finally:
            ip("link", "del", outside)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """No carrier."""
        ip("-n", self.namespace, "link", "set", f"{self.name}i", "down")
        try:
            yield
        finally:
            ip("-n", self.namespace, "link", "set", f"{self.name}i", "up")

    @contextmanager
    def deaf(self) -> Iterator[None]:
        """What is sent to the namespace vanishes; what it sends arrives."""
        ip("route", "add", "blackhole", f"{self.near}/32")
        try:
            yield
        finally:
            ip("route", "del", "blackhole", f"{self.near}/32")

    @contextmanager
    def dumb(self) -> Iterator[None]:
        """What the namespace sends vanishes; what is sent to it arrives."""
        ip("-n", self.namespace, "route", "add", "blackhole", f"{self.far}/32")
        try:
            yield
        finally:
            ip("-n", self.namespace, "route", "del", "blackhole", f"{self.far}/32")


@dataclass
class Node:
    """A gateway in its namespace."""

    process: Process
    db: Wire
    web: Wire

    def hit(self, pixel_id: str, event_id: str) -> bool:
        """Whether the browser's hit was answered."""
        parameters = {
            "id": pixel_id,
            "ev": "ViewContent",
            "eid": event_id,
            "dl": PAGE,
            "ts": f"{time.time_ns() // 10**6}",
        }
        headers = {"host": "px.shop.example", "user-agent": UA}
        with suppress(httpx.TransportError):
            url = f"http://{self.web.near}:8080/tr/"
            return httpx.get(url, params=parameters, headers=headers, trust_env=False, timeout=10).is_success
        return False


class Database(Killable):
    """A PostgreSQL that listens on the wires, and may be killed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._folder = folder
        with (folder / "data/pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.0.0.0/8 trust\n")

    def listen(self, hosts: list[str]) -> None:
        """From now on, on these addresses too."""
        self._hosts = hosts
        self._control("-m", "fast", "stop")
        self.start()

    def start(self) -> None:
        listen = f"-h '{','.join(self._hosts)}' -k {self._folder / 'data'}"
        self._control("-l", str(self._folder / "data/log"), "-o", listen, "start")
        self._server.ensure_postgres_running()  # learns which process it is
        self.url = self._server.get_uri()

    def _control(self, *arguments: str) -> None:
        command = [self._server.bin_path / "pg_ctl", "-w", "-D", self._folder / "data", *arguments]
        for _ in range(50):  # what is left of a killed one has to go first
            done = subprocess.run(
                command,
                user=self._server.system_user,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if not done.returncode:
                return
            time.sleep(0.2)
        raise RuntimeError(f"pg_ctl {arguments[-1]} failed")


@dataclass
class Nodes:
    """Everything there is."""

    a: Node
    b: Node
    database: Database
    meta: Meta
    answered: dict[str, str] = field(default_factory=dict)  # event id: pixel

    def delivered(self) -> dict[str, str]:
        return {event["event_id"]: entry["pixel_id"] for entry in self.report() if (event := entry["server"]["event"])}

    def report(self) -> list[dict]:
        return [entry for entry in self.meta.report()["events"] if entry["server"]]

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """Visitors come to both nodes meanwhile."""
        stop = threading.Event()
        visitors = [
            threading.Thread(target=self._visit, args=(node, stop)) for node in (self.a, self.b) for _ in range(2)
        ]
        for visitor in visitors:
            visitor.start()
        try:
            yield
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join()

    def _visit(self, node: Node, stop: threading.Event) -> None:
        while not stop.wait(0.05):
            self.visit(node)

    def visit(self, node: Node) -> str:
        """One hit; its event id, noted when it was answered."""
        event_id = secrets.token_hex(8)
        pixel_id = PIXELS[int(event_id, 16) % len(PIXELS)]
        if node.hit(pixel_id, event_id):
            self.answered[event_id] = pixel_id
        return event_id

    def passes(self, node: Node) -> bool:
        """Whether a fresh event of each pixel gets from the node to Meta."""
        fresh = {secrets.token_hex(8): pixel for pixel in PIXELS}
        for event_id, pixel_id in fresh.items():
            assert node.hit(pixel_id, event_id)
        self.answered |= fresh
        return until(lambda: fresh.items() <= self.delivered().items(), patience=60)


@contextmanager
def two_nodes(folder: Path) -> Iterator[Nodes]:
    """Running, with their tables made."""
    run, net = secrets.token_hex(2), secrets.randbelow(250)
    with ExitStack() as stack:
        meta = stack.enter_context(sandbox(folder))
        database = stack.enter_context(killable_server(Database))
        wires = [
            stack.enter_context(_namespace(f"pt{run}{name}", f"10.203.{net}", n * 8)) for n, name in enumerate("ab")
        ]
        database.listen([db.far for db, _ in wires])
        nodes = [stack.enter_context(_node(folder, meta, db, web)) for db, web in wires]
        for node in nodes:
            assert until(lambda node=node: _answers(node), patience=STARTS), node.process.output()
        yield Nodes(*nodes, database, meta)


@contextmanager
def _namespace(name: str, net: str, first: int) -> Iterator[tuple[Wire, Wire]]:
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        db = Wire(name, f"{name}d", f"{net}.{first + 2}", f"{net}.{first + 1}")
        web = Wire(name, f"{name}w", f"{net}.{first + 6}", f"{net}.{first + 5}")
        with db.laid(), web.laid():
            yield db, web
    finally:
        ip("netns", "del", name)


@contextmanager
def _node(folder: Path, meta: Meta, db: Wire, web: Wire) -> Iterator[Node]:
    config = folder / f"{db.namespace}.yaml"
    config.write_text(CONFIG.format(meta=meta.url, spool=folder / f"{db.namespace}.db", lease=LEASE))
    env = {"DATABASE": f"postgresql://postgres@{db.far}:5432/postgres"}
    command = ("ip", "netns", "exec", db.namespace, BIN / "pixeltwin", "run", "-c", config)
    with way_to(meta, db.namespace), started(*command, log=folder / f"{db.namespace}.log", env=env) as process:
        yield Node(process, db, web)


def _answers(node: Node) -> bool:
    with suppress(OSError), socket.create_connection((node.web.near, 8080), timeout=1):
        return True
    return False


@contextmanager
def way_to(meta: Meta, namespace: str) -> Iterator[None]:
    """Meta answers on the loopback of the namespace as well."""
    url = httpx.URL(meta.url)
    with _listening_in(namespace, url.port or 80) as listener:
        threading.Thread(target=_forward, args=(listener, url.port), daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def _listening_in(namespace: str, port: int) -> socket.socket:
    """A socket stays where it was opened, whoever holds it."""
    opened: list[socket.socket] = []

    def open_there() -> None:
        with Path(f"/run/netns/{namespace}").open() as there:
            os.setns(there.fileno(), os.CLONE_NEWNET)  # this thread alone, which ends
        opened.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=open_there)
    thread.start()
    thread.join()
    return opened[0]


def _forward(listener: socket.socket, port: int) -> None:
    with suppress(OSError):
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_carry, args=(near, port), daemon=True).start()


def _carry(near: socket.socket, port: int) -> None:
    with near, suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
