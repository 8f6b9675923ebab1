"""Serving an app on loopback inside somebody else's event loop: the caller keeps the signals and says when to stop."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Generator
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

HOST: Final = "127.0.0.1"
PORT: Final = 9100
ABORT_AT_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends RST instead of FIN


class ResettableProtocol(H11Protocol):
    """HTTP/1.1 whose requests find `reset` in their scope's state: it resets the TCP connection."""

    def connection_made(self, transport: Any) -> None:
        """Every connection brings its own `reset`."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "reset": partial(_reset, transport)}


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT_AT_CLOSE)
    transport.abort()


class GuestServer(uvicorn.Server):
    """A uvicorn that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture nothing."""
        yield


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, host: str = HOST, port: int = PORT) -> AsyncIterator[str]:
    """The app answers inside the block; yields its base URL. Port 0 takes a free one. `OSError` if taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=1024)
    server = GuestServer(_config(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield _base_url(listener)
    finally:
        server.should_exit = True
        await task


async def serve(app: ASGIApp, host: str = HOST, port: int = PORT) -> None:
    """Serve until cancelled, then let running requests end."""
    async with serving(app, host, port):
        await asyncio.Event().wait()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ResettableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,  # a client that a fault keeps waiting does not keep the server
    )


def _base_url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
