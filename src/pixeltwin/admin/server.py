"""Serving the admin app inside the gateway's own event loop."""

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette

from pixeltwin import serving as guest


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[str]:
    """The app answers inside the block, yields its base URL; open streams end with the block."""
    app.state.stopping.clear()
    async with guest.serving(app, host, port, stopping=app.state.stopping) as url:
        yield url
