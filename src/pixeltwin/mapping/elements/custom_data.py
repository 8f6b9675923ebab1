"""A property of the event: what the page gave to `fbq('track', …, {…})`, as the pixel wrote it."""

from typing import Final, Literal

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Settings(ElementSettings):
    """`custom_data` is the property's name."""

    kind: Literal["custom_data"]
    custom_data: str

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return hit.get(f"cd[{self.custom_data}]")


EXAMPLES: Final = (
    Example(
        written={"custom_data": "order_id", "pattern": "ord-([0-9]+)"}, hit={"cd[order_id]": "ord-10492"}, gives="10492"
    ),
    Example(
        written={"custom_data": "cents", "transforms": [{"minor_units": "EUR"}]},
        hit={"cd[cents]": "1250"},
        gives="12.50",
    ),
)
