"""The modes of `pixeltwin run` are made of what mitmproxy does not document: here is what must hold of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
from mitmproxy import ctx
from tests.factories import hit_query
from tests.processes import free_port

from pixeltwin.config import Config
from pixeltwin.gateway import STOP_SECONDS, Gateway, Handled
from pixeltwin.mirror import Decide, admit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.proxy.lanes import LANES, Lane

CONFIG = """
server: {{ listen: "{host}:{port}"{server} }}
pixels: [{{ id: "1234567890123456", access_token: "${{SECRET}}" }}]
outbox: {{ kind: memory }}
meta: {{ graph: "http://127.0.0.1:9", pixel: "http://127.0.0.1:9" }}
"""


@asynccontextmanager
async def served(
    port: int,
    lane: Lane = "fast",
    host: str = "127.0.0.1",
    *,
    shared: bool = True,
    server: str = "",
    kind: type[Gateway] = Gateway,
) -> AsyncIterator[Embedded]:
    text = CONFIG.format(host=host, port=port, server=server)
    config = Config.from_text(text, base=Path(), env={"SECRET": "a-secret-of-the-test"})
    gateway = kind(config, relay="none")
    await gateway.open()
    server = Embedded(gateway, lane, shared=shared)
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


async def old_answer(port: int) -> bytes:
    """What a browser of the nineties gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(f"GET /tr/?{hit_query()} HTTP/1.0\r\nHost: a.example\r\n\r\n".encode())
        return await reader.readline()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("lane", LANES)
async def test_hits_are_answered_in_every_lane(lane, shared):
    async with served(port := free_port(), lane, shared=shared):
        assert await answer(port) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("lane", LANES)
async def test_a_connection_that_has_ended_is_forgotten(lane):
    async with served(port := free_port(), lane):
        await answer(port)
        async with asyncio.timeout(3.0):
            while ctx.master.addons.get("proxyserver").connections:  # noqa: ASYNC110 an end rings no bell
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("lane", LANES)
async def test_an_address_has_only_so_many_connections_at_once(lane):
    async with served(port := free_port(), lane, server=", limits: { connections_per_address: 2 }"):
        for _ in range(5):
            assert await answer(port) == b"HTTP/1.1 200 OK\r\n"  # none of these stays
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"HTTP/1.1 503 Service Unavailable\r\n"
        assert b"Retry-After: 5\r\n" in await reader.read()
        for _, opened in (*others, (reader, writer)):
            opened.close()
        async with asyncio.timeout(10.0):
            while await answer(port) != b"HTTP/1.1 200 OK\r\n":  # noqa: ASYNC110 a place that is free again rings no bell
                await asyncio.sleep(0.01)


async def test_a_connection_that_mitmproxy_goes_on_with_counts_once_until_it_ends():
    async with served(port := free_port(), server=", limits: { connections_per_address: 1 }"):
        for _ in range(3):
            async with asyncio.timeout(10.0):
                while b" 503 " in (foreign := await old_answer(port)):  # noqa: ASYNC110 the one before has not left yet
                    await asyncio.sleep(0.01)
                assert foreign == b"HTTP/1.1 200 OK\r\n"


async def test_a_trusted_proxy_may_have_any_number_of_connections():
    options = ", trusted_proxies: [127.0.0.1/32], limits: { connections_per_address: 1 }"
    async with served(port := free_port(), server=options):
        others = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        assert await answer(port) == b"HTTP/1.1 200 OK\r\n"
        for _, opened in others:
            opened.close()


@pytest.mark.parametrize("lane", ["native", "flows"])
async def test_only_addons_that_have_a_hook_hear_of_it_and_a_fault_in_one_is_its_own(lane):
    heard = []

    class Faulty:
        async def client_connected(self, client):
            heard.append(client)
            raise RuntimeError("a fault of the test")

    async with served(port := free_port(), lane):
        ctx.master.addons.add(Faulty())
        assert await answer(port) == b"HTTP/1.1 200 OK\r\n"
    assert len(heard) == 1


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("first", [b"", f"GET /tr/?{hit_query()} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode()])
async def test_a_connection_on_which_nothing_happens_is_ended_after_the_read_timeout(lane, first):
    async with served(port := free_port(), lane, server=", limits: { read_timeout: 1s }"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(first)
            async with asyncio.timeout(10.0):
                assert (await reader.read()).count(b"HTTP/1.1 200 OK") == bool(first)


async def test_a_port_of_ours_alone_is_shared_with_nobody():
    async with served(port := free_port(), shared=False):
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(lambda *_: None, "127.0.0.1", port, reuse_port=True)


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


class Slow(Gateway):
    """Takes its time about each hit, and tells what it does."""

    told: asyncio.Queue[str]

    def take(self, request: HitRequest, told: Callable[[Handled], None], decide: Decide = admit) -> None:
        self.told.put_nowait("asked")
        asyncio.get_running_loop().call_later(0.3, super().take, request, partial(self._taken, told), decide)

    def _taken(self, told: Callable[[Handled], None], handled: Handled) -> None:
        self.told.put_nowait("handled")
        told(handled)

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        self.told.put_nowait("closed")
        await super().close(seconds)


@pytest.mark.parametrize("lane", LANES)
async def test_a_stop_waits_for_the_hit_that_is_being_answered(lane):
    Slow.told = asyncio.Queue()
    async with served(port := free_port(), lane, kind=Slow) as server:
        asking = asyncio.create_task(answer(port))
        assert await Slow.told.get() == "asked"
        server.stop()
        assert await asking == b"HTTP/1.1 200 OK\r\n"
    assert [await Slow.told.get(), await Slow.told.get()] == ["handled", "closed"]


class Patient(Gateway):
    """Is closed only when its visitor's connection has ended."""

    ended: asyncio.Event

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        async with asyncio.timeout(5):
            await self.ended.wait()
        await super().close(seconds)


async def test_a_stop_ends_connections_on_which_nothing_is_asked_before_the_gateway_is_closed():
    """A hit that came after that could not be kept; its browser repeats it on another connection."""
    Patient.ended = asyncio.Event()
    async with served(port := free_port(), kind=Patient) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(f"GET /tr/?{hit_query()} HTTP/1.1\r\nHost: px.example\r\n\r\n".encode())
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(0.01)
        server.stop()
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        Patient.ended.set()
        writer.close()
