"""The embedded store: hashes by customer, no plaintext on disk, nothing left of who is forgotten."""

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.normalize import NORMALIZERS, hashes
from pixeltwin.cli.customer_store import importable
from pixeltwin.enrich.source import Columns, Profile
from pixeltwin.sources import embedded
from pixeltwin.sources.embedded import EmbeddedSource
from pixeltwin.sources.embedded.codec import CODES, pack, unpack
from pixeltwin.sources.embedded.customer import Customer
from pixeltwin.sources.embedded.importing import import_customers
from pixeltwin.sources.embedded.store import Store, digest

ALEX = {"em": "Alex.Doe@example.com", "ph": "+1 202-555-0198", "fn": "Alex", "ln": "Doe", "external_id": "cust-1001"}
CANARY = {"em": "Canary@example.com", "ph": "+1 202-555-0198", "fn": "Canariella"}
NAMED = {"custom_data": {"value": "total", "plan": "plan"}, "profile": ["orders", "vip", "segment"]}
FIRST_SCHEMA = """
CREATE TABLE profiles(
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, hashes BLOB NOT NULL, updated_at INTEGER NOT NULL
) STRICT
"""
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


async def test_ids_that_are_not_hashed_are_stored_as_they_are_and_found_where_the_settings_name_them(tmp_path):
    source = opened(tmp_path, map={"em": "email", "lead_id": "lead"})
    assert await source.query.put("k", {**ALEX, "lead_id": 525645896321548}) == []
    found = (await source.look_up(["k"]))["k"]
    await source.close()
    assert (found.ids, found.user_data["em"]) == ({"lead_id": "525645896321548"}, (ALEX_EM,))
    other = opened(tmp_path)
    assert (await other.look_up(["k"]))["k"].ids == {}
    with pytest.raises(ValueError, match="lead_id: the source does not take it"):
        await other.query.put("k", {"lead_id": "1"})
    await other.close()


async def test_ids_are_imported_from_the_columns_that_the_settings_name(tmp_path):
    (tmp_path / "c.csv").write_text("key;lead;mail\na;525645896321548;alex.doe@example.com\nb;none;b@example.com\n")
    settings = embedded.Settings(kind="embedded", key="k", path="c.db", map={"em": "mail", "lead_id": "lead"})
    store = Store(tmp_path / "c.db")
    report = import_customers(tmp_path / "c.csv", store, key=("key",), columns=importable(settings, {}))
    store.close()
    assert (report.stored, report.unusable) == (2, {"user_data.lead_id": 1})
    source = embedded.open_source(settings, tmp_path)
    found = await source.look_up(["a", "b"])
    await source.close()
    assert [found[key].ids for key in ("a", "b")] == [{"lead_id": "525645896321548"}, {}]


async def test_custom_data_and_facts_are_found_as_they_were_put(tmp_path):
    source = opened(tmp_path, **NAMED)
    left_out = await source.query.put(
        "k", ALEX, {"value": "129.90", "plan": "gold"}, {"orders": 3, "vip": True, "segment": "a"}
    )
    found = (await source.look_up(["k"]))["k"]
    await source.close()
    assert left_out == []
    assert found.custom_data == {"value": 129.9, "plan": "gold"}
    assert found.facts == {"orders": 3, "vip": True, "segment": "a"}


async def test_an_order_has_no_user_data(tmp_path):
    source = opened(tmp_path, map={}, custom_data={"value": "total", "currency": "currency"})
    await source.query.put("o-1", {}, {"value": 24.9, "currency": "eur"})
    assert (await source.look_up(["o-1"]))["o-1"] == Profile({}, {"value": 24.9, "currency": "EUR"})
    with pytest.raises(ValueError, match="em: the source does not take it"):
        await source.query.put("o-1", {"em": "a@example.com"})
    await source.close()


async def test_what_the_settings_name_no_longer_is_not_found(tmp_path):
    source = opened(tmp_path, **NAMED)
    await source.query.put("k", ALEX, {"plan": "gold"}, {"orders": 3})
    await source.close()
    source = opened(tmp_path, map={}, profile=["orders"])
    assert (await source.look_up(["k"]))["k"] == Profile(facts={"orders": 3})
    await source.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"custom_data": {"colour": "red"}}, r"^custom_data\.colour: the source does not take it.* value, plan$"),
        ({"facts": {"age": 7}}, r"^profile\.age: the source does not take it.* orders, vip, segment$"),
        ({"facts": {"canary@example.com": 7}}, r"^profile\.a name: "),
        ({"custom_data": {"plan": "canary@example.com"}}, "nothing"),
        ({}, "nothing"),
    ],
)
async def test_what_cannot_be_put_is_named_without_its_value(tmp_path, given, said):
    source = opened(tmp_path, **NAMED)
    with pytest.raises(ValueError, match=said) as caught:
        await source.query.put("k", {}, **given)
    await source.close()
    assert "canary" not in str(caught.value)


async def test_a_list_of_customers_is_stored_as_a_whole_or_not_at_all(tmp_path):
    source = opened(tmp_path)
    good, bad = Customer("a", ALEX, place="[0]."), Customer("b", {"email": "x"}, place="[1].")
    with pytest.raises(ValueError, match=r"^\[1\]\.email"):
        await source.put_all([good, bad])
    assert await source.look_up(["a", "b"]) == {}
    await source.put_all([good, Customer("b", ALEX)])
    assert (await source.look_up(["a", "b"])).keys() == {"a", "b"}
    await source.close()


async def test_a_canary_s_bytes_are_in_no_file_however_they_came(tmp_path):
    source = opened(tmp_path, **NAMED)
    left_out = await source.query.put(
        "canary@example.com",
        {**CANARY, "ge": "nonsense"},
        {"plan": "ask canary@example.com"},
        {"segment": "+1 202-555-0198", "vip": True},
    )
    (tmp_path / "crm").mkdir()
    crm = tmp_path / "crm" / "crm.csv"
    crm.write_text("key,em,ph,fn,plan,segment\nk2,canary@example.com,+12025550198,Canariella,canary@example.com,b\n")
    store = Store(tmp_path / "c.db")
    import_customers(
        crm, store, key=("key",), columns=Columns(custom_data={"plan": "plan"}, facts={"segment": "segment"})
    )
    store.close()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file()).lower()
    found = await source.look_up(["canary@example.com", "k2"])
    await source.close()
    assert left_out == ["user_data.ge", "custom_data.plan", "profile.segment"]
    assert found["canary@example.com"].user_data.keys() == CANARY.keys()
    assert found["k2"].facts == {"segment": "b"}
    for text in (b"canar", b"2025550198", b"202-555", b"example.com"):
        assert text not in written


async def test_a_file_of_the_first_version_is_taken_over(tmp_path):
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.execute(FIRST_SCHEMA)
    row = (digest("k"), pack({"em": (ALEX_EM,)}), 1_795_461_800)
    connection.execute("INSERT INTO profiles(key, hashes, updated_at) VALUES(?, ?, ?)", row)
    connection.commit()
    connection.close()
    source = opened(tmp_path, **NAMED)
    assert (await source.look_up(["k"]))["k"] == Profile({"em": (ALEX_EM,)})
    await source.query.put("k", {}, {"plan": "gold"})
    assert (await source.look_up(["k"]))["k"] == Profile({}, {"plan": "gold"})
    await source.close()


async def test_look_ups_and_writing_do_not_get_in_each_other_s_way(tmp_path):
    source = opened(tmp_path, timeout="20s")
    puts = [source.put_all([Customer(f"k{number}", ALEX)]) for number in range(30)]
    await asyncio.gather(*puts, *(source.look_up([f"k{number}"]) for number in range(30)))
    assert len(await source.look_up([f"k{number}" for number in range(30)])) == 30
    await source.close()


async def test_what_is_put_or_forgotten_counts_at_once_though_it_was_remembered(tmp_path):
    source = opened(tmp_path, cache={"ttl": "1h", "negative_ttl": "1h"})
    assert await source.look_up(["k"]) == {}
    await source.put_all([Customer("k", ALEX)])
    assert (await source.look_up(["k"])).keys() == {"k"}
    assert await source.forget(["k"]) == 1
    assert await source.look_up(["k"]) == {}
    await source.close()


async def test_a_store_can_be_closed_while_it_is_asked(tmp_path):
    source = opened(tmp_path, timeout="20ms")
    source.query._store._reader.connection.exec_trace = lambda *given: not time.sleep(0.3)
    with pytest.raises(OSError, match="no answer within"):
        await source.look_up(["k"])
    await source.close()


def test_a_customer_s_repr_tells_nothing():
    assert "canary" not in repr(Customer("canary@example.com", CANARY))


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
    with pytest.raises(ValueError, match="email: the source does not take it"):
        await source.query.put("k", {"email": "a@example.com"})
    with pytest.raises(ValueError, match="printable"):
        await source.query.put("a\x00", ALEX)
    await source.close()


def test_every_key_that_meta_hashes_has_a_code_of_its_own():
    assert CODES.keys() == NORMALIZERS.keys()
    assert len(set(CODES.values())) == len(CODES)


@given(
    st.dictionaries(
        st.sampled_from(sorted(CODES)),
        st.lists(st.binary(min_size=32, max_size=32) | st.binary(min_size=16, max_size=16), min_size=1, max_size=3),
    )
)
def test_packed_hashes_come_out_as_they_went_in(digests):
    user_data = {name: tuple(digest.hex() for digest in values) for name, values in digests.items()}
    assert unpack(pack(user_data)) == user_data


def test_what_is_no_hash_is_not_packed():
    with pytest.raises(ValueError, match="hexadecimal"):
        pack({"em": ("alex@example.com",)})


def test_a_code_that_a_newer_version_wrote_is_passed_over():
    assert unpack(bytes((99, 2, 1, 1)) + pack({"em": ("1" * 64,)})) == {"em": ("1" * 64,)}
    assert unpack(bytes((99, 32, *range(32))) + pack({"em": ("1" * 64,)})) == {"em": ("1" * 64,)}
