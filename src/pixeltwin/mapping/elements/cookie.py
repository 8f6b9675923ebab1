"""A cookie as the browser sent it. Anyone can set one: it names no customer."""

from typing import Final, Literal

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Settings(ElementSettings):
    """`cookie` is the cookie's name."""

    kind: Literal["cookie"]
    cookie: str

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return request.cookies.get(self.cookie)


EXAMPLES: Final = (
    Example(
        written={"cookie": "plan", "transforms": ["url_decode", {"map": {"gold": "vip"}, "default": "regular"}]},
        headers={"cookie": "a=b; plan=gold"},
        gives="vip",
    ),
)
