"""An outbox that encrypts: no file has anything in plain text, and what cannot be read is neither sent nor lost."""

from pathlib import Path

import apsw
import pytest
from tests.outboxes.engines import server

from pixeltwin.delivery.encryption import Encryption, key_id
from pixeltwin.delivery.outbox import Delivered, NewItem, Outbox, Refused
from pixeltwin.outboxes import open_outbox, postgres, sqlite
from pixeltwin.outboxes.sqlite.checks import checksum_of

CAPI, RELAY = "conversions_api", "pixel_relay"
CANARY = b'{"em":"62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"}'
KEY, OLD = "a1" * 32, "b2" * 32
NOWHERE = "postgresql://postgres@/postgres?host=/nowhere"


def new_item(payload: bytes = CANARY, destination: str = CAPI, pixel_id: str = "1") -> NewItem:
    return NewItem(destination=destination, pixel_id=pixel_id, key=None, payload=payload)


async def opened(folder: Path, *keys: str) -> Outbox:
    encryption = Encryption(keys=keys) if keys else None
    return await open_outbox(sqlite.Settings(path="outbox.db", encryption=encryption), base=folder)


async def fill(folder: Path, *keys: str, items: list[NewItem]) -> None:
    outbox = await opened(folder, *keys)
    await outbox.append(items)
    await outbox.close()


async def taken(outbox: Outbox, destination: str = CAPI) -> list[bytes]:
    """The payloads of all that is due, delivered."""
    lease = await outbox.lease(destination, limit=100, seconds=60)
    await outbox.settle(lease, {item.seq: Delivered() for item in lease.items})
    return [item.payload for item in lease.items]


async def reasons(outbox: Outbox) -> list[str]:
    return [letter.reason for letter in await outbox.letters()]


def stored(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_no_file_has_a_payload_in_plain_text(tmp_path: Path) -> None:
    outbox = await opened(tmp_path, KEY)
    await outbox.append([new_item(), new_item(destination=RELAY)])
    lease = await outbox.lease(CAPI, limit=1, seconds=60)
    await outbox.settle(lease, {lease.items[0].seq: Refused("bad")})
    while_open = stored(tmp_path)
    assert while_open["outbox.db-wal"]
    await outbox.close()
    assert not [name for files in (while_open, stored(tmp_path)) for name, found in files.items() if CANARY in found]


async def test_the_spool_of_postgres_has_no_payload_in_plain_text(tmp_path: Path) -> None:
    pytest.importorskip("asyncpg")
    settings = postgres.Settings(kind="postgres", url=NOWHERE, encryption=Encryption(keys=[KEY]))
    outbox = await open_outbox(settings, base=tmp_path)
    await outbox.append([new_item()])
    files = stored(tmp_path)
    await outbox.close()
    assert {"spool.db", "spool.db-wal"} <= files.keys()
    assert not [name for name, found in files.items() if CANARY in found]


async def test_postgres_has_no_payload_in_plain_text(tmp_path: Path) -> None:
    asyncpg = pytest.importorskip("asyncpg")
    settings = postgres.Settings(
        kind="postgres", url=server(), schema="encrypted", append_timeout="10s", encryption=Encryption(keys=[KEY])
    )
    outbox = await open_outbox(settings, base=tmp_path)
    await outbox.append([new_item()])
    db = await asyncpg.connect(server())
    rows = await db.fetch("SELECT payload FROM encrypted.outbox")
    await db.close()
    assert [row["payload"][0] for row in rows] == [0xFF]
    assert await taken(outbox) == [CANARY]
    await outbox.close()


async def test_what_was_written_before_encryption_was_on_is_delivered(tmp_path: Path) -> None:
    await fill(tmp_path, items=[new_item()])
    outbox = await opened(tmp_path, KEY)
    assert await taken(outbox) == [CANARY]
    await outbox.close()


async def test_a_replaced_key_opens_what_it_has_encrypted(tmp_path: Path) -> None:
    await fill(tmp_path, OLD, items=[new_item(b"old")])
    outbox = await opened(tmp_path, KEY, OLD)
    await outbox.append([new_item(b"new")])
    assert await taken(outbox) == [b"old", b"new"]
    await outbox.close()


@pytest.mark.parametrize("keys", [[KEY], []], ids=["another key", "encryption off"])
async def test_an_item_whose_key_is_missing_is_a_letter_that_can_be_sent_once_the_key_is_back(
    tmp_path: Path, keys: list[str]
) -> None:
    await fill(tmp_path, OLD, items=[new_item(b"old")])
    outbox = await opened(tmp_path, *keys)
    await outbox.append([new_item(b"readable")])
    assert await taken(outbox) == [b"readable"]  # and no second lease holds it back
    missing = key_id(bytes.fromhex(OLD)).hex()
    assert await reasons(outbox) == [f"its encryption key {missing} is not among the outbox's keys"]
    assert (await outbox.stats())[CAPI].leased == 0
    await outbox.close()
    outbox = await opened(tmp_path, KEY, OLD)
    assert await outbox.requeue([letter.seq for letter in await outbox.letters()]) == 1
    assert await taken(outbox) == [b"old"]
    await outbox.close()


async def test_a_lease_of_nothing_but_unreadable_items_is_empty_and_leaves_nothing_due(tmp_path: Path) -> None:
    await fill(tmp_path, OLD, items=[new_item() for _ in range(25)])
    outbox = await opened(tmp_path, KEY)
    assert (await outbox.lease(CAPI, limit=10, seconds=60)).items == ()
    tally = (await outbox.tally())[CAPI]
    assert (tally.accepted, tally.dead, len(await outbox.letters())) == (25, 25, 25)
    await outbox.close()


async def test_what_somebody_moved_to_another_pixel_is_a_letter(tmp_path: Path) -> None:
    """Also when he knows how the row's checksum is made."""
    await fill(tmp_path, KEY, items=[new_item(), new_item(b"stays")])
    db = apsw.Connection(str(tmp_path / "outbox.db"))
    db.create_scalar_function("checksum_of", checksum_of)
    moved = "pixel_id = '2', checksum = checksum_of(destination, '2', key, subject, payload)"
    db.execute(f"UPDATE outbox SET {moved} WHERE seq = 1")  # noqa: S608
    db.close()
    outbox = await opened(tmp_path, KEY)
    assert await taken(outbox) == [b"stays"]
    assert await reasons(outbox) == ["it was encrypted, and has been changed since, or belongs elsewhere"]
    await outbox.close()


async def test_what_cannot_be_read_is_shown_as_it_is_stored(tmp_path: Path) -> None:
    await fill(tmp_path, OLD, items=[new_item()])
    outbox = await opened(tmp_path, KEY)
    (item,) = await outbox.waiting()
    assert item.payload[0] == 0xFF
    await outbox.close()
