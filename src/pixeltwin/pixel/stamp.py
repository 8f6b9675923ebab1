"""One event id on both copies of an event (PROTOCOL 1.10, 3.7, 4.4).

The page's own id is used. Where it gave none, one is minted and written into the browser's copy, so that the copy
Meta gets from the browser and the twin carry the same. Every other byte of the browser's copy stays as it was.
"""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Final

from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import add, rewrite_each

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
    if b"eid" not in request.query and b"eid" not in request.body:  # nearly all, and looking at each name takes time
        return add(request, "eid", event_id)
    filled = rewrite_each(request, partial(_fill_blank, event_id))
    return add(request, "eid", event_id) if filled is request else filled


def _fill_blank(event_id: str, name: str, value: str) -> str:
    return event_id if name == "eid" and not value else value
