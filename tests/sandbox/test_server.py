"""A served app is a guest in the loop: it takes no signals, frees its port, and does not take one that is taken."""

import asyncio
import contextlib
import signal

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from pixeltwin.sandbox.server import serve, serving


async def test_the_app_answers_inside_the_block_only() -> None:
    async with serving(create_app(Sandbox()), port=0) as base, httpx.AsyncClient() as client:
        assert (await client.get(f"{base}/sandbox/events")).status_code == 200
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{base}/sandbox/events")


async def test_signals_stay_with_the_caller() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with serving(create_app(Sandbox()), port=0) as base, httpx.AsyncClient() as client:
        await client.get(f"{base}/sandbox/events")
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_a_taken_port_is_an_os_error() -> None:
    async with serving(create_app(Sandbox()), port=0) as base:
        port = int(base.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await serve(create_app(Sandbox()), port=port)


async def test_serving_ends_when_cancelled_and_frees_the_port() -> None:
    async with serving(create_app(Sandbox()), port=0) as base:
        port = int(base.rpartition(":")[2])
    task = asyncio.create_task(serve(create_app(Sandbox()), port=port))
    await asyncio.sleep(0.3)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with serving(create_app(Sandbox()), port=port):
        pass
