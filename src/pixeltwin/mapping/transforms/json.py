"""A value inside JSON text, by its path: `customer.ids.0`. Numbers stay as they were written."""

import json
from typing import Any, Final, Literal

from pydantic import Field

from pixeltwin.mapping.transform import Example, TransformSettings

WORDS: Final = {True: "true", False: "false"}


class Settings(TransformSettings):
    """`json` is the path: names and positions (from 0) with dots between them. Names with dots cannot be reached."""

    kind: Literal["json"]
    path: str = Field(alias="json", min_length=1, max_length=200)  # pydantic's models have a method `json`

    def apply(self, value: str) -> str | None:
        try:
            found = json.loads(value, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return None
        for step in self.path.split("."):
            found = _inside(found, step)
        return WORDS[found] if isinstance(found, bool) else found if isinstance(found, str) else None


def _inside(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    is_position = isinstance(value, list) and step.isascii() and step.isdecimal() and len(step) < 6
    return value[int(step)] if is_position and int(step) < len(value) else None


EXAMPLES: Final = (
    Example({"json": "customer.ids.0"}, '{"customer": {"ids": [1001, 1002]}}', "1001"),
    Example({"json": "total"}, '{"total": 12.50}', "12.50"),
    Example({"json": "paid"}, '{"paid": true}', "true"),
    Example({"json": "customer"}, '{"customer": {"ids": []}}', None),
    Example({"json": "total"}, "12.50", None),
)
