"""Every request as one JSON line, access tokens masked: what a test or a person reads after the fact."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixeltwin.sandbox.ledger import iso

MASK: Final = "***"
NAMED: Final = r"(?:access_token|appsecret_proof)"
# One row an encoding of PROTOCOL 1.2: JSON, urlencoded (and query), multipart.
MASKS: Final = (
    re.compile(rf'("{NAMED}"\s*:\s*")(?:\\.|[^"\\])*'),
    re.compile(rf"(\b{NAMED}=)[^&\s]*"),
    re.compile(rf'(name="{NAMED}"(?:\r\n[^\r\n]+)*\r\n\r\n)[^\r\n]*'),
)


def mask(text: str) -> str:
    """The text without the values of access tokens."""
    for pattern in MASKS:
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return text


def masked_headers(request: Request) -> dict[str, str]:
    """The request's headers by lower-case name, several of one name joined, credentials masked."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        shown = MASK if name == "authorization" else value
        headers[name] = f"{headers[name]}, {shown}" if name in headers else shown
    return headers


class Journal:
    """ASGI middleware that appends each request to a file before the app sees it."""

    def __init__(self, app: ASGIApp, path: Path, clock: Callable[[], float]) -> None:
        self.app = app
        self.path = path
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note the request down, then hand it on with its body."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        self._append(request, body)
        await self.app(scope, _replaying(body, receive), send)

    def _append(self, request: Request, body: bytes) -> None:
        line = {
            "at": iso(self.clock()),
            "method": request.method,
            "path": request.url.path,
            "query": mask(request.url.query),
            "headers": masked_headers(request),
            "body": mask(body.decode("utf-8", "backslashreplace")),
        }
        with open(self.path, "ab", opener=_private) as file:
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def _private(path: str, flags: int) -> int:
    """For the builtin `open`: a file that its owner alone may read, as it may have been fed with real hits."""
    return os.open(path, flags, 0o600)


def _replaying(body: bytes, receive: Receive) -> Receive:
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return first.pop() if first else await receive()

    return replay
