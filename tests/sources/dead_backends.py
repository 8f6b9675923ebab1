"""Backends that do not answer, or not with customers."""

import asyncio
import os
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from pixeltwin.serving import serving
from pixeltwin.sources.embedded import EmbeddedSource
from tests.sources.backends import SQL, Backend, Servers, chosen, emptied


def dead(kind: str, folder: Path, **options: Any) -> Backend:
    return Backend(chosen(kind, timeout="300ms", **options), folder)


@asynccontextmanager
async def corrupt_file(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "customers.db").write_bytes(os.urandom(8192))
    yield dead("embedded", folder, path="customers.db")


@asynccontextmanager
async def embedded_garbage(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    """A store whose rows somebody overwrote."""
    await tampered(folder, plain=NOISE)
    yield dead("embedded", folder, path="customers.db")


@asynccontextmanager
async def embedded_huge(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    await tampered(folder, hashes=b"\x01\x00" * (HUGE // 2))
    yield dead("embedded", folder, path="customers.db")


@asynccontextmanager
async def embedded_slow(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    """A store on a disk that takes its time."""

    def slow_down(source: Any, count: list[str]) -> None:
        source.query._store._reader.connection.exec_trace = lambda *given: not time.sleep(1)

    backend = dead("embedded", folder, path="customers.db")
    backend.watch = slow_down
    yield backend


async def tampered(folder: Path, **columns: bytes) -> None:
    """A store that knows the customer, and has those bytes where it wrote others."""
    store = EmbeddedSource(folder / "customers.db")
    await store.put("customer", {"em": "canary.person@example.com"})
    await store.close()
    connection = sqlite3.connect(folder / "customers.db")
    for name, value in columns.items():
        connection.execute(f"UPDATE profiles SET {name} = ?", (value,))  # noqa: S608 - the tests' own names
    connection.commit()
    connection.close()


@asynccontextmanager
async def csv_missing(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    yield dead("csv", folder, path="nowhere.csv")


@asynccontextmanager
async def csv_binary(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "customers.csv").write_bytes(os.urandom(10_000))
    yield dead("csv", folder, path="customers.csv")


@asynccontextmanager
async def csv_pipe(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    """What would wait for ever to be opened."""
    os.mkfifo(folder / "customers.csv")
    yield dead("csv", folder, path="customers.csv")


@asynccontextmanager
async def csv_slow(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    """A file that takes longer to read than a look-up may."""
    lines = (f"customer-{number},person{number}@example.com" for number in range(50_000))
    (folder / "customers.csv").write_text("\n".join(["id,em", *lines]))
    yield Backend(chosen("csv", timeout="10ms", path="customers.csv"), folder)


@asynccontextmanager
async def csv_huge_cell(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "customers.csv").write_bytes(b"id,em\ncustomer," + b"x" * HUGE)
    yield dead("csv", folder, path="customers.csv")


@asynccontextmanager
async def sqlite_missing(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    yield dead("sql", folder, url="sqlite:///nowhere.db", query=SQL)


@asynccontextmanager
async def sqlite_corrupt(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "crm.db").write_bytes(os.urandom(8192))
    yield dead("sql", folder, url="sqlite:///crm.db", query=SQL)


@asynccontextmanager
async def sqlite_slow(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "crm.db").touch()
    yield dead("sql", folder, url="sqlite:///crm.db", query=COUNTING)


@asynccontextmanager
async def sqlite_locked(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    connection = sqlite3.connect(folder / "crm.db", isolation_level=None)
    connection.execute("CREATE TABLE customers(id TEXT, em TEXT)")
    connection.execute("BEGIN EXCLUSIVE")
    yield dead("sql", folder, url="sqlite:///crm.db", query="SELECT id, em FROM customers WHERE id IN :keys")
    connection.close()


@asynccontextmanager
async def sql_bad_row(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    """A query that trips over a row, whose text is in the database's message."""
    query = "SELECT CAST('canary.person@example.com' AS integer) AS id WHERE 'customer' IN :keys"
    yield dead("sql", folder, url=servers.postgres, query=query)


@asynccontextmanager
async def sql_wrong_query(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    yield dead("sql", folder, url=servers.postgres, query="SELECT nothing FROM nowhere WHERE id IN :keys")


@asynccontextmanager
async def sql_slow_query(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    query = "SELECT '1' AS id, pg_sleep(20) WHERE 'customer' IN :keys"
    yield dead("sql", folder, url=servers.postgres, query=query)


@asynccontextmanager
async def talking(answer: bytes | None, *, pause: float = 0) -> AsyncIterator[int]:
    """A port on which every connection gets that answer; None: nothing at all, for as long as it waits.

    With a `pause` the answer comes byte by byte, over and over.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            while pause:
                for byte in answer or b" ":
                    writer.write(bytes((byte,)))
                    await writer.drain()
                    await asyncio.sleep(pause)
            writer.write(answer or b"")
            await writer.drain()
            if answer is None:
                await reader.read()
        except OSError:
            pass  # the client has heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def urls(port: int) -> dict[str, dict[str, Any]]:
    """What leads each kind of network source to that port."""
    return {
        "sql": {"url": f"postgresql://u:p@127.0.0.1:{port}/d", "query": SQL},
        "http": {"batch_url": f"http://127.0.0.1:{port}/customers"},
        "redis": {"url": f"redis://127.0.0.1:{port}/0"},
    }


def talker(kind: str, answer: bytes | None, pause: float = 0) -> Any:
    @asynccontextmanager
    async def backend(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
        async with talking(answer, pause=pause) as port:
            yield dead(kind, folder, **urls(port)[kind])

    return backend


def refusing(kind: str) -> Any:
    @asynccontextmanager
    async def backend(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        yield dead(kind, folder, **urls(port)[kind])

    return backend


def answering(make: Callable[[], Response], *, is_single: bool = False) -> Any:
    """A service that answers every call with that."""

    async def answer(request: Request) -> Response:
        return make()

    @asynccontextmanager
    async def backend(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
        routes = [Route("/{path:path}", answer, methods=["GET", "POST"])]
        async with serving(Starlette(routes=routes), "127.0.0.1", 0) as url:
            way = {"url": f"{url}/{{key}}"} if is_single else {"batch_url": url}
            yield dead("http", folder, **way)

    return backend


def redis_holding(value: bytes, written: str) -> Any:
    """A server that has that text where a customer should be."""

    @asynccontextmanager
    async def backend(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
        async with emptied(servers.redis) as client:
            await client.set("customer", value)
        yield dead("redis", folder, url=servers.redis, format=written)

    return backend


@asynccontextmanager
async def redis_huge_hash(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    async with emptied(servers.redis) as client:
        await client.hset("customer", "em", b"x" * HUGE)
    yield dead("redis", folder, url=servers.redis)


HUGE_TAKEN = {"custom_data": {"plan": "plan"}, "profile": {"segment": "plan"}}


@asynccontextmanager
async def sqlite_huge(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    (folder / "crm.db").touch()
    long = f"replace(hex(zeroblob({HUGE // 2})), '0', 'x')"
    query = f"SELECT 'customer' AS id, {long} AS em, {long} AS plan WHERE 'customer' IN :keys"
    yield Backend(chosen("sql", url="sqlite:///crm.db", query=query, **HUGE_TAKEN), folder)


@asynccontextmanager
async def postgresql_huge(folder: Path, servers: Servers) -> AsyncIterator[Backend]:
    long = f"repeat('x', {HUGE})"
    query = f"SELECT 'customer' AS id, {long} AS em, {long} AS plan WHERE 'customer' IN :keys"
    yield Backend(chosen("sql", url=servers.postgres, query=query, **HUGE_TAKEN), folder)


HUGE = 10 << 20
NOISE = bytes(range(256)) * 40
COUNTING = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000000)
SELECT max(n) AS id FROM numbers WHERE 'customer' IN :keys
"""
HTML = "<h1>Canary Person, canary.person@example.com</h1>"
HUGE_CUSTOMERS = {"sql-sqlite": sqlite_huge, "sql-postgresql": postgresql_huge}  # the other kinds refuse to read one
DEAD = {
    "embedded-corrupt": corrupt_file,
    "embedded-garbage": embedded_garbage,
    "embedded-huge": embedded_huge,
    "embedded-slow": embedded_slow,
    "csv-pipe": csv_pipe,
    "csv-slow": csv_slow,
    "csv-huge-cell": csv_huge_cell,
    "sqlite-slow": sqlite_slow,
    "sqlite-locked": sqlite_locked,
    "sql-bad-row": sql_bad_row,
    "csv-missing": csv_missing,
    "csv-binary": csv_binary,
    "sqlite-missing": sqlite_missing,
    "sqlite-corrupt": sqlite_corrupt,
    "sql-wrong-query": sql_wrong_query,
    "sql-slow-query": sql_slow_query,
    **{f"{kind}-refusing": refusing(kind) for kind in urls(0)},
    **{f"{kind}-silent": talker(kind, None) for kind in urls(0)},
    **{f"{kind}-noise": talker(kind, NOISE) for kind in urls(0)},
    **{f"{kind}-dripping": talker(kind, b"HTTP/1.1 200 OK\r\n", 0.02) for kind in urls(0)},
    **{f"{kind}-hanging-up": talker(kind, b"") for kind in urls(0)},
    "http-500": answering(lambda: Response(status_code=500)),
    "http-redirect": answering(lambda: RedirectResponse("https://elsewhere.example/")),
    "http-html": answering(lambda: Response(HTML, media_type="text/html")),
    "http-list": answering(lambda: JSONResponse([1, 2])),
    "http-huge": answering(lambda: Response(b" " * HUGE)),
    "http-huge-single": answering(lambda: Response(b" " * HUGE), is_single=True),
    "http-deep": answering(lambda: Response(b"[" * 100_000)),
    "http-compressed": answering(lambda: Response(b"\x1f\x8b", headers={"content-encoding": "gzip"})),
    "redis-other-type": redis_holding(b"text", "hash"),
    "redis-no-json": redis_holding(b"\xff{canary.person@example.com", "json"),
    "redis-json-list": redis_holding(b"[1]", "json"),
    "redis-huge": redis_holding(b" " * HUGE, "json"),
    "redis-huge-hash": redis_huge_hash,
}
