"""What a browser is answered on the hit paths (PROTOCOL 3.11). It never tells whether a pixel or a rule exists."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.pixel.hit import PixelHit

GIF: Final = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # 1×1, transparent


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes = b""
    cookies: tuple[SetCookie, ...] = ()
    headers: Mapping[str, str] = field(default_factory=lambda: {"Cache-Control": "no-store"})


EMPTY: Final = Answer(200, "text/plain")
IMAGE: Final = Answer(200, "image/gif", GIF)
NOT_FOUND: Final = Answer(404, "text/plain")
MISDIRECTED: Final = Answer(421, "text/plain")
BAD_REQUEST: Final = Answer(400, "text/plain")
BUSY: Final = Answer(503, "text/plain", headers={"Cache-Control": "no-store", "Retry-After": "5"})


def answer_hit(hit: PixelHit | None, cookies: tuple[SetCookie, ...] = ()) -> Answer:
    """An image for an image tag, else nothing, politely."""
    answer = IMAGE if hit and hit.get("noscript") else EMPTY
    return replace(answer, cookies=cookies) if cookies else answer
