"""`cd[…]` of a hit as `custom_data` of a server event (PROTOCOL 1.6, 3.4, 5). Nothing is invented.

What is read here is as `CustomData` would have it, and not validated once more.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

MAX_DEPTH: Final = 8  # of JSON in a property (THREATS T10)
MAX_WHOLE: Final = 2**53  # beyond it a JSON number is no longer exact


def custom_data(given: Mapping[str, str]) -> dict[str, Any]:
    """The custom data of `cd[key]` values, as Meta gets it. Blank values are left out."""
    return {
        key: value
        for key, text in given.items()
        # unlike whatever else is empty, 0 says something
        if ((value := PARAMETERS.get(key, _property)(text.strip())) or value == 0) and key
    }


def number(text: str) -> float | None:
    """A finite number. Comma decimals are not guessed at: `1,500` means two things."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan  # Python's float also takes 1_000
    except ValueError:
        return None
    return value + 0.0 if math.isfinite(value) else None  # + 0.0 turns -0.0 into 0.0


def whole_number(text: str) -> int | None:
    value = number(text)
    return int(value) if value is not None and value.is_integer() and abs(value) <= MAX_WHOLE else None


def currency(text: str) -> str | None:
    """Three letters, upper-case (ISO 4217)."""
    return text.upper() if len(text) == 3 and text.isascii() and text.isalpha() else None


def content_ids(text: str) -> list[str]:
    """Ids from a JSON list of texts or numbers, one JSON value, or the comma list of hand-made tags."""
    given = _json(text)
    if given is None:
        given = text.split(",")
    ids = given if isinstance(given, list) else [given]
    return [name for name in map(_id, ids) if name]


def contents(text: str) -> list[dict[str, Any]]:
    """The products that have an id and a quantity, which Meta requires; [] when the text is no JSON list."""
    given = _json(text)
    items = [_typed(item) for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    return [item for item in items if item["id"] and "quantity" in item]


def _typed(item: Mapping[str, Any]) -> dict[str, Any]:
    typed = {
        "id": _id(item.get("id")),
        "quantity": whole_number(str(item.get("quantity"))),
        "item_price": number(str(item.get("item_price"))),
    }
    return {key: value for key, value in {**item, **typed}.items() if value is not None}


def _id(value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _property(text: str) -> Any:
    """A property of the advertiser's own: objects and lists travel as JSON text (PROTOCOL 3.4)."""
    parsed = _json(text) if text.startswith(("{", "[")) else None
    return text if parsed is None else parsed


def _json(text: str) -> Any:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    is_plain = text.count("[") + text.count("{") <= MAX_DEPTH  # what opens no more is nested no deeper
    return value if is_plain or is_shallow(value, MAX_DEPTH) else None


def is_shallow(value: Any, depth: int) -> bool:
    """Whether lists and objects are nested no deeper than `depth`."""
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or (depth > 0 and all(is_shallow(item, depth - 1) for item in value))


PARAMETERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "value": number,
    "predicted_ltv": number,
    "net_revenue": number,
    "num_items": whole_number,
    "currency": currency,
    "content_ids": content_ids,
    "contents": contents,
}
