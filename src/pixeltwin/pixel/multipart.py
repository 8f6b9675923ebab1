"""multipart/form-data as browsers write it for `sendBeacon(FormData)` (RFC 7578, RFC 2046).

Read here rather than by a library because stamping and rewriting need to know where in the bytes each value stands.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

NAME: Final = re.compile(rb'content-disposition:\s*form-data;[^\r\n]*?\bname="([^"]*)"', re.IGNORECASE)
BOUNDARY: Final = re.compile(r'boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
ESCAPES: Final = ((b"%22", b'"'), (b"%0D%0A", b"\r\n"))  # what browsers escape in a field's name
LINE: Final = b"\r\n"

type Change = Callable[[str, str], str | None]
"""From a parameter's name and value to the value it is to have, the same for most; None removes it."""


class BrokenMultipartError(ValueError):
    """The body is not a complete multipart/form-data document."""


@dataclass(frozen=True, slots=True)
class Field:
    """One part: its name, and its value, which stands at `start` to `end` in the body. The part begins at `part`."""

    name: str
    value: str
    part: int
    start: int
    end: int


def boundary_of(content_type: str) -> bytes:
    """The boundary that the Content-Type header names. Raises BrokenMultipartError."""
    found = BOUNDARY.search(content_type)
    if not found:
        raise BrokenMultipartError("no boundary")
    return (found[1] or found[2]).encode("latin-1", "replace")


def fields(body: bytes, boundary: bytes) -> Iterator[Field]:
    """The parts in order. Raises BrokenMultipartError for a body without its closing delimiter."""
    delimiter = b"--" + boundary
    if not body.startswith(delimiter):
        raise BrokenMultipartError("no opening delimiter")
    start = len(delimiter)
    while not body.startswith(b"--", start):
        end = body.find(LINE + delimiter, start)
        if end < 0:
            raise BrokenMultipartError("no closing delimiter")
        yield _field(body, start - len(delimiter), start, end)
        start = end + len(LINE + delimiter)


def insert(body: bytes, boundary: bytes, name: str, value: str) -> bytes:
    """The body with one more part before the closing delimiter; every other byte as it was."""
    at = body.rindex(b"--" + boundary + b"--")
    head = f'--{boundary.decode("latin-1")}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return body[:at] + head.encode("latin-1") + value.encode() + b"\r\n" + body[at:]


def change_values(body: bytes, boundary: bytes, change: Change) -> bytes:
    """The body with the values that `change` gives; every other byte as it was. Raises BrokenMultipartError."""
    pieces, at = [], 0
    for field in fields(body, boundary):
        value = change(field.name, field.value)
        if value is None:
            pieces.append(body[at : field.part])
            at = field.end + len(LINE)
        elif value != field.value:
            pieces += (body[at : field.start], _contained(value, boundary))
            at = field.end
    return b"".join((*pieces, body[at:]))


def _contained(value: str, boundary: bytes) -> bytes:
    """The value's bytes. A line that would end the part is moved one to the right: no value may write parts."""
    delimiter = b"--" + boundary
    lines = (LINE + value.encode("utf-8", "replace")).replace(LINE + delimiter, LINE + b" " + delimiter)
    return lines[len(LINE) :]


def _field(body: bytes, part: int, start: int, end: int) -> Field:
    head_end = body.find(b"\r\n\r\n", start, end)
    name = NAME.search(body, start, head_end) if head_end >= 0 else None
    if not name:
        raise BrokenMultipartError("a part without a name")
    value_at = head_end + 4
    return Field(_unescape(name[1]), body[value_at:end].decode("utf-8", "replace"), part, value_at, end)


def _unescape(name: bytes) -> str:
    for escape, character in ESCAPES:
        name = name.replace(escape, character)
    return name.decode("utf-8", "replace")
