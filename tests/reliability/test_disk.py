"""A full or failing disk costs nothing that was acknowledged, and heals without a restart."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import apsw
import pytest
from tests.factories import hit_query, request

from pixeltwin.config import Config
from pixeltwin.delivery.journal import State
from pixeltwin.delivery.outbox import MONEY, Appended, Delivered, NewItem, Outbox, Tally
from pixeltwin.gateway import Gateway
from pixeltwin.outboxes import sqlite
from pixeltwin.outboxes.sqlite.intake import LOOK_EVERY

CAPI: Final = "conversions_api"


def new_item(name: str, *, priority: int = MONEY) -> NewItem:
    key = name.encode()
    return NewItem(destination=CAPI, pixel_id="1", key=key, payload=key.ljust(2000), priority=priority)


async def open_outbox(folder: Path) -> sqlite.SqliteOutbox:
    outbox = await sqlite.open_outbox(sqlite.Settings(), base=folder)
    assert isinstance(outbox, sqlite.SqliteOutbox)
    return outbox


async def append(outbox: Outbox, names: list[str]) -> list[str]:
    """The names of those that were acknowledged."""
    accepted = []
    for name in names:
        with suppress(OSError):
            if await outbox.append([new_item(name)]) == [Appended.ACCEPTED]:
                accepted.append(name)
    return accepted


FEW: Final = 10  # items: on a disk of 16 MB the ballast is half a megabyte


async def drain(outbox: Outbox, limit: int = 50) -> list[str]:
    """Deliver all that waits; the names."""
    names: list[str] = []
    while (lease := await outbox.lease(CAPI, limit=limit, seconds=60)).items:
        assert await outbox.settle(lease, {item.seq: Delivered() for item in lease.items}) == len(lease.items)
        names += [item.payload.rstrip().decode() for item in lease.items]
    return names


async def is_conserved(outbox: Outbox) -> bool:
    tally, depths = (await outbox.tally())[CAPI], await outbox.stats()
    waiting = depths[CAPI].ready + depths[CAPI].leased if CAPI in depths else 0
    return tally.accepted == tally.delivered + tally.lost + waiting == tally.delivered + waiting


def named(prefix: str, number: int) -> list[str]:
    return [f"{prefix} {n}" for n in range(number)]


# A disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def use_up(disk: Path) -> Path:
    """Somebody else writes until nothing goes any more."""
    neighbour = disk / "neighbour"
    with suppress(OSError), neighbour.open("wb", buffering=0) as file:
        while file.write(bytes(4096)) == 4096:
            pass
    time.sleep(LOOK_EVERY)  # until then nobody looks, and the log has room for a few
    return neighbour


async def until_taken(outbox: Outbox) -> None:
    """Hits go on arriving until one is accepted; a look for room on the disk is due once a second."""
    async with asyncio.timeout(30):
        for number in count():
            if await append(outbox, [f"next {number}"]):
                return
            await asyncio.sleep(0.02)


async def test_on_a_full_disk_what_waits_is_delivered_and_forgotten(small_disk: Path) -> None:
    outbox, ballast = await open_outbox(small_disk), small_disk / "data/outbox.db.ballast"
    before = await append(outbox, named("before", 1000))
    neighbour = use_up(small_disk)
    assert await append(outbox, named("during", 50)) == []
    assert "full" in (outbox.trouble() or "")
    assert sorted(await drain(outbox)) == sorted(before)
    assert not ballast.exists()  # it was needed for that
    assert await append(outbox, ["still full"]) == []

    neighbour.unlink()
    await until_taken(outbox)
    assert ballast.exists()
    assert await append(outbox, named("after", 3)) == named("after", 3)
    assert outbox.trouble() is None
    assert await is_conserved(outbox)
    await outbox.close()


async def test_an_outbox_opens_on_a_full_disk(small_disk: Path) -> None:
    outbox = await open_outbox(small_disk)
    before = await append(outbox, named("before", 100))
    await outbox.close()
    use_up(small_disk)
    outbox = await open_outbox(small_disk)
    assert sorted(await drain(outbox, FEW)) == sorted(before)
    await outbox.close()


async def test_on_a_full_disk_a_damaged_outbox_is_salvaged_as_far_as_there_is_room(small_disk: Path) -> None:
    outbox = await open_outbox(small_disk)
    before = await append(outbox, named("before", 500))
    await outbox.close()
    with (small_disk / "data/outbox.db").open("rb+") as file:
        file.write(bytes(100))
    use_up(small_disk)
    outbox = await open_outbox(small_disk)
    tally = (await outbox.tally())[CAPI]
    names = await drain(outbox, FEW)
    assert 20 <= len(names) < 500
    assert set(names) < set(before)
    assert (tally.accepted, tally.lost) == (500, 500 - len(names))
    await outbox.close()


async def test_nothing_is_taken_while_the_disk_has_less_than_must_stay_free(small_disk: Path) -> None:
    """An eighth of it: somebody else needs the disk too."""
    outbox = await open_outbox(small_disk)
    free = os.statvfs(small_disk)
    (small_disk / "neighbour").write_bytes(bytes(free.f_bavail * free.f_frsize - 1_900_000))
    assert await outbox.append([new_item("a")]) == [Appended.SHED]
    assert await outbox.tally() == {CAPI: Tally(shed=1)}
    await outbox.close()


# A disk that fails


class Disk(apsw.VFS):
    """The file system below SQLite; calls in `failing` fail, and reads of what is `bad`: a file's number, from, to."""

    def __init__(self) -> None:
        self.failing: dict[str, int] = {}
        self.bad: tuple[int, int, int] | None = None
        self.calls: list[str] = []
        super().__init__("failing", "unix", makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "File":  # noqa: N802 - apsw's name
        return File(self, name, flags)


class File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        disk.calls.append("xOpen")
        super().__init__("unix", name, flags)
        self._number = Path(self._name).stat().st_ino if self._name else 0

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - apsw's name
        self._may_fail("xWrite", apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        self._may_fail("xSync", apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - apsw's name
        if self._disk.bad:
            number, begin, end = self._disk.bad
            if number == self._number and offset < end and begin < offset + amount:
                raise apsw.exception_for(apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)

    def _may_fail(self, call: str, code: int) -> None:
        if self._disk.failing.get(call, 0) > 0:
            self._disk.failing[call] -= 1
            self._disk.calls.append(f"{call} failed")
            raise apsw.exception_for(code)
        self._disk.calls.append(call)


@contextmanager
def faulty_disk() -> Iterator[Disk]:
    disk, before = Disk(), apsw.vfs_names()[0]
    try:
        yield disk
    finally:
        apsw.set_default_vfs(before)
        disk.unregister()


@pytest.fixture
def disk() -> Iterator[Disk]:
    with faulty_disk() as disk:
        yield disk


@pytest.fixture
async def outbox(disk: Disk, tmp_path: Path) -> AsyncIterator[sqlite.SqliteOutbox]:
    outbox = await open_outbox(tmp_path)
    yield outbox
    await outbox.close()


FOREVER: Final = 1 << 30


@pytest.mark.parametrize("call", ["xWrite", "xSync"])
async def test_what_the_disk_may_not_have_kept_is_not_acknowledged(
    outbox: sqlite.SqliteOutbox, disk: Disk, call: str
) -> None:
    before = await append(outbox, named("before", 20))
    disk.failing[call] = 1
    with pytest.raises(OSError, match="IOError"):
        await outbox.append([new_item("failed")])
    after = await append(outbox, named("after", 20))
    names = await drain(outbox)
    assert set(before + after) <= set(names)
    assert len(set(names)) == len(names)
    assert await is_conserved(outbox)


async def test_after_a_failed_fsync_the_file_is_opened_anew_before_anything_is_acknowledged(
    outbox: sqlite.SqliteOutbox, disk: Disk
) -> None:
    """The kernel may have dropped what it could not write, and says nothing of it the next time."""
    await append(outbox, ["before"])
    disk.failing["xSync"] = 1
    refused = await asyncio.gather(*(outbox.append([new_item(name)]) for name in named("a", 5)), return_exceptions=True)
    assert any(isinstance(one, OSError) for one in refused)
    calls = disk.calls[disk.calls.index("xSync failed") :]
    assert await append(outbox, ["after"]) == ["after"]
    assert calls[1] == "xOpen"
    assert "xSync" in calls  # what the log held was synced with the file


@pytest.mark.parametrize("call", ["xWrite", "xSync"])
async def test_a_disk_that_goes_on_failing_is_told_and_heals_by_itself(
    outbox: sqlite.SqliteOutbox, disk: Disk, call: str
) -> None:
    before = await append(outbox, named("before", 5))
    lease = await outbox.lease(CAPI, limit=2, seconds=3600)
    disk.failing[call] = FOREVER
    assert await append(outbox, named("during", 20)) == []
    assert "cannot be used" in (outbox.trouble() or "")
    disk.failing.clear()
    await until_taken(outbox)
    assert outbox.trouble() is None
    assert await outbox.settle(lease, {item.seq: Delivered() for item in lease.items}) == 2
    assert set(before) - set(await drain(outbox)) == {item.payload.rstrip().decode() for item in lease.items}
    assert await is_conserved(outbox)


async def test_what_lies_on_a_bad_sector_alone_is_lost(disk: Disk, tmp_path: Path) -> None:
    outbox = await open_outbox(tmp_path)
    before = await append(outbox, named("item", 100))
    await outbox.close()
    path = tmp_path / "data/outbox.db"
    at = path.read_bytes().index(b"item 50".ljust(2000)) // 4096 * 4096
    disk.bad = (path.stat().st_ino, at, at + 4096)
    outbox = await open_outbox(tmp_path)
    names = await drain(outbox)
    lost = (await outbox.tally())[CAPI].lost
    assert 1 <= lost <= 2
    assert set(names) <= set(before)
    assert len(names) == 100 - lost
    await outbox.close()


# The page


SHOP: Final = """
pixels: [{ name: shop, id: "1234567890123456", access_token: "${T}" }]
outbox: { kind: memory, max_items: 10 }
"""


async def test_a_hit_that_is_shed_is_answered_and_counted_and_readiness_tells_why(tmp_path: Path) -> None:
    env = {"T": "EAAcanary0token1of2the3tests"}
    gateway = Gateway(Config.from_text(SHOP, base=tmp_path, env=env), relay="native")
    await gateway.open()
    try:
        states = [(await gateway.handle(request(hit_query(eid=f"e{n}")))).state for n in range(20)]
        assert states[0] is State.QUEUED
        assert states[-1] is State.SHED
        money = [(await gateway.handle(request(hit_query("Purchase", eid=f"p{n}")))).state for n in range(20)]
        assert money[0] is State.QUEUED
        assert money[-1] is State.SHED
        assert (await gateway.outbox.tally())[CAPI].shed == (states + money).count(State.SHED)
        assert "full" in (gateway.ready() or "")
    finally:
        await gateway.close()
