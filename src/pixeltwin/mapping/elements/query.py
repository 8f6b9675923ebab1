"""A parameter of the hit: `ev`, `dl`, `cd[order_id]` …"""

from typing import Final, Literal

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Settings(ElementSettings):
    """`query` is the parameter's name; of repeated ones the last counts, wherever in the request it stands."""

    kind: Literal["query"]
    query: str

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return hit.get(self.query)


EXAMPLES: Final = (
    Example(written={"query": "sw"}, hit={"sw": "1920"}, gives="1920"),
    Example(written={"query": "sw", "default": 0}, hit={"sw": ""}, gives="0", else_gives="0"),
)
