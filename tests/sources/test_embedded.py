"""The embedded store: hashes by customer, one query a lease, no plaintext on disk."""

from pathlib import Path

import pytest

from pixeltwin.sources.embedded import EmbeddedSource

ALEX = {"em": "Alex.Doe@example.com", "ph": "+1 202-555-0198", "fn": "Alex", "ln": "Doe", "external_id": "cust-1001"}


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_customer_s_hashes_are_found_by_key(tmp_path):
    source = EmbeddedSource(tmp_path / "c.db")
    await source.put("cust-1001", ALEX)
    found = await source.look_up({"cust-1001", "nobody"})
    await source.close()
    assert found.keys() == {"cust-1001"}
    # sha256 of alex.doe@example.com, as the shared hits carry it
    assert found["cust-1001"].user_data["em"] == ("c53649baf0e86070440ca617bd752f406d6615bd510235a58ab8cdc405202e21",)
    assert found["cust-1001"].user_data.keys() == ALEX.keys()


async def test_plaintext_never_reaches_the_disk(tmp_path):
    source = EmbeddedSource(tmp_path / "c.db")
    await source.put("k", ALEX)
    written = everything_in(tmp_path)
    await source.close()
    for text in ("alex", "2025550198", "202-555", "Doe", "example.com"):
        assert text.encode().lower() not in written.lower()


async def test_what_the_store_knows_survives_reopening_and_is_for_its_owner_only(tmp_path):
    first = EmbeddedSource(tmp_path / "c.db")
    await first.put("k", ALEX)
    await first.close()
    again = EmbeddedSource(tmp_path / "c.db")
    assert "k" in await again.look_up(["k"])
    await again.close()
    assert (tmp_path / "c.db").stat().st_mode & 0o777 == 0o600


async def test_a_store_that_cannot_answer_says_so_as_an_os_error(tmp_path):
    source = EmbeddedSource(tmp_path / "c.db")
    await source.close()
    with pytest.raises(OSError, match="closed"):
        await source.look_up(["k"])
