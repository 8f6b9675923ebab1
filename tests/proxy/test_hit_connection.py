"""A hit's own connection, with a front that answers at once."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from pixeltwin.config.model import Limits
from pixeltwin.pixel.answer import Answer
from pixeltwin.proxy.callers import Callers
from pixeltwin.proxy.hit_connection import HitConnection

HIT = b"GET /tr/?id=1&ev=PageView HTTP/1.1\r\nHost: a.example\r\n\r\n"
LARGE = Answer(200, "text/plain", body=b"x" * 65536)


class Front:
    limits = Limits()
    is_draining = False

    def __init__(self) -> None:
        self.answers = 0

    def most_connections(self, address):
        return None

    def takes(self, method, path):
        return True

    def ask(self, request, tell):
        asyncio.get_running_loop().call_soon(self._answer, tell)

    def _answer(self, tell):
        self.answers += 1
        tell(LARGE)


@asynccontextmanager
async def connected(front: Front) -> AsyncIterator[tuple[socket.socket, asyncio.Transport]]:
    """A browser's end of a connection, and ours."""
    loop = asyncio.get_running_loop()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        browser = socket.create_connection(listening.getsockname())
        taken, _ = listening.accept()
    browser.setblocking(False)
    with closing(browser), closing(taken):
        transport, _ = await loop.connect_accepted_socket(lambda: HitConnection(front, Callers(), None), taken)
        yield browser, transport
        transport.abort()
        await asyncio.sleep(0)


async def test_who_reads_no_answers_is_read_no_further():
    """What he is owed is bounded by the sockets' buffers, some megabytes, and asyncio's own."""
    loop, front = asyncio.get_running_loop(), Front()
    async with connected(front) as (browser, _):
        await loop.sock_sendall(browser, HIT * 1000)
        await asyncio.sleep(0.5)
        assert 0 < front.answers < 200
        async with asyncio.timeout(10.0):
            while front.answers < 1000:  # once he reads, he is answered again
                assert await loop.sock_recv(browser, 1 << 20)


async def test_who_reads_no_answers_is_let_go_of_after_a_while():
    loop, front = asyncio.get_running_loop(), Front()
    async with connected(front) as (browser, transport):
        await loop.sock_sendall(browser, HIT * 1000)
        await asyncio.sleep(0.5)
        await transport.get_protocol().sweep(time.monotonic() - 10)
        assert not transport.is_closing()
        await transport.get_protocol().sweep(time.monotonic())
        assert transport.is_closing()
