"""Your own query: what it may say, and that it can only read."""

import sqlite3
import sys
from pathlib import Path

import pytest

from pixeltwin.sources import sql
from pixeltwin.sources.sql import Settings, bound
from tests.sources.backends import close
from tests.sources.postgres import postgres


def chosen(query: str, **options) -> Settings:
    return Settings(**{"kind": "sql", "key": "customer_id", "url": "sqlite:///crm.db", "query": query, **options})


@pytest.fixture
def crm(tmp_path):
    connection = sqlite3.connect(tmp_path / "crm.db")
    connection.execute("CREATE TABLE customers(id INTEGER PRIMARY KEY, em TEXT)")
    connection.executemany("INSERT INTO customers VALUES(?, ?)", [(7, "a@example.com"), (8, "b@example.com")])
    connection.commit()
    yield connection
    connection.close()


@pytest.mark.parametrize("query", ["SELECT 1", "SELECT id FROM c WHERE id = :keys", "SELECT id FROM c WHERE id IN :x"])
def test_a_query_that_does_not_ask_for_the_keys_is_refused(query):
    with pytest.raises(ValueError, match="IN :keys"):
        chosen(query)


def test_the_keys_go_by_either_name():
    assert chosen("SELECT id FROM c WHERE id IN :keys").parameter == "keys"
    assert chosen("SELECT id FROM c WHERE id in :customer_id").parameter == "customer_id"


@pytest.mark.parametrize("url", ["mysql://h/d", "customers", "", "postgresql", "file:///x"])
def test_a_database_that_is_not_known_is_refused_without_its_url(url):
    settings = chosen("SELECT id FROM c WHERE id IN :keys", url=f"{url}?password=canary")
    with pytest.raises(ValueError, match="postgresql://") as caught:
        sql.open_source(settings, Path())
    assert "canary" not in str(caught.value)


def test_a_parameter_without_a_value_is_refused():
    with pytest.raises(ValueError, match="shop"):
        sql.open_source(chosen("SELECT id FROM c WHERE shop = :shop AND id IN :keys"), Path())


async def test_numbers_are_asked_for_as_numbers(crm, tmp_path):
    settings = chosen("SELECT em, id FROM customers WHERE id IN :keys", key_type="integer", column="id")
    source = sql.open_source(settings, tmp_path)
    assert (await source.look_up(["7", "07", "+7", "7.0", "x", "9" * 30, "٧"])).keys() == {"7"}
    assert await source.look_up(["x"]) == {}
    await close(source)


async def test_a_column_that_the_query_lacks_is_named(crm, tmp_path):
    source = sql.open_source(chosen("SELECT em FROM customers WHERE id IN :keys", column="id"), tmp_path)
    with pytest.raises(OSError, match="no column 'id'"):
        await source.look_up(["7"])
    await close(source)


async def test_postgresql_s_types_become_json_s():
    query = """
        SELECT 'k' AS id, 129.90::numeric AS total, date '2024-02-29' AS since, true AS vip, 3::bigint AS orders,
               9007199254740993 AS big, '00000000-0000-0000-0000-000000000007'::uuid AS id2, 'NaN'::numeric AS ratio,
               ARRAY[1, 2] AS tags
        WHERE 'k' IN :keys
    """
    facts = ["since", "vip", "orders", "big", "id2", "ratio", "tags"]
    with postgres() as dsn:
        source = sql.open_source(chosen(query, url=dsn, custom_data={"value": "total"}, profile=facts), Path())
        found = (await source.look_up(["k"]))["k"]
        await close(source)
    assert found.custom_data == {"value": 129.9}
    assert found.facts == {
        "since": "2024-02-29",
        "vip": True,
        "orders": 3,
        "big": "9007199254740993",
        "id2": "00000000-0000-0000-0000-000000000007",
    }
    assert found.left_out == ("profile.ratio", "profile.tags")


async def test_the_database_is_only_read(crm, tmp_path):
    source = sql.open_source(chosen("DELETE FROM customers WHERE id IN :keys RETURNING id"), tmp_path)
    with pytest.raises(OSError, match="OperationalError"):
        await source.look_up(["7"])
    await close(source)
    assert crm.execute("SELECT count(*) FROM customers").fetchone() == (2,)


async def test_a_file_that_is_not_there_is_not_made(tmp_path):
    source = sql.open_source(chosen("SELECT em FROM customers WHERE id IN :keys"), tmp_path)
    with pytest.raises(OSError, match="OperationalError"):
        await source.look_up(["7"])
    await close(source)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "parameters"), [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (500, 512), (512, 512)])
def test_a_few_sizes_of_statement_do_for_every_look_up(count, parameters):
    keys = [f"k{number}" for number in range(count)]
    values = bound(keys, "text")
    assert len(values) == parameters
    assert set(values) == set(keys)


@pytest.mark.parametrize("missing", ["sqlalchemy.ext.asyncio", "asyncpg", "aiosqlite"])
def test_without_the_extra_it_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(OSError, match=r"pip install 'pixeltwin\[sql\]'"):
        sql.open_source(chosen("SELECT em FROM customers WHERE id IN :keys"), Path())


def test_libpq_s_word_for_tls_is_understood():
    settings = chosen("SELECT em FROM c WHERE id IN :keys", url="postgresql://u:p@h/d?sslmode=verify-full&x=1")
    assert sql._url(settings, Path()).query == {"ssl": "verify-full", "x": "1"}


def test_settings_hide_the_password():
    settings = chosen("SELECT em FROM c WHERE id IN :keys", url="postgresql://u:canary@h/d")
    assert "canary" not in repr(settings)
    assert "canary" not in settings.model_dump_json()
