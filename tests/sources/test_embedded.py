"""The embedded store: hashes by customer, no plaintext on disk, nothing left of who is forgotten."""

from pathlib import Path

import pytest

from pixeltwin.capi.normalize import NORMALIZERS, hashes
from pixeltwin.sources import embedded
from pixeltwin.sources.embedded import EmbeddedSource
from pixeltwin.sources.embedded.codec import CODES, pack, unpack

ALEX = {"em": "Alex.Doe@example.com", "ph": "+1 202-555-0198", "fn": "Alex", "ln": "Doe", "external_id": "cust-1001"}
# sha256 of alex.doe@example.com, as the shared hits carry it
ALEX_EM = "c53649baf0e86070440ca617bd752f406d6615bd510235a58ab8cdc405202e21"


def opened(folder: Path, **options):
    return embedded.open_source(embedded.Settings(kind="embedded", key="k", path="c.db", **options), folder)


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_customer_s_hashes_are_found_by_key(tmp_path):
    source = opened(tmp_path)
    await source.query.put("cust-1001", ALEX)
    found = await source.look_up({"cust-1001", "nobody"})
    await source.close()
    assert found.keys() == {"cust-1001"}
    assert found["cust-1001"].user_data["em"] == (ALEX_EM,)
    assert found["cust-1001"].user_data.keys() == ALEX.keys()


async def test_what_is_put_replaces_what_was_known_at_once(tmp_path):
    source = opened(tmp_path)
    await source.query.put("k", ALEX)
    assert "ph" in (await source.look_up(["k"]))["k"].user_data
    await source.query.put("k", {"em": "new@example.com"})
    assert (await source.look_up(["k"]))["k"].user_data == {"em": hashes("em", "new@example.com")}
    await source.close()


async def test_plaintext_never_reaches_the_disk(tmp_path):
    source = opened(tmp_path)
    await source.query.put("alex.doe@example.com", ALEX)
    written = everything_in(tmp_path)
    await source.close()
    for text in ("alex", "2025550198", "202-555", "Doe", "example.com", "cust-1001"):
        assert text.encode().lower() not in written.lower()


async def test_what_is_forgotten_is_gone_from_the_bytes_of_the_file(tmp_path):
    source = opened(tmp_path)
    await source.query.put("k", ALEX)
    await source.query.put("other", {"em": "other@example.com"})
    assert bytes.fromhex(ALEX_EM) in everything_in(tmp_path)
    assert await source.query.forget(["k", "nobody"]) == 1
    assert bytes.fromhex(ALEX_EM) not in everything_in(tmp_path)
    assert (await source.look_up(["k", "other"])).keys() == {"other"}
    await source.close()


async def test_what_the_store_knows_survives_reopening_and_is_for_its_owner_only(tmp_path):
    first = EmbeddedSource(tmp_path / "c.db")
    await first.put("k", ALEX)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    await first.close()
    again = opened(tmp_path)
    assert "k" in await again.look_up(["k"])
    await again.close()


async def test_a_store_that_cannot_answer_says_so_as_an_os_error(tmp_path):
    source = opened(tmp_path)
    await source.close()
    with pytest.raises(OSError, match="closed"):
        await source.look_up(["k"])


async def test_phones_get_the_default_country(tmp_path):
    source = opened(tmp_path, default_country="DE")
    await source.query.put("k", {"ph": "0151 23456789"})
    assert (await source.look_up(["k"]))["k"].user_data["ph"][0] == hashes("ph", "4915123456789")[0]
    await source.close()


async def test_another_key_than_meta_s_is_refused(tmp_path):
    source = opened(tmp_path)
    with pytest.raises(KeyError, match="email"):
        await source.query.put("k", {"email": "a@example.com"})
    with pytest.raises(ValueError, match="printable"):
        await source.query.put("a\x00", ALEX)
    await source.close()


def test_every_key_that_meta_hashes_has_a_code_of_its_own():
    assert CODES.keys() == NORMALIZERS.keys()
    assert len(set(CODES.values())) == len(CODES)


def test_packed_hashes_come_out_as_they_went_in():
    user_data = {"em": ("1" * 64, "2" * 64), "ph": ("3" * 32,), "doby": ("4" * 64,)}
    assert unpack(pack(user_data)) == user_data


def test_what_is_no_hash_is_not_packed():
    with pytest.raises(ValueError, match="hexadecimal"):
        pack({"em": ("alex@example.com",)})


def test_a_code_that_a_newer_version_wrote_is_passed_over():
    assert unpack(bytes((99, 2, 1, 1)) + pack({"em": ("1" * 64,)})) == {"em": ("1" * 64,)}
