"""A parameter in the address of the page (`dl`), such as `utm_source`."""

from typing import Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

MAX_PARAMETERS: Final = 512


class Settings(ElementSettings):
    """`page_query` is the parameter's name; of repeated ones the first counts, as in a browser."""

    kind: Literal["page_query"]
    page_query: str

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        try:
            query = urlsplit(hit.get("dl")).query
            parameters = parse_qsl(query, max_num_fields=MAX_PARAMETERS)
        except ValueError:
            return None
        return next((value for name, value in parameters if name == self.page_query), None)


EXAMPLES: Final = (
    Example(
        written={"page_query": "utm_source", "transforms": ["lower"], "default": "direct"},
        hit={"dl": "https://www.shop.example/p/1?utm_source=News%20letter&utm_source=b"},
        gives="news letter",
        else_gives="direct",
    ),
)
