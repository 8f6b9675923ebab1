"""Browsers that send one hit after the other, whatever becomes of the gateway; the oracle hears what was answered."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from tests.reliability.oracle import IP, UA, Hit, Oracle

ANSWER_SECONDS: Final = 10.0  # longer than a live gateway ever takes
REST: Final = 0.01  # before another try to connect


class Visitors:
    """`answered_at` is when the latest answer came, on the monotonic clock."""

    def __init__(self, oracle: Oracle, issued: Callable[[Hit], None] = lambda hit: None) -> None:
        self._oracle = oracle
        self._issued = issued
        self.sent = 0
        self.answered_at = 0.0

    @asynccontextmanager
    async def browsing(self, *ports: int, number: int = 6) -> AsyncIterator["Visitors"]:
        """They come to each of the ports in turn, until the block ends."""
        tasks = [asyncio.create_task(self._browse(ports[at % len(ports)])) for at in range(number)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def answers(self, seconds: float = 30.0) -> None:
        """Return at the next answer."""
        async with asyncio.timeout(seconds):
            since = time.monotonic()
            while self.answered_at <= since:  # noqa: ASYNC110 an answer rings no bell
                await asyncio.sleep(0.005)

    async def _browse(self, port: int) -> None:
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    while True:
                        await self._send(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(REST)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hit = self._oracle.issue()
        self._issued(hit)
        self.sent += 1
        writer.write(
            f"GET /tr/?{hit.query} HTTP/1.1\r\nHost: px.shop.example\r\nUser-Agent: {UA}\r\n"
            f"X-Forwarded-For: {IP}\r\n\r\n".encode()
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        assert head.split(b" ")[1] == b"200", head
        self._oracle.answer(hit)
        self.answered_at = time.monotonic()
