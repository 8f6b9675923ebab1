"""Serving the admin app inside the gateway's own event loop: the caller keeps the signals and says when to stop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn
from starlette.applications import Starlette


class GuestServer(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture nothing."""
        yield


@contextlib.asynccontextmanager
async def serving(app: Starlette, host: str, port: int) -> AsyncIterator[str]:
    """The app answers inside the block; yields its base URL. Port 0 takes a free one. `OSError` if taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family)  # uvicorn would end the process if it is taken
    app.state.stopping.clear()
    server = GuestServer(_config(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield _base_url(listener)
    finally:
        app.state.stopping.set()  # open streams would keep the server
        server.should_exit = True
        await task


async def serve(app: Starlette, host: str, port: int) -> None:
    """Serve until cancelled."""
    async with serving(app, host, port):
        await asyncio.Event().wait()


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,  # for a reader that has stopped reading
    )


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
