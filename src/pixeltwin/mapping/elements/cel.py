"""What an expression gives, as text: `event.custom_data.contents.map(c, c.item_price * double(c.quantity)).sum()`.

It sees the hit's parameters (`hit`), the event as the page gave it (`event.event_name`, `event.custom_data`), the
`page` and the request (`http`).
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from pixeltwin.expressions import Expression, MissingError, Scope, by_name, expression_type
from pixeltwin.mapping.custom_data import custom_data
from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.views import http_of, page_of
from pixeltwin.variables import CUSTOM_DATA, SHAPES, TEXT, Fields

type View = Callable[[HitRequest, PixelHit], Any]


def _event(hit: PixelHit) -> dict[str, Any]:
    return {
        "event_name": hit.event_name,
        "event_id": hit.event_id,
        "custom_data": custom_data(hit.group("cd")),
    }


VIEWS: Final[Mapping[str, View]] = {
    "event": lambda request, hit: _event(hit),
    "hit": lambda request, hit: dict(hit.last),
    "http": lambda request, hit: http_of(request, request.peer),  # the visitor's, by the contract of elements
    "page": lambda request, hit: page_of(hit.get("dl")),
}

EVENT: Final = Fields({"event_name": TEXT, "event_id": TEXT, "custom_data": CUSTOM_DATA})  # what `_event` gives


class Settings(ElementSettings):
    """`cel` is the expression. There is no value where it asks for what is missing, or fails, which is counted."""

    kind: Literal["cel"]
    cel: Annotated[Expression, *expression_type(VIEWS, shapes={**SHAPES, "event": EVENT})]

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        scope = Scope(lambda name: VIEWS[name](request, hit), by_name(self.cel.paths))
        try:
            return _text(self.cel.evaluate(scope))
        except MissingError:
            return None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


EXAMPLES: Final = (
    Example(
        written={"cel": "event.custom_data.contents.map(c, c.item_price * c.quantity).sum()"},
        hit={"cd[contents]": '[{"id":"a","quantity":2,"item_price":1.5},{"id":"b","quantity":1,"item_price":4}]'},
        gives="7",
    ),
    Example(
        written={"cel": 'page.path.startsWith("/en/") ? "en" : "de"'},
        hit={"dl": "https://www.shop.example/en/p/1"},
        gives="en",
        else_gives="de",
    ),
)
