"""Customers in Redis: what is left to say beside the conformance suite."""

import sys
from pathlib import Path

import pytest

from pixeltwin.sources import redis
from pixeltwin.sources.redis import Settings


def chosen(**options) -> Settings:
    return Settings(**{"kind": "redis", "key": "customer_id", "url": "redis://:canary@127.0.0.1:1/0", **options})


def test_settings_hide_the_password():
    assert "canary" not in repr(chosen())
    assert "canary" not in chosen().model_dump_json()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(OSError, match=r"pip install 'pixeltwin\[redis\]'"):
        redis.open_source(chosen(), Path())


def test_a_url_of_something_else_is_refused_without_its_password():
    with pytest.raises(ValueError, match="scheme") as caught:
        redis.open_source(chosen(url="https://:canary@h/"), Path())
    assert "canary" not in str(caught.value)


async def test_a_server_that_is_down_tells_no_password():
    source = redis.open_source(chosen(), Path())
    with pytest.raises(OSError, match="ConnectionError") as caught:
        await source.look_up(["k"])
    assert "canary" not in str(caught.value)
    await source.close()
