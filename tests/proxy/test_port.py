"""The mode that shares its port is made of what mitmproxy does not document: here is what must hold of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from tests.factories import hit_query
from tests.processes import free_port

from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.proxy.lanes import LANES, Lane

CONFIG = """
server: {{ listen: "{host}:{port}" }}
pixels: [{{ id: "1234567890123456", access_token: "${{SECRET}}" }}]
outbox: {{ kind: memory }}
meta: {{ graph: "http://127.0.0.1:9", pixel: "http://127.0.0.1:9" }}
"""


@asynccontextmanager
async def served(port: int, lane: Lane = "fast", host: str = "127.0.0.1") -> AsyncIterator[Embedded]:
    config = Config.from_text(CONFIG.format(host=host, port=port), base=Path(), env={"SECRET": "a-secret-of-the-test"})
    gateway = Gateway(config, relay="none")
    await gateway.open()
    server = Embedded(gateway, lane, shared=True)
    running = asyncio.create_task(server.run())
    await server.opened()
    try:
        yield server
    finally:
        server.stop()
        await running


async def answer(port: int, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    with closing(writer):
        writer.write(f"GET /tr/?{hit_query()} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n".encode())
        return await reader.readline()


@pytest.mark.parametrize("lane", LANES)
async def test_hits_are_answered_in_every_lane(lane):
    async with served(port := free_port(), lane):
        assert await answer(port) == b"HTTP/1.1 200 OK\r\n"


async def test_ipv6_is_listened_on():
    async with served(port := free_port(), host="[::1]"):
        assert await answer(port, "::1") == b"HTTP/1.1 200 OK\r\n"


async def test_the_port_is_shared_by_who_shares_it_and_by_nobody_else():
    port = free_port()
    async with served(port):
        shared = await asyncio.start_server(lambda *_: None, "127.0.0.1", port, reuse_port=True)
        shared.close()
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(lambda *_: None, "127.0.0.1", port)


async def test_the_port_is_closed_at_once_when_a_stop_begins():
    port = free_port()
    async with served(port) as server:
        server.stop()
    with pytest.raises(ConnectionRefusedError):
        await answer(port)
