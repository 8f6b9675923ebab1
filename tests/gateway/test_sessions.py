"""A session's customer is found by the worker, in one query a lease; what waits until then opens nobody's account."""

import asyncio
import hashlib
import itertools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from pixeltwin.admin.app import create_app
from pixeltwin.config import Config
from pixeltwin.delivery.outbox import Later
from pixeltwin.delivery.worker import Ready
from pixeltwin.enrich.source import Profile
from pixeltwin.gateway import Gateway
from pixeltwin.telemetry import REGISTRY
from tests.factories import PIXEL, hit_query, open_sources, request
from tests.mapping.test_signed_cookie import signed
from tests.sources.backends import close, redis_server, watch_redis, watch_sql

from .factories import ENV, FBP, Known, Line

SESSIONS = {"canary-4f1c-ann": 1001, "canary-77d0-bob": 1002, "canary-90ab-guest": None}
EMAILS = {1001: "ann@shop.example", 1002: "bob@shop.example"}
ANN, BOB = (hashlib.sha256(email.encode()).hexdigest() for email in EMAILS.values())

COUNT = itertools.count()
SHOP = f'pixels: [{{ name: shop, id: "{PIXEL}", access_token: "${{T}}", enrich: [customers, points] }}]\n'
SESSION = '{ session: sid, source: sessions, fact: customer_id, key: "${SESSION_KEY}" }'
KNOWN = """
sources:
  sessions: { kind: embedded, key: visitor, profile: [customer_id] }
  customers: { kind: embedded, key: visitor }
  points: { kind: embedded, key: visitor }
"""


def cookies(sid: str) -> dict[str, str]:
    return {"cookie": f"a=b; sid={sid}"}


async def hit(line: Line, **given: Any) -> None:
    """An event of its own, whoever's it is."""
    await line.take("Lead", **{"eid": f"e-{next(COUNT)}", **given})


def emails(events: list[Any]) -> list[str | None]:
    return [event["user_data"].get("em", [None])[0] for event in events]


# Over real databases.


@dataclass
class Shop:
    """A shop's databases: a config that leads there, and the queries that were counted."""

    sources: str
    env: Mapping[str, str]
    watch: Callable[[Any, list[str]], None]
    queries: dict[str, list[str]] = field(default_factory=lambda: {"sessions": [], "customers": [], "points": []})

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        text = f"{SHOP}elements: {{ visitor: {SESSION} }}\nsources:\n{self.sources}"
        sources = open_sources(Config.from_text(text, base=Path(), env=self.env))
        for name, source in sources.items():
            (self.watch if name == "sessions" else watch_sql)(source, self.queries[name])
        yield Line(text, sources, env=self.env)
        for source in sources.values():
            await close(source)


def fill_database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE customers(id INTEGER PRIMARY KEY, em TEXT, points INTEGER)")
        shop.executemany("INSERT INTO customers VALUES(?, ?, 7)", EMAILS.items())
        shop.execute("CREATE TABLE sessions(id TEXT PRIMARY KEY, customer_id INTEGER, expires INTEGER)")
        shop.executemany("INSERT INTO sessions VALUES(?, ?, 4102444800)", SESSIONS.items())
        shop.execute("INSERT INTO sessions VALUES('canary-00ff-expired', 1001, 1)")


CUSTOMERS = """
  customers: { kind: sql, url: "${SHOP_DB}", query: "SELECT id, em FROM customers WHERE id IN :keys",
               key: visitor, key_type: integer, timeout: 30s }
  points: { kind: sql, url: "${SHOP_DB}", query: "SELECT id, points FROM customers WHERE id IN :keys",
            key: visitor, key_type: integer, map: {}, custom_data: { points: points }, timeout: 30s }
"""
IN_SQL = """
  sessions: { kind: sql, url: "${SESSIONS_DB}", key: visitor, map: {}, profile: [customer_id], timeout: 30s,
              query: "SELECT id, customer_id FROM sessions WHERE id IN :keys AND expires > unixepoch()" }
"""
IN_REDIS = """
  sessions: { kind: redis, url: "${REDIS}", prefix: "sess:", format: json,
              key: visitor, map: {}, profile: { customer_id: passport.user }, timeout: 30s }
"""


def in_sql(folder: Path, sessions: str = "shop") -> Shop:
    fill_database(folder)
    urls = {"SHOP_DB": f"sqlite:///{folder}/shop.db", "SESSIONS_DB": f"sqlite:///{folder}/{sessions}.db"}
    return Shop(IN_SQL + CUSTOMERS, {**ENV, **urls}, watch_sql)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


async def fill(url: str) -> None:
    """As connect-redis keeps sessions."""
    client: Redis = Redis.from_url(url)
    for sid, customer in SESSIONS.items():
        passport = {} if customer is None else {"user": customer}
        await client.set(f"sess:{sid}", orjson.dumps({"cookie": {"path": "/"}, "passport": passport}))
    await client.aclose()


@pytest.fixture(params=["sql", "redis"])
async def shop(request: pytest.FixtureRequest, tmp_path: Path, redis: str | None) -> Shop:
    shop = in_sql(tmp_path)
    if request.param == "sql":
        return shop
    if redis is None:
        pytest.skip("redis-server is not installed")
    await fill(redis)
    return Shop(IN_REDIS + CUSTOMERS, {**shop.env, "REDIS": redis}, watch_redis)


@pytest.fixture
async def line(shop: Shop) -> AsyncIterator[Line]:
    async with shop.line() as line:
        yield line


async def test_a_lease_costs_one_query_a_source(shop: Shop, line: Line) -> None:
    await hit(line, headers=cookies("made-up"))  # which greets the server, too
    await line.events()
    shop.queries["sessions"].clear()
    for sid in ("canary-4f1c-ann", "canary-77d0-bob", "canary-4f1c-ann", "canary-90ab-guest", "made-up-too"):
        await hit(line, headers=cookies(sid))
    await hit(line)
    events = await line.events()
    assert emails(events) == [ANN, BOB, ANN, None, None, None]
    assert [event["custom_data"].get("points") for event in events] == [7, 7, 7, None, None, None]
    assert {name: len(queries) for name, queries in shop.queries.items()} == {
        "sessions": 1,
        "customers": 1,
        "points": 1,
    }


async def test_two_visitors_of_one_session_are_one_customer(line: Line) -> None:
    await hit(line, headers=cookies("canary-4f1c-ann"), fbp=FBP)
    await hit(line, headers=cookies("canary-4f1c-ann"), fbp=f"{FBP}1")
    assert emails(await line.events()) == [ANN, ANN]


@pytest.mark.parametrize("sid", ["made-up", "canary-00ff-expired"])
async def test_a_session_that_nobody_knows_goes_without_and_is_counted(shop: Shop, line: Line, sid: str) -> None:
    missed = {"source": "sessions", "result": "miss"}
    before = REGISTRY.get_sample_value("pixeltwin_enrich_total", missed) or 0
    await hit(line, headers=cookies(sid))
    assert emails(await line.events()) == [None]
    assert REGISTRY.get_sample_value("pixeltwin_enrich_total", missed) == before + 1
    assert shop.queries["customers"] == []


async def test_a_login_counts_for_the_next_event(tmp_path: Path) -> None:
    async with in_sql(tmp_path).line() as line:
        await hit(line, headers=cookies("canary-90ab-guest"))
        assert emails(await line.events()) == [None]
        with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
            database.execute("UPDATE sessions SET customer_id = 1002 WHERE id = 'canary-90ab-guest'")
        await hit(line, headers=cookies("canary-90ab-guest"))
        assert emails(await line.events()) == [BOB]


async def test_a_database_of_sessions_that_is_away_delays_a_twin_for_enrich_wait(tmp_path: Path) -> None:
    shop = in_sql(tmp_path, sessions="away")
    async with shop.line() as line:
        await hit(line, headers=cookies("canary-4f1c-ann"))
        assert isinstance((await line.prepared())[0], Later)
        line.now += line.config.enrich.wait
        assert emails(await line.events()) == [None]
        assert shop.queries["customers"] == []


# What is asked, and of whom.


def known(element: str = SESSION, more: str = "", **given: Known) -> tuple[Line, dict[str, Known]]:
    """A line whose sources are asked in memory."""
    sessions = Known({sid: Profile(facts={"customer_id": it} if it else {}) for sid, it in SESSIONS.items()})
    customers = Known({"1001": Profile({"em": (ANN,)}), "1002": Profile({"em": (BOB,)})})
    found = {"sessions": sessions, "customers": customers, "points": Known(), **given}
    return Line(f"{SHOP}elements: {{ visitor: {element} }}\n{KNOWN}{more}", found), found


@pytest.mark.parametrize("silent", ["sessions", "customers"])
async def test_a_source_that_is_down_delays_those_that_need_it_alone(silent: str) -> None:
    line, sources = known()
    sources[silent].is_silent = True
    await hit(line, headers=cookies("canary-4f1c-ann"))
    await hit(line)
    later, ready = await line.prepared()
    assert isinstance(later, Later)
    assert "customers" in later.reason
    assert isinstance(ready, Ready)
    sources[silent].is_silent = False
    assert emails(await line.events()) == [ANN, None]


async def test_whoever_refused_is_not_looked_up() -> None:
    consent = "consent: { us: { read: [gpc], unknown: allow, denied: limit } }\n"
    line, sources = known(more=consent)
    await hit(line, headers={**cookies("canary-4f1c-ann"), "sec-gpc": "1"})
    assert len(await line.events()) == 1
    assert [source.asked for source in sources.values()] == [[], [], []]


async def test_nobody_is_asked_for_sessions_where_there_are_none() -> None:
    line, sources = known()
    await hit(line)
    await line.events()
    assert [source.asked for source in sources.values()] == [[], [], []]


async def test_a_signed_cookie_and_a_session_name_customers_side_by_side() -> None:
    line, sources = known(f'{{ first_of: [{{ signed_cookie: uid, key: "${{T}}" }}, {SESSION}] }}')
    await hit(line, headers=cookies("canary-4f1c-ann"))
    await hit(line, headers={"cookie": f"uid={signed('1002', key=ENV['T'])}; sid=canary-4f1c-ann"})
    assert emails(await line.events()) == [ANN, BOB]
    assert sources["sessions"].asked == [{"canary-4f1c-ann"}]
    assert sources["customers"].asked == [{"1001", "1002"}]


async def test_a_source_of_sessions_may_enrich_and_is_asked_for_sessions_alone() -> None:
    """A text in clear is no session, though its element may be one as well."""
    _, sources = known()
    sources["sessions"].customers["canary-4f1c-ann"] = Profile({"ph": (BOB,)}, facts={"customer_id": 1001})
    element = f"{{ first_of: [{SESSION}, {{ cookie: member, trust: unsafe }}] }}"
    line = Line(f"{SHOP.replace('points', 'sessions')}elements: {{ visitor: {element} }}\n{KNOWN}", sources)
    await hit(line, headers=cookies("canary-4f1c-ann"))
    await hit(line, headers={"cookie": "member=canary-77d0-bob"})
    await hit(line, headers={"cookie": "member=session:AAAA"})
    first, *others = await line.events()
    assert (first["user_data"]["em"], first["user_data"]["ph"]) == ([ANN], [BOB])
    assert emails(others) == [None, None]
    assert sources["sessions"].asked == [{"canary-4f1c-ann"}]
    assert sources["customers"].asked == [{"1001", "canary-77d0-bob"}]


@pytest.mark.parametrize(
    ("fact", "asked"),
    [("1001", ["1001"]), (1001, ["1001"]), (1001.0, ["1001"]), ("a-7", ["a-7"]), (True, []), (None, [])],
)
async def test_a_customer_s_id_may_be_a_text_or_a_number(fact: Any, asked: list[str]) -> None:
    profile = Profile(facts={} if fact is None else {"customer_id": fact})
    line, sources = known(sessions=Known({"s": profile}))
    await hit(line, headers=cookies("s"))
    await line.events()
    assert sources["customers"].asked == [{key} for key in asked]


async def test_a_session_whose_key_is_gone_goes_without_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    line, sources = known()
    await hit(line, headers=cookies("canary-4f1c-ann"))
    monkeypatch.setitem(ENV, "SESSION_KEY", "the key that has taken the other's place")
    line.twins = Line(f"{SHOP}elements: {{ visitor: {SESSION} }}\n{KNOWN}", sources).twins
    missed = {"source": "customers", "result": "miss"}
    before = REGISTRY.get_sample_value("pixeltwin_enrich_total", missed) or 0
    assert emails(await line.events()) == [None]
    assert REGISTRY.get_sample_value("pixeltwin_enrich_total", missed) == before + 1
    assert [source.asked for source in sources.values()] == [[], [], []]


# The canary: whoever has a session's id is its visitor.


async def test_a_session_s_id_is_in_no_file_no_answer_and_no_log(tmp_path: Path) -> None:
    """Its source is away, so that twins wait in the outbox, and everybody has something to say about it."""
    text = f"""
meta: {{ graph: "http://127.0.0.1:1", pixel: "http://127.0.0.1:1" }}
{SHOP}
elements: {{ visitor: {SESSION} }}
outbox: {{ kind: sqlite, path: outbox.db }}
rules: [{{ name: late, when: "profile.vip", then: {{ drop: twin }} }}]
sources: {IN_SQL}{CUSTOMERS}"""
    env = in_sql(tmp_path, sessions="away").env
    gateway = Gateway(Config.from_text(text, base=tmp_path, env=env), relay="background")
    with capture_logs() as logs:
        await gateway.open()
        for sid in SESSIONS:
            query = hit_query("Lead", fbp=FBP, eid=f"e-{next(COUNT)}", ts=str(time.time_ns() // 1_000_000))
            await gateway.handle(request(query, headers=cookies(sid), received_at=time.time()))
        while not any(log["event"] == "a source did not answer" for log in logs):  # noqa: ASYNC110 - logs ring no bell
            await asyncio.sleep(0.01)
        told = [await page_of(gateway, path) for path in ("/api/events", "/api/outbox", "/metrics")]
        told += [await page_of(gateway, f"/api/events/{record.id}") for record in gateway.journal.latest()]
        stored = contents(tmp_path)
        await gateway.close()
    assert b"session:" in stored
    assert b"canary" not in stored
    assert "canary" not in "\n".join(map(str, (*told, logs, gateway.journal.latest())))


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("outbox.db*"))


async def page_of(gateway: Gateway, path: str) -> str:
    transport = httpx.ASGITransport(create_app(gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as api:
        answer = await api.get(path)
        assert answer.status_code == 200
        return answer.text
