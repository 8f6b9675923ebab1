"""The hits that lie beside the checkout for checking. They are read from there, never copied."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

HITS = Path(os.environ.get("PIXELTWIN_HITS", Path(__file__).parents[2] / "shared/hits/pixel_hits.txt"))
ILLEGAL = re.compile(r"[^!#-;=?-Z\[\]_a-z~%{}|^`\\]")  # what no HTTP/1 request line may hold


@dataclass(frozen=True)
class Line:
    """One request of the file: how it travels, and its comment."""

    number: int
    path: str
    query: str
    body: bytes
    content_type: str
    comment: str


def shared_hits() -> list[Line]:
    """Every request of the file."""
    if not HITS.exists():
        pytest.skip(f"{HITS} is not there")
    return list(_lines(HITS.read_text(encoding="utf-8").split("\n")))


def _lines(texts: list[str]) -> Iterator[Line]:
    comment = ""
    for number, text in enumerate(texts, 1):
        kind, _, rest = text.partition(" ")
        if text.startswith("#"):
            comment = text
        elif kind == "GET":
            url = urlsplit(rest)
            query = ILLEGAL.sub(lambda found: quote(found[0]), url.query)
            yield Line(number, url.path, query, b"", "", comment)
        elif kind == "POST-FORM":
            yield Line(number, "/tr/", "", rest.encode(), "application/x-www-form-urlencoded", comment)
        elif kind == "POST-MULTIPART":
            boundary, _, body = rest.partition(" ")
            yield Line(
                number, "/tr/", "", json.loads(body).encode(), f"multipart/form-data; boundary={boundary}", comment
            )
        elif kind == "OPENBRIDGE":
            yield Line(number, "/events", "cee=no", rest.encode(), "text/plain;charset=UTF-8", comment)
