"""A served app is a guest in the loop: it takes no signals, frees its port, and does not take one that is taken."""

import signal

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from pixeltwin.sandbox.server import serving


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
        with pytest.raises(OSError, match="in use"):
            await serving(create_app(Sandbox()), port=int(base.rpartition(":")[2])).__aenter__()


async def test_a_port_is_free_again_after_the_block() -> None:
    async with serving(create_app(Sandbox()), port=0) as base:
        port = int(base.rpartition(":")[2])
    async with serving(create_app(Sandbox()), port=port) as again:
        assert again == base
