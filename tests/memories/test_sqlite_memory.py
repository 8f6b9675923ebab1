"""What the sqlite engine promises beyond the contract: the file, and what is left in it."""

import asyncio
import hashlib
import stat
from pathlib import Path
from typing import Any, Final

import apsw
import pytest

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.memory import Memory, Remembered
from pixeltwin.memories import sqlite

DAY: Final = 86_400.0
KEYS: Final = [hashlib.blake2b(bytes([number]), digest_size=16).digest() for number in range(9)]
CANARY: Final = {"em": "Canary.Person@example.com", "ph": "+1 202-555-0198", "fn": "Canariella", "external_id": "id-73"}
PERSON: Final = Remembered.model_validate({"user_data": {key: hashes(key, text) for key, text in CANARY.items()}})
EM: Final = hashlib.sha256(b"canary.person@example.com").hexdigest()


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def opened(folder: Path, clock: Clock | None = None, **options: Any) -> Memory:
    return await sqlite.open_memory(sqlite.Settings(**options), base=folder, clock=clock or Clock())


def someone(name: str) -> Remembered:
    return Remembered.model_validate({"user_data": {"em": hashes("em", f"{name}@example.com")}})


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (folder / "data").iterdir())


def ends(folder: Path) -> list[float]:
    """When the entries' times end, as the file has it."""
    file = apsw.Connection(str(folder / "data" / "identities.db"))
    return [until for (until,) in file.execute("SELECT until FROM entries")]


async def test_the_file_is_its_owner_s_alone(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON}, DAY)
    files = list((tmp_path / "data").iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert len(files) == 3  # SQLite's log and its index among them
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    await memory.close()


async def test_what_is_known_survives_reopening(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON}, DAY)
    await memory.close()
    again = await opened(tmp_path)
    assert await again.recall(KEYS) == {KEYS[0]: PERSON}
    await again.close()


async def test_plaintext_never_reaches_the_disk(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON}, DAY)
    written = everything_in(tmp_path).lower()
    assert EM.encode() in written
    for text in (b"canar", b"2025550198", b"202-555", b"example.com", b"id-73"):
        assert text not in written
    await memory.close()


async def test_who_is_forgotten_is_gone_from_the_bytes_of_the_file(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON, KEYS[1]: PERSON, KEYS[2]: someone("other")}, DAY)
    assert await memory.forget([EM]) == 2
    written = everything_in(tmp_path)
    for values in PERSON.model_dump(exclude_none=True)["user_data"].values():
        assert values[0].encode() not in written
    assert KEYS[0] not in written
    assert await memory.recall(KEYS) == {KEYS[2]: someone("other")}
    await memory.close()


async def test_who_is_forgotten_by_one_value_leaves_no_older_ones_behind(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    old, new = hashes("ph", "+1 202-555-0111"), hashes("ph", "+1 202-555-0122")
    for phone in (old, new):
        await memory.remember({KEYS[0]: Remembered.model_validate({"user_data": {"em": [EM], "ph": phone}})}, DAY)
    await memory.forget([EM])
    assert old[0].encode() not in everything_in(tmp_path)
    await memory.close()


async def test_forgetting_looks_into_every_part_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "SCAN_AT_ONCE", 2)
    memory = await opened(tmp_path)
    await memory.remember({key: PERSON if place % 3 == 0 else someone("x") for place, key in enumerate(KEYS)}, DAY)
    assert await memory.forget([EM]) == 3
    assert len(await memory.recall(KEYS)) == 6
    await memory.close()


async def test_entries_whose_time_has_ended_leave_the_file(tmp_path: Path) -> None:
    clock = Clock()
    memory = await opened(tmp_path, clock)
    await memory.remember({KEYS[0]: PERSON}, DAY)
    clock.now += DAY
    await memory.remember({}, DAY)
    assert ends(tmp_path) == []
    await memory.close()
    assert EM.encode() not in everything_in(tmp_path)


async def test_what_says_nothing_new_is_not_written_again(tmp_path: Path) -> None:
    clock = Clock()
    memory = await opened(tmp_path, clock)
    await memory.remember({KEYS[0]: PERSON}, 90 * DAY)
    (first,) = ends(tmp_path)
    clock.now += 2 * DAY
    await memory.remember({KEYS[0]: PERSON}, 90 * DAY)
    assert ends(tmp_path) == [first]
    clock.now += DAY
    await memory.remember({KEYS[0]: PERSON}, 90 * DAY)
    assert ends(tmp_path) == [clock.now + 90 * DAY]
    await memory.close()


async def test_a_shorter_time_in_the_config_counts_from_the_next_hit_on(tmp_path: Path) -> None:
    clock = Clock()
    memory = await opened(tmp_path, clock)
    for days in (90, 30):
        await memory.remember({KEYS[0]: PERSON}, days * DAY)
    assert ends(tmp_path) == [clock.now + 30 * DAY]
    await memory.close()


async def test_an_entry_that_cannot_be_read_is_nobody_s_and_gives_way(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON, KEYS[1]: PERSON}, DAY)
    file = apsw.Connection(str(tmp_path / "data" / "identities.db"))
    file.execute("UPDATE entries SET entry = ? WHERE key = ?", (b'{"user_data":{"em":["a@b.example"]}}', KEYS[0]))
    assert await memory.recall(KEYS) == {KEYS[1]: PERSON}
    await memory.remember({KEYS[0]: someone("new")}, DAY)
    assert await memory.recall(KEYS) == {KEYS[0]: someone("new"), KEYS[1]: PERSON}
    await memory.close()


async def test_two_may_have_the_file_open(tmp_path: Path) -> None:
    """A reload's new gateway beside the old one, or `pixeltwin customers forget` beside either."""
    memory, other = await opened(tmp_path), await opened(tmp_path)
    await asyncio.gather(
        *(memory.remember({key: PERSON}, DAY) for key in KEYS),
        *(other.remember({key: PERSON}, DAY) for key in KEYS),
    )
    assert await other.forget([EM]) == len(KEYS)
    assert await memory.recall(KEYS) == {}
    assert EM.encode() not in everything_in(tmp_path)
    await memory.close()
    await other.close()


async def test_a_file_that_cannot_be_used_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("this is no database " * 100)
    with pytest.raises(OSError, match="notes"):
        await opened(tmp_path, path="notes.txt")
    with pytest.raises(OSError, match=tmp_path.name):
        await opened(tmp_path, path=".")


async def test_a_full_disk_is_an_os_error_and_loses_nothing(tmp_path: Path) -> None:
    memory = await opened(tmp_path)
    await memory.remember({KEYS[0]: PERSON}, DAY)
    assert isinstance(memory, sqlite.SqliteMemory)
    memory._store._db.pragma("max_page_count", memory._store._db.pragma("page_count"))
    people = {hashlib.blake2b(b"%d" % n, digest_size=16).digest(): someone(str(n)) for n in range(1000)}
    with pytest.raises(OSError, match="Full"):
        await memory.remember(people, DAY)
    assert await memory.recall([*people, *KEYS]) == {KEYS[0]: PERSON}
    await memory.close()
