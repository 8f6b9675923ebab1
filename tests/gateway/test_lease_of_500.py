"""Of 100,000 customers those of a lease of 500 events are asked for with one query a source."""

import csv
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import orjson
import pytest

from pixeltwin.config import Config
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.outbox import Item
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import admit
from pixeltwin.sources.embedded.importing import import_customers
from pixeltwin.sources.embedded.store import Store
from tests.factories import NOW, PIXEL, hit_query, open_sources, request
from tests.sources.backends import watch_sql, watch_store
from tests.sources.postgres import fill_table, postgres

CUSTOMERS, LEASE = 100_000, 500
QUERY = "SELECT id, em FROM crm WHERE id IN :keys"
CONFIG = f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}", enrich: [file, database] }}]
elements: {{ customer: {{ query: uid, trust: unsafe }} }}
sources:
  file: {{ kind: embedded, key: customer, path: customers.db, timeout: 10s }}
  database: {{ kind: sql, key: customer, url: "${{DSN}}", query: "{QUERY}", timeout: 10s }}
"""


@pytest.fixture
def dsn() -> Iterator[str]:
    with postgres() as dsn:
        yield dsn


def write_store(folder: Path) -> None:
    with (folder / "crm.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "fn"))
        writer.writerows((f"c-{number}", f"name{number}") for number in range(CUSTOMERS))
    store = Store(folder / "customers.db")
    import_customers(folder / "crm.csv", store, key=("id",))
    store.close()


def hashed(text: str) -> list[str]:
    return [sha256(text.encode()).hexdigest()]


async def test_a_lease_of_500_of_100_000_customers_costs_each_source_one_query(tmp_path, dsn):
    write_store(tmp_path)
    await fill_table(dsn, "crm", {f"c-{number}": {"em": f"user{number}@shop.example"} for number in range(CUSTOMERS)})
    config = Config.from_text(CONFIG, base=tmp_path, env={"T": "t", "DSN": dsn})
    policy, sources, asked = policy_of(config), open_sources(config), {"file": [], "database": []}
    numbers = range(0, CUSTOMERS, CUSTOMERS // LEASE)
    items = []
    for number in numbers:
        hit = request(hit_query(eid=f"e-{number}", uid=f"c-{number}"))
        admission = admit(hit, policy, record_id=str(number), random_below=lambda below: 0)
        items.append(Item(seq=number, pixel_id=PIXEL, payload=admission.twins[0].payload, attempts=0, appended_at=NOW))
    await sources["database"].look_up(["c-1"])  # greets the server
    watch_store(sources["file"], asked["file"])
    watch_sql(sources["database"], asked["database"])

    prepared = await Twins(config, policy, sources, Journal(), clock=lambda: NOW).prepare(items)

    assert {name: len(statements) for name, statements in asked.items()} == {"file": 1, "database": 1}
    for number in numbers:
        people = orjson.loads(prepared[number].payload)["user_data"]
        assert (people["fn"], people["em"]) == (hashed(f"name{number}"), hashed(f"user{number}@shop.example"))
    for source in sources.values():
        await source.close()
