"""One event id on both copies of an event (PROTOCOL 1.10, 3.7, 4.4).

The page's own id is used. Where it gave none, one is minted and written into the browser's copy, so that the copy
Meta gets from the browser and the twin carry the same. Every other byte of the browser's copy stays as it was.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from pixeltwin.pixel import multipart
from pixeltwin.pixel.hit import FORM, MULTIPART, PixelHit, body_type
from pixeltwin.pixel.request import HitRequest

BLANK_EID: Final = re.compile(rb"(?:(?<=&)|^)eid=?(?=&|\Z)")
MARK: Final = "pt-"


def mint_event_id(hit: PixelHit, random_below: Callable[[int], int]) -> str:
    """An id for a hit without one.

    A retransmission of the same hit gets the same id: it is derived from what the pixel says of the moment. A hit that
    says too little (a noscript image) gets a random one of 128 bits, because two visitors' hits must never share an id.
    """
    if not (hit.get("ts") and (hit.get("it") or hit.get("fbp"))):
        return f"{MARK}{random_below(2**128):032x}"
    moment = "\0".join(hit.get(name) for name in ("id", "ev", "ts", "it", "ec", "fbp"))
    return MARK + hashlib.blake2b(moment.encode(), digest_size=16).hexdigest()


def stamp(request: HitRequest, event_id: str) -> HitRequest:
    """The request with `eid=<event_id>`: blank ids are filled; where there is no id at all, one is added."""
    kind = body_type(request)
    if kind == MULTIPART:
        return replace(request, body=_stamp_multipart(request, event_id))
    if kind == FORM:
        return replace(request, body=_stamp_form(request.body, event_id))
    return replace(request, query=_stamp_form(request.query, event_id))


def _stamp_form(raw: bytes, event_id: str) -> bytes:
    pair = b"eid=" + quote(event_id, safe="").encode()
    filled, blanks = BLANK_EID.subn(pair, raw)
    if blanks:
        return filled
    return raw + (b"&" if raw and not raw.endswith(b"&") else b"") + pair


def _stamp_multipart(request: HitRequest, event_id: str) -> bytes:
    boundary = multipart.boundary_of(request.header("content-type"))
    blanks = [f.start for f in multipart.fields(request.body, boundary) if f.name == "eid" and not f.value]
    if not blanks:
        return multipart.insert(request.body, boundary, "eid", event_id)
    body = request.body
    for at in reversed(blanks):
        body = body[:at] + event_id.encode() + body[at:]
    return body
