"""Processes of `pixeltwin run` and `worker` that are there at once: what takes seconds is done before they fork.

    python -m tests.reliability.nursery

reads one JSON line a process, `{"kind": …, "config": …, "failpoint": …, "log": …, "note": …, "lease": …}`, and writes
`born PID` and, when it has ended, `dead PID STATUS`. A child does what `pixeltwin KIND -c FILE` does from there on.
"""

import asyncio
import importlib
import json
import os
import select
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

type Kind = Literal["run", "worker"]

IMPORTS: Final = (
    *(
        "pixeltwin.cli.run",
        "pixeltwin.cli.worker",
        "pixeltwin.proxy.embedded",
        "pixeltwin.outboxes.memory",
        "pixeltwin.outboxes.sqlite",
        "pixeltwin.outboxes.postgres.outbox",
    ),
    *("asyncpg", "anyio._backends._asyncio", "concurrent.futures.thread", "httpcore", "encodings.idna"),
    "tests.reliability.failpoints",
)
LOOK: Final = 0.01  # seconds between two looks at whether a child has ended


def main() -> None:
    _import_all()
    print("ready", flush=True)
    children: set[int] = set()
    with os.fdopen(0, "rb", buffering=0) as orders:
        while True:
            if select.select([orders], [], [], LOOK)[0]:
                order = orders.readline()
                if not order:
                    break
                children.add(_bear(json.loads(order)))
            _bury(children)
    for pid in children:
        os.kill(pid, 9)


def _import_all() -> None:
    """What a gateway imports, some of it late; only the child opens anything."""
    for name in IMPORTS:
        importlib.import_module(name)


def _bear(order: dict[str, Any]) -> int:
    pid = os.fork()
    if not pid:
        _live(order)
    print(f"born {pid}", flush=True)
    return pid


def _bury(children: set[int]) -> None:
    while children and (found := os.waitpid(-1, os.WNOHANG))[0]:
        children.discard(found[0])
        print(f"dead {found[0]} {os.waitstatus_to_exitcode(found[1])}", flush=True)


def _live(order: dict[str, Any]) -> None:
    """Be a gateway or a worker until something ends it."""
    from tests.reliability import failpoints

    from pixeltwin.cli.run import run_gateway
    from pixeltwin.cli.worker import run_worker

    code = 70
    try:
        log = os.open(order["log"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        note = os.open(order["note"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        failpoints.witness(note)
        failpoints.install(order["failpoint"], note)
        if order["lease"]:
            failpoints.short_leases(order["lease"])
        config = Path(order["config"])
        code = asyncio.run(run_worker(config, admin=False) if order["kind"] == "worker" else run_gateway(config))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


class Child:
    """One process. `ended` is its exit code, minus a signal's number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        if not self.ended.done():
            os.kill(self.pid, number)  # nobody else has the pid: it is not free before the nursery has waited for it


class Nursery:
    """The test's end of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._children: dict[int, Child] = {}
        self._born: asyncio.Queue[Child] = asyncio.Queue()

    async def start(
        self,
        config: Path,
        *,
        kind: Kind = "run",
        failpoint: str = "",
        note: Path | None = None,
        lease: float | None = None,
    ) -> Child:
        log = config.with_suffix(".log")
        order = {
            "kind": kind,
            "config": str(config),
            "failpoint": failpoint,
            "log": str(log),
            "note": str(note or config.with_suffix(".note")),
            "lease": lease,
        }
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._born.get()

    async def listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            match line.decode().split():
                case ["born", pid]:
                    self._children[int(pid)] = Child(int(pid))
                    self._born.put_nowait(self._children[int(pid)])
                case ["dead", pid, code]:
                    self._children.pop(int(pid)).ended.set_result(int(code))


@asynccontextmanager
async def nursery() -> AsyncIterator[Nursery]:
    """Ready to fork; whatever still lives at the end is killed."""
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.reliability.nursery"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=root,
        env={**os.environ, "SHOP_TOKEN": "a-token", "UID_KEY": "a-key", "PYTHONPATH": f"{root}:{root / 'tests'}"},
    )
    assert process.stdout
    assert process.stdin
    assert (await process.stdout.readline()) == b"ready\n"
    made = Nursery(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        process.stdin.close()
        await process.wait()
        await listening


if __name__ == "__main__":
    main()
