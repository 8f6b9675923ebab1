"""Whatever we write is its owner's alone, however careless the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pixeltwin.delivery.outbox import NewItem
from pixeltwin.memories import sqlite as memory
from pixeltwin.outboxes import open_outbox, postgres, sqlite
from pixeltwin.sandbox.app import Sandbox, create_app
from pixeltwin.sources.embedded import EmbeddedSource

ITEM = NewItem(destination="conversions_api", pixel_id="1", key=None, payload=b"{}")
NOWHERE = "postgresql://postgres@/postgres?host=/nowhere"


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """What in the folder is not 0600, or not 0700 if it is a folder."""
    modes = {path: (path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in folder.rglob("*")}
    assert modes
    return {
        str(path.relative_to(folder)): oct(mode)
        for path, (is_dir, mode) in modes.items()
        if mode != (0o700 if is_dir else 0o600)
    }


async def test_the_outbox_with_its_logs_and_locks(tmp_path: Path) -> None:
    outbox = await open_outbox(sqlite.Settings(path="a/b/outbox.db"), base=tmp_path)
    await outbox.append([ITEM])
    assert {"outbox.db", "outbox.db-wal", "outbox.db-shm", "outbox.db.lock"} <= {
        path.name for path in (tmp_path / "a/b").iterdir()
    }
    assert open_to_others(tmp_path) == {}
    await outbox.close()
    assert open_to_others(tmp_path) == {}


async def test_the_spool(tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    settings = postgres.Settings(kind="postgres", url=NOWHERE, spool={"path": "a/b/spool.db"})
    outbox = await open_outbox(settings, base=tmp_path)
    await outbox.append([ITEM])
    assert open_to_others(tmp_path) == {}
    await outbox.close()


async def test_the_remembered_identities(tmp_path: Path) -> None:
    store = await memory.open_memory(memory.Settings(path="a/b/identities.db"), base=tmp_path)
    await store.forget(["a" * 64])
    assert open_to_others(tmp_path) == {}
    await store.close()


async def test_the_customers(tmp_path: Path) -> None:
    store = EmbeddedSource(tmp_path / "a/b/customers.db")
    await store.put("cust-1", {"em": "john_smith@gmail.com"})
    assert open_to_others(tmp_path) == {}
    await store.close()


async def test_the_journal_of_the_sandbox(tmp_path: Path) -> None:
    app = create_app(Sandbox(journal=tmp_path / "journal.jsonl"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://meta.test") as meta:
        await meta.get("/sandbox/events")
    assert open_to_others(tmp_path) == {}
