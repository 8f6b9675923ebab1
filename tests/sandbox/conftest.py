from collections.abc import AsyncIterator

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from tests.browser import chromium
from tests.sandbox.factories import NOW

__all__ = ["chromium"]


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=lambda: NOW)


@pytest.fixture
async def meta(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the sandbox Meta, in process."""
    transport = httpx.ASGITransport(create_app(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://meta.test") as client:
        yield client
