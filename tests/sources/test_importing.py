"""Files of customers into the embedded store."""

import re
from pathlib import Path

import orjson
import pytest

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.records import Refused
from pixeltwin.enrich.source import Columns, Profile
from pixeltwin.sources.embedded import importing
from pixeltwin.sources.embedded.importing import Report, import_customers
from pixeltwin.sources.embedded.store import Store
from tests.people import people


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store" / "c.db")
    yield store
    store.close()


def imported(store: Store, path: Path, text: str, **options) -> Report:
    path.write_text(text)
    return import_customers(path, store, **{"key": ("customer_id", "key"), **options})


def test_rows_are_stored_as_hashes(store, tmp_path):
    report = imported(store, tmp_path / "c.csv", "key,em,note\nk1,Alex@Example.com,x\nk2,b@example.com,y\n")
    assert (report.stored, report.refusals) == (2, 0)
    assert store.select(["k1", "k3"]) == {"k1": Profile({"em": hashes("em", "alex@example.com")})}


def test_json_lines_are_stored_too(store, tmp_path):
    lines = b"\n".join(map(orjson.dumps, [{"key": 7, "em": ["a@example.com"]}, {"key": "k", "zp": 10115}]))
    report = imported(store, tmp_path / "c.jsonl", lines.decode())
    assert report.stored == 2
    assert store.select(["7", "k"])["k"] == Profile({"zp": hashes("zp", "10115")})


def test_columns_of_other_names_are_mapped(store, tmp_path):
    imported(store, tmp_path / "c.csv", "nr;e-mail\n1;a@example.com\n", key=("nr",), columns=Columns({"em": "e-mail"}))
    assert store.select(["1"]) == {"1": Profile({"em": hashes("em", "a@example.com")})}


def test_refused_rows_are_reported_by_line_and_reason_never_by_value(store, tmp_path):
    text = "key,em,ph\nk1,a@example.com,\n,canary@example.com,\nk3,not an address,\nk4\nk\x01,canary@example.com,\n"
    report = imported(store, tmp_path / "c.csv", text)
    assert report.stored == 1
    assert report.refused == [
        Refused(3, "key is empty"),
        Refused(4, "has nothing that Meta matches people by"),
        Refused(5, "has 1 columns, the header has 3"),
        Refused(6, "key cannot be a customer's key"),
    ]


def test_values_that_cannot_be_used_are_counted_by_key(store, tmp_path):
    report = imported(store, tmp_path / "c.csv", "key,em,ph\nk1,no address,+12025550198\nk2,a@example.com, \n")
    assert report.stored == 2
    assert report.unusable == {"user_data.em": 1}


def test_custom_data_and_facts_are_stored_beside_the_hashes(store, tmp_path):
    columns = Columns(custom_data={"predicted_ltv": "ltv", "plan": "plan"}, facts={"orders": "orders"})
    text = "key,em,ltv,plan,orders\nk1,a@example.com,129.90,gold,3\nk2,,,b@example.com,1\nk3,,,,\n"
    report = imported(store, tmp_path / "c.csv", text, columns=columns)
    assert store.select(["k1", "k2"]) == {
        "k1": Profile({"em": hashes("em", "a@example.com")}, {"predicted_ltv": 129.9, "plan": "gold"}, {"orders": "3"}),
        "k2": Profile(facts={"orders": "1"}),
    }
    assert report.unusable == {"custom_data.plan": 1}
    assert report.refused == [Refused(4, "has nothing that the source's settings name")]


def test_json_lines_keep_their_types(store, tmp_path):
    columns = Columns({}, {"value": "total"}, {"orders": "stats.orders", "vip": "vip"})
    lines = orjson.dumps({"key": "o-1", "em": "a@example.com", "total": 24.9, "stats": {"orders": 3}, "vip": True})
    imported(store, tmp_path / "c.jsonl", lines.decode(), columns=columns)
    assert store.select(["o-1"]) == {"o-1": Profile({}, {"value": 24.9}, {"orders": 3, "vip": True})}


def test_the_last_row_of_a_customer_counts(store, tmp_path):
    imported(store, tmp_path / "c.csv", "key,em\nk,a@example.com\nk,b@example.com\n")
    assert store.select(["k"])["k"] == Profile({"em": hashes("em", "b@example.com")})


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "header"),
        ("key,em\n", "no rows"),
        ("alex@example.com,Alex\nbea@example.com,Bea\n", "--key"),
        ("key,email\nk,a@example.com\n", "--map"),
        ("key,em\nk,\udcff\n", "UTF-8"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_without_its_values(store, tmp_path, text, remedy):
    path = tmp_path / "c.csv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=remedy) as caught:
        import_customers(path, store, key=("customer_id", "key"))
    assert not re.search("alex|example", str(caught.value), re.IGNORECASE)


def test_a_column_that_was_named_has_to_be_there(store, tmp_path):
    with pytest.raises(ValueError, match="mail"):
        imported(store, tmp_path / "c.csv", "key,em\nk,a@example.com\n", columns=Columns({"em": "mail"}))


@pytest.mark.parametrize("columns", [Columns(custom_data={"plan": "tariff"}), Columns(facts={"tariff": "tariff"})])
def test_a_column_of_custom_data_or_facts_has_to_be_there(store, tmp_path, columns):
    with pytest.raises(ValueError, match="tariff"):
        imported(store, tmp_path / "c.csv", "key,em\nk,a@example.com\n", columns=columns)


def test_processes_store_the_same_as_one(store, tmp_path, monkeypatch):
    rows = [{"key": f"k{number}", **person.fields} for number, person in enumerate(people(150))]
    text = b"\n".join(map(orjson.dumps, rows)).decode()
    alone = imported(store, tmp_path / "c.jsonl", text, default_country="DE")
    other = Store(tmp_path / "other.db")
    monkeypatch.setattr(importing, "POOL_FROM", 0)
    monkeypatch.setattr(importing, "CHUNK", 100)
    seen: list[int] = []
    together = imported(other, tmp_path / "c.jsonl", text, default_country="DE", progress=seen.append)
    keys = [row["key"] for row in rows]
    assert together == alone
    assert other.select(keys) == store.select(keys)
    assert seen == sorted(seen)
    assert seen[-1] == len(text.encode())
    other.close()
