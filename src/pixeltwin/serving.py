"""Serving an ASGI app inside somebody else's event loop: the caller keeps the signals and says when to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

GRACE_SECONDS: Final = 1  # for a client that has stopped reading


class GuestServer(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture nothing."""
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    stopping: asyncio.Event | None = None,
    http: type[asyncio.Protocol] | Any = "auto",
) -> AsyncIterator[str]:
    """The app answers inside the block; yields its base URL. Port 0 takes a free one. `OSError` if taken.

    `stopping` is set when the block ends, for streams that would keep the server; `http` is uvicorn's protocol class.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # uvicorn itself would end the process if the port is taken
    listener = socket.create_server((host, port), family=family, backlog=1024)
    server = GuestServer(_config(app, http))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield _base_url(listener)
    finally:
        if stopping:
            stopping.set()
        server.should_exit = True
        await task


def _config(app: ASGIApp, http: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
