"""Serving the sandbox and the shop on loopback, with connections that a fault can reset."""

import asyncio
import socket
import struct
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from pixeltwin import serving as guest

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


def serving(app: ASGIApp, host: str = HOST, port: int = PORT) -> AbstractAsyncContextManager[str]:
    """The app answers inside the block, which gets its base URL; requests may ask for a reset."""
    return guest.serving(app, host, port, http=ResettableProtocol)
