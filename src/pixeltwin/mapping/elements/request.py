"""What a request has by itself: the visitor's address, the browser, the host …"""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

PARTS: Final[Mapping[str, Callable[[HitRequest], str]]] = {
    "client_ip": lambda request: request.peer,  # the visitor's, by the contract of elements
    "user_agent": lambda request: request.header("user-agent"),
    "host": lambda request: request.host,
    "path": lambda request: request.path,
    "referer": lambda request: request.header("referer"),
    "method": lambda request: request.method,
}


class Settings(ElementSettings):
    """`request` is the part: of the request that carries the hit, not of the page."""

    kind: Literal["request"]
    request: Literal["client_ip", "user_agent", "host", "path", "referer", "method"]

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return PARTS[self.request](request)


EXAMPLES: Final = (
    Example(written={"request": "user_agent"}, headers={"user-agent": "Mozilla/5.0"}, gives="Mozilla/5.0"),
    Example(
        written={"request": "referer", "pattern": "https://([^/]+)/.*"},
        headers={"referer": "https://www.shop.example/p/1"},
        gives="www.shop.example",
    ),
)
