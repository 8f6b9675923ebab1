"""Hits as lines of text, one request a line; blank lines and lines that begin with # are comments.

GET <url>                          everything is in the query
POST-FORM <body>                   application/x-www-form-urlencoded
POST-MULTIPART <boundary> <body>   multipart/form-data, the body as a JSON string
OPENBRIDGE <json>                  text/plain, to the OpenBridge endpoint
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pixeltwin.mapping.json_body import written
from pixeltwin.pixel.hit import FORM, MULTIPART
from pixeltwin.pixel.request import HitRequest

PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))  # what a request line may hold; a browser encodes the rest


def read_lines(lines: Iterable[str], now: float) -> Iterator[HitRequest]:
    """The requests of the lines, as if they came now (unix seconds). Raises ValueError with the line's number."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\n")
        if text.strip() and not text.startswith("#"):
            yield _request(text, number, now)


def request_of_url(url: str, now: float) -> HitRequest:
    """The GET of a hit's URL."""
    parts = urlsplit(url)
    return _made(parts.path, now, query=quote(parts.query, safe=PRINTABLE).encode())


def parameters(given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A hit's parameters as they stand in it: `{ cd: { value: 1 } }` is `cd[value]=1`; null is left out."""
    for name, value in given.items():
        pairs = {f"{name}[{key}]": item for key, item in value.items()} if isinstance(value, Mapping) else {name: value}
        for key, item in pairs.items():
            if (text := written(item)) is not None:
                yield key, text


def _request(text: str, number: int, now: float) -> HitRequest:
    kind, _, rest = text.partition(" ")
    if kind not in KINDS:
        raise ValueError(f"line {number}: begins with {kind[:20]!r}; one of {', '.join(KINDS)} would work")
    try:
        return KINDS[kind](rest, now)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from error


def _multipart(rest: str, now: float) -> HitRequest:
    boundary, _, written_body = rest.partition(" ")
    with suppress(json.JSONDecodeError):
        if isinstance(body := json.loads(written_body), str):
            return _made("/tr/", now, body=body.encode(), content_type=f"{MULTIPART}; boundary={boundary}")
    raise ValueError("write the boundary, a space, and the body as a JSON string")


def _made(path: str, now: float, *, query: bytes = b"", body: bytes = b"", content_type: str = "") -> HitRequest:
    return HitRequest(
        method="POST" if body else "GET",
        host="",
        path=path,
        query=query,
        headers={"content-type": content_type} if content_type else {},
        body=body,
        peer="",
        received_at=now,
        first_party=True,
    )


KINDS: Final[dict[str, Callable[[str, float], HitRequest]]] = {
    "GET": request_of_url,
    "POST-FORM": lambda body, now: _made("/tr/", now, body=body.encode(), content_type=FORM),
    "POST-MULTIPART": _multipart,
    "OPENBRIDGE": lambda body, now: _made("/events", now, body=body.encode(), content_type="text/plain"),
}
