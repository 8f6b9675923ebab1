"""A real backend for every kind of source, filled with customers."""

import asyncio
import csv
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pixeltwin import kinds
from pixeltwin.enrich.source import Source, SourceSettings
from pixeltwin.serving import serving
from pixeltwin.sources.embedded import EmbeddedSource
from tests.processes import free_port, started
from tests.sources.postgres import fill_table

type Customers = Mapping[str, Mapping[str, str]]
MAP = {"em": "email", "ph": "phone", "fn": "first", "external_id": "number"}
CUSTOM_DATA = {"plan": "plan", "predicted_ltv": "ltv", "remark": "note"}
FACTS = ["orders", "plan"]
COLUMNS = ("email", "phone", "first", "number", "plan", "ltv", "note", "orders")
TAKEN = {"map": MAP, "custom_data": CUSTOM_DATA, "profile": FACTS}
SQL = f"SELECT id, {', '.join(COLUMNS)} FROM customers WHERE id IN :customer_id"  # noqa: S608 - made of constants


@dataclass(frozen=True)
class Servers:
    """What a test session starts once."""

    postgres: str
    redis: str | None

    def check(self, name: str) -> None:
        """Skip the test of a backend that this machine cannot have."""
        if name.startswith("redis") and self.redis is None:
            pytest.skip("redis-server is not installed")


@dataclass
class Backend:
    """Settings that lead to customers, and the queries that were counted."""

    settings: SourceSettings
    base: Path
    count: list[str] = field(default_factory=list)
    watch: Callable[[Source, list[str]], None] = lambda source, count: None

    def open(self) -> Source:
        source = kinds.module_of(self.settings).open_source(self.settings, self.base)
        self.watch(source, self.count)
        return source


async def close(source: Source) -> None:
    """Close it, and wait a little: aiosqlite's thread still tells the loop how a failed opening ended."""
    await source.close()
    await asyncio.sleep(0.05)


def chosen(kind: str, **options: Any) -> SourceSettings:
    """Settings of a kind, as a config file gives them; no cache, so that every look-up is a query."""
    model = next(
        found
        for found in kinds.settings("pixeltwin.sources")
        if found.model_fields["kind"].annotation.__args__ == (kind,)
    )
    return model.model_validate({"kind": kind, "key": "customer_id", "cache": None, **options})


@contextmanager
def redis_server(folder: Path) -> Iterator[str | None]:
    """Its URL; None where there is no `redis-server` (Debian has a package of that name)."""
    if not shutil.which("redis-server"):
        assert not os.environ.get("CI"), "redis-server is missing: apt-get install redis-server"
        yield None
        return
    port = free_port()
    command = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    with started(*command, log=folder / "redis.log", port=port):
        yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def embedded(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    settings = chosen("embedded", path="customers.db", **TAKEN)
    store = EmbeddedSource(folder / "customers.db", settings.columns)
    for key, row in customers.items():
        person, custom_data = ({name: row[at] for name, at in columns.items()} for columns in (MAP, CUSTOM_DATA))
        await store.put(key, person, custom_data, {name: row[name] for name in FACTS})
    await store.close()
    yield Backend(settings, folder, watch=watch_store)


def watch_store(source: Any, count: list[str]) -> None:
    def trace(cursor: Any, statement: str, bindings: Any) -> bool:
        count.append(statement)
        return True

    source.query._store._reader.connection.exec_trace = trace


@asynccontextmanager
async def csv_file(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    write_csv(folder / "customers.csv", customers)
    yield Backend(chosen("csv", path="customers.csv", **TAKEN), folder, watch=_watch_nothing)


def _watch_nothing(source: Any, count: list[str]) -> None:
    fetch = source.query.fetch

    async def counted(keys: Any) -> Any:
        count.append("fetch")
        return await fetch(keys)

    source.query.fetch = counted


def write_csv(path: Path, customers: Customers) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", *COLUMNS))
        writer.writerows((key, *(row[name] for name in COLUMNS)) for key, row in customers.items())


@asynccontextmanager
async def sqlite(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    connection = sqlite3.connect(folder / "crm.db")
    connection.execute(f"CREATE TABLE customers(id TEXT PRIMARY KEY, {', '.join(COLUMNS)})")
    rows = ((key, *(row[name] for name in COLUMNS)) for key, row in customers.items())
    connection.executemany(f"INSERT INTO customers VALUES(?{', ?' * len(COLUMNS)})", rows)
    connection.commit()
    connection.close()
    yield Backend(chosen("sql", url="sqlite:///crm.db", query=SQL, **TAKEN), folder, watch=watch_sql)


@asynccontextmanager
async def postgresql(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    await fill_table(servers.postgres, "customers", customers)
    yield Backend(chosen("sql", url=servers.postgres, query=SQL, **TAKEN), folder, watch=watch_sql)


def watch_sql(source: Any, count: list[str]) -> None:
    from sqlalchemy import event

    engine = source.query._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: count.append(given[2]))


@asynccontextmanager
async def http_batch(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    count: list[str] = []

    async def answer(request: Request) -> Response:
        count.append("POST")
        keys = (await request.json())["keys"]
        return JSONResponse({key: nested(customers[key]) for key in keys if key in customers})

    async with serving(Starlette(routes=[Route("/customers", answer, methods=["POST"])]), "127.0.0.1", 0) as url:
        yield Backend(chosen("http", batch_url=f"{url}/customers", **DOTTED), folder, count)


@asynccontextmanager
async def http_single(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    count: list[str] = []

    async def answer(request: Request) -> Response:
        count.append("GET")
        key = request.query_params["id"]
        return JSONResponse(nested(customers[key])) if key in customers else Response(status_code=404)

    async with serving(Starlette(routes=[Route("/customer", answer)]), "127.0.0.1", 0) as url:
        yield Backend(chosen("http", url=f"{url}/customer?id={{key}}", **DOTTED, timeout="5s"), folder, count)


DOTTED = {
    "map": {"em": "contact.email", "ph": "contact.phones.0", "fn": "first", "external_id": "number"},
    "custom_data": {"plan": "stats.plan", "predicted_ltv": "stats.ltv", "remark": "note"},
    "profile": {"orders": "stats.orders", "plan": "stats.plan"},
}


def nested(row: Mapping[str, str]) -> Mapping[str, Any]:
    """A customer as services answer."""
    contact = {"email": row["email"], "phones": [row["phone"]]}
    stats = {"plan": row["plan"], "ltv": row["ltv"], "orders": row["orders"]}
    return {"contact": contact, "first": row["first"], "number": row["number"], "note": row["note"], "stats": stats}


@asynccontextmanager
async def redis_hash(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    async with emptied(servers.redis) as client:
        for key, row in customers.items():
            await client.hset(f"c:{key}", mapping=dict(row))
    yield Backend(chosen("redis", url=servers.redis, prefix="c:", **TAKEN), folder, watch=watch_redis)


@asynccontextmanager
async def redis_json(folder: Path, servers: Servers, customers: Customers) -> AsyncIterator[Backend]:
    async with emptied(servers.redis) as client:
        for key, row in customers.items():
            await client.set(f"c:{key}", orjson.dumps(row))
    settings = chosen("redis", url=servers.redis, prefix="c:", format="json", **TAKEN)
    yield Backend(settings, folder, watch=watch_redis)


@asynccontextmanager
async def emptied(url: str | None) -> AsyncIterator[Redis]:
    client: Redis = Redis.from_url(url or "")
    await client.flushall()
    yield client
    await client.aclose()


def watch_redis(source: Any, count: list[str]) -> None:
    """Counts what is sent at once: one round trip each, but for those that greet the server."""
    make = source.query._client.connection_pool.make_connection

    def watched() -> Any:
        connection = make()
        send = connection.send_packed_command

        async def counted(command: Any, *given: Any, **named: Any) -> Any:
            if b"CLIENT" not in (command if isinstance(command, bytes) else b"".join(command)):
                count.append("round trip")
            return await send(command, *given, **named)

        connection.send_packed_command = counted
        return connection

    source.query._client.connection_pool.make_connection = watched


BACKENDS = {
    "embedded": embedded,
    "csv": csv_file,
    "sql-sqlite": sqlite,
    "sql-postgresql": postgresql,
    "http-batch": http_batch,
    "http-single": http_single,
    "redis-hash": redis_hash,
    "redis-json": redis_json,
}
