"""The bodies of what is written: JSON, and never longer than may be read."""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

LONGEST: Final = 1 << 20  # bytes


async def json_body(request: Request) -> bytes:
    """The whole body of a request that says it is JSON; it is not parsed.

    A page cannot send JSON to another site without asking first, and it is refused when it asks.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Content-Type: application/json is wanted")
    if "content-encoding" in request.headers:
        raise HTTPException(415, "Content-Encoding: send the body as it is")
    return await _read(request)


async def _read(request: Request) -> bytes:
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > LONGEST:
                raise HTTPException(413, "the body is longer than 1 MiB")
    except ClientDisconnect:
        raise HTTPException(400, "the body ended early") from None
    return bytes(body)
