"""The stream of changes, over a real connection: only that shows when it ends."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.admin.stream import changes
from pixeltwin.delivery.journal import State
from tests.admin.factories import View


@asynccontextmanager
async def opened(view: View) -> AsyncIterator[httpx.Response]:
    """An open stream of a served app."""
    async with (
        serving(create_app(view), "127.0.0.1", 0) as url,
        httpx.AsyncClient(base_url=url) as client,
        client.stream("GET", "/api/stream") as response,
    ):
        yield response


async def read(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    """The next messages' data."""
    messages: list[dict[str, Any]] = []
    while len(messages) < count:
        line = await anext(lines)
        if line.startswith("data: "):
            messages.append(json.loads(line[6:]))
    return messages


async def test_stream_tells_every_change_as_a_summary(view: View) -> None:
    async with opened(view) as response:
        lines = response.aiter_lines()
        assert response.headers["content-type"].startswith("text/event-stream")
        view.note("a-1")
        [first] = await read(lines, 1)
        view.journal.update("a-1", state=State.DELIVERED)
        [second] = await read(lines, 1)
    assert (first["id"], first["state"], second["state"]) == ("a-1", "queued", "delivered")
    assert "twin" not in first


async def test_replay_comes_first_and_oldest_first(view: View) -> None:
    for number in range(4):
        view.note(f"a-{number}")
    stream = changes(view, asyncio.Event(), replay=3)
    first = await anext(stream)
    await stream.aclose()
    assert [line for line in first.splitlines() if line.startswith("id:")] == ["id: a-1", "id: a-2", "id: a-3"]


async def test_record_that_changes_within_a_frame_is_told_once(view: View) -> None:
    stream = changes(view, asyncio.Event())
    await anext(stream)
    view.note("a-1")
    view.journal.update("a-1", state=State.DELIVERED)
    message = await anext(stream)
    await stream.aclose()
    assert message.count("data: ") == 1
    assert '"state":"delivered"' in message


async def test_silence_is_broken_by_comments(view: View) -> None:
    stream = changes(view, asyncio.Event(), heartbeat=0.2)
    await anext(stream)
    assert (await anext(stream)).startswith(":")
    await stream.aclose()


async def test_reader_that_leaves_is_forgotten(view: View) -> None:
    async with opened(view) as response:
        view.note("a-1")
        await read(response.aiter_lines(), 1)
        assert len(view.journal._followers) == 1
        await response.aclose()
        await asyncio.sleep(0.5)
        assert not view.journal._followers


async def test_open_streams_end_when_the_server_stops(view: View) -> None:
    async with httpx.AsyncClient() as client:
        async with serving(create_app(view), "127.0.0.1", 0) as url:
            requests = [client.build_request("GET", f"{url}/api/stream") for _ in range(5)]
            streams = [await client.send(request, stream=True) for request in requests]
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 1.5
        for stream in streams:
            await stream.aread()  # raises if it was cut off


async def test_reader_that_stopped_reading_does_not_keep_the_server(view: View) -> None:
    async with serving(create_app(view), "127.0.0.1", 0) as url:
        for number in range(1000):
            view.note(f"a-{number}", detail="x" * 20_000)
        with socket.create_connection(("127.0.0.1", httpx.URL(url).port or 0)) as connection:
            connection.send(b"GET /api/stream?replay=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(0.3)
            stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < 2


async def test_server_says_nothing_about_itself(view: View) -> None:
    async with serving(create_app(view), "127.0.0.1", 0) as url, httpx.AsyncClient() as client:
        assert "server" not in (await client.get(f"{url}/livez")).headers
