"""Every kind of `sources/` keeps the promises of `enrich/source.py`, over a real backend."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sources.backends import BACKENDS, Backend, Servers, close, redis_server
from tests.sources.dead_backends import DEAD, HUGE_CUSTOMERS
from tests.sources.postgres import postgres

from pixeltwin import kinds
from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.source import CacheSettings, Source

CANARY = {
    "email": "Canary.Person@example.com",
    "phone": "+1 202-555-0198",
    "first": "Canariella",
    "number": "id-73",
    "plan": "gold",
    "ltv": "129.90",
    "note": "call +1 202-555-0198 or write to canary.person@example.com",
    "orders": "3",
}
CUSTOMERS = {
    "cust-1": CANARY,
    "42": {**CANARY, "email": "second@example.com"},
    "größe 7/ü": {**CANARY, "email": "third@example.com"},
    "a:b?c=d&e#f%2F": {**CANARY, "email": "fourth@example.com"},
    "person@shop.example": {**CANARY, "email": "fifth@example.com"},
}
PLAINTEXT = re.compile(rb"canar|202.?555|0198|id-73|@example\.com", re.IGNORECASE)
HOSTILE = [
    "' OR '1'='1",
    "'; DROP TABLE customers; --",
    "1) OR (1=1",
    "cust-1' --",
    "cust-1\r\nSET x y\r\n",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "cust-1\x00",
    "\x00",
    "\ud800",
    "",
    " cust-1",
    "cust-1 ",
    "CUST-1",
    "%",
    "_",
    "*",
    "cust-?",
    "{}",
    "{key}",
    "{0}",
    "%s",
    ":keys",
    ":customer_id",
    "$1",
    "?",
    ".",
    "..",
    "../cust-1",
    "..%2fcust-1",
    "/../../etc/passwd",
    "@169.254.169.254/",
    "#",
    "null",
    "null\n",
    "x" * 10_240,
    "ü" * 10_240,
    "\u202ecust-1",
    "😀",
    "Z̴̡a̷l̵g̶o̸",
    "[1,2]",
    '{"a": 1}',
]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with postgres() as dsn, redis_server(tmp_path_factory.mktemp("redis")) as redis:
        yield Servers(dsn, redis)


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers) -> AsyncIterator[Backend]:
    servers.check(request.param)
    async with BACKENDS[request.param](tmp_path, servers, CUSTOMERS) as backend:
        yield backend


@pytest.fixture
async def source(backend: Backend) -> AsyncIterator[Source]:
    source = backend.open()
    yield source
    await source.close()


def test_every_kind_has_a_backend() -> None:
    found = {module.__name__.rpartition(".")[2] for module in kinds.modules("pixeltwin.sources")}
    assert {name.partition("-")[0] for name in BACKENDS} == found


async def test_known_keys_are_found_and_unknown_ones_are_absent(source: Source) -> None:
    found = await source.look_up({*CUSTOMERS, "nobody", "43", "cust-10"})
    assert found.keys() == CUSTOMERS.keys()


async def test_each_key_gets_its_own_customer(source: Source) -> None:
    found = await source.look_up(CUSTOMERS)
    assert {key: profile.user_data["em"] for key, profile in found.items()} == {
        key: hashes("em", row["email"]) for key, row in CUSTOMERS.items()
    }


async def test_everything_that_is_mapped_comes_out_hashed(source: Source) -> None:
    found = await source.look_up(["cust-1"])
    names = {"em": "email", "ph": "phone", "fn": "first", "external_id": "number"}
    expected = {name: hashes(name, CANARY[column]) for name, column in names.items()}
    assert found["cust-1"].user_data == expected


async def test_custom_data_and_facts_come_out_readable(source: Source) -> None:
    found = await source.look_up(CUSTOMERS)
    for profile in found.values():
        assert profile.custom_data == {"plan": "gold", "predicted_ltv": 129.9}
        assert profile.facts == {"orders": "3", "plan": "gold"}


async def test_an_address_among_them_is_left_out_and_named(source: Source, request: pytest.FixtureRequest) -> None:
    found = await source.look_up(["cust-1"])
    is_stored = "embedded" in request.node.name  # the store has never taken it
    assert found["cust-1"].left_out == (() if is_stored else ("custom_data.remark",))


async def test_what_is_remembered_has_all_of_it(backend: Backend) -> None:
    again = Backend(backend.settings.model_copy(update={"cache": CacheSettings()}), backend.base, backend.count)
    source = again.open()
    first = await source.look_up(["cust-1", "nobody"])
    asked = len(backend.count)
    assert await source.look_up(["cust-1", "nobody"]) == first
    assert first["cust-1"].facts
    assert len(backend.count) == asked
    await source.close()


async def test_a_look_up_costs_one_query(backend: Backend, source: Source, request: pytest.FixtureRequest) -> None:
    await source.look_up(["42"])  # which may greet the server, too
    before = len(backend.count)
    keys = [*CUSTOMERS, *(f"nobody-{number}" for number in range(200))]
    assert len(await source.look_up(keys)) == len(CUSTOMERS)
    is_single = "http-single" in request.node.name  # the kind whose queries are calls of one key
    assert len(backend.count) - before == (len(keys) if is_single else 1)


async def test_no_keys_cost_no_query(backend: Backend, source: Source) -> None:
    assert await source.look_up([]) == {}
    assert backend.count == []


async def test_repeated_keys_are_asked_for_once(source: Source) -> None:
    assert (await source.look_up(["42", "42", "42"])).keys() == {"42"}


async def test_hostile_keys_find_nothing_and_break_nothing(source: Source) -> None:
    assert await source.look_up(HOSTILE) == {}
    assert (await source.look_up([*HOSTILE, "cust-1"])).keys() == {"cust-1"}
    assert (await source.look_up(CUSTOMERS)).keys() == CUSTOMERS.keys()


@pytest.mark.parametrize("key", HOSTILE, ids=ascii)
async def test_a_hostile_key_finds_nothing(source: Source, key: str) -> None:
    assert await source.look_up([key]) == {}


async def test_any_text_can_be_asked_for(source: Source) -> None:
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.text(), max_size=20))
    def collect(keys: list[str]) -> None:
        asked.append(keys)

    asked: list[list[str]] = []
    collect()
    for keys in asked:
        assert await source.look_up(keys) == {}


async def test_plaintext_is_in_no_repr(source: Source) -> None:
    found = await source.look_up(CUSTOMERS)
    assert isinstance(source, Guarded)
    shown = f"{found!r} {source!r} {source.__dict__!r} {source.query!r} {source.query.__dict__!r}"
    assert not PLAINTEXT.search(shown.encode())


async def test_a_source_can_be_asked_again_and_again(source: Source) -> None:
    for _ in range(20):
        assert (await source.look_up(["cust-1", "nobody"])).keys() == {"cust-1"}


async def test_a_source_that_was_never_asked_can_be_closed(backend: Backend) -> None:
    await backend.open().close()


@pytest.mark.parametrize("name", DEAD)
async def test_what_cannot_answer_raises_an_os_error_in_time(name: str, tmp_path: Path, servers: Servers) -> None:
    servers.check(name)
    async with DEAD[name](tmp_path, servers) as backend:
        began = time.monotonic()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - every kind has words of its own
            await ask(backend)
        assert time.monotonic() - began < 3  # of which 0.3 s are the source's time-out
        assert "customer-x" not in str(caught.value)
        assert not PLAINTEXT.search(str(caught.value).encode())


@pytest.mark.parametrize("name", HUGE_CUSTOMERS)
async def test_ten_megabytes_of_a_customer_are_left_out_in_time(name: str, tmp_path: Path, servers: Servers) -> None:
    async with HUGE_CUSTOMERS[name](tmp_path, servers) as backend:
        source, began = backend.open(), time.monotonic()
        found = await source.look_up(["customer"])
        assert time.monotonic() - began < 3
        assert found["customer"].is_empty
        assert set(found["customer"].left_out) == {"user_data.em", "custom_data.plan", "profile.segment"}
        await close(source)


async def ask(backend: Backend) -> None:
    source = backend.open()
    try:
        await source.look_up(["customer", "customer-x"])
    finally:
        await close(source)
