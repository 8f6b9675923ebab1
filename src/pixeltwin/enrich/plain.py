"""What a source tells that may stay readable: single texts, numbers and booleans, in which nobody is recognised."""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from pixeltwin.capi.event import CustomData
from pixeltwin.enrich.source import Scalar

ROOM: Final = 4 << 10  # bytes of JSON a customer: a cache of 50,000 stays below 200 MiB
EXACT: Final = 2**53  # a JSON number beyond it is no longer exact, and becomes text
DATABASE_BITS: Final = 64  # of a whole number
EMAIL: Final = re.compile(r"[^\s@](?:@|%40)[^\s@]{1,255}\.[^\W\d_]{2}", re.IGNORECASE)
# with its country code, or grouped as people write it: bare digits may be anybody's order number
PHONE: Final = re.compile(r"\+[0-9][0-9 ()./-]{6,24}|\(?[0-9]{3,5}\)?[ /.-][0-9]{3}[ /.-]?[0-9]{4,8}")
LONGEST_PHONE: Final = 32  # characters
NUMBERED: Final = frozenset({"fb_login_id", "lead_id"})  # Meta's own ids
LONGEST_ID: Final = 256  # characters
LARGEST_ID: Final = 10**40  # as a number: of a Decimal of 1e999999 nobody is to print the digits

type Reader = Callable[[str, Any], Scalar | None]  # of a name and its value


class Plain(NamedTuple):
    """Custom data and facts, and the names of what was left out."""

    custom_data: Mapping[str, Scalar]
    facts: Mapping[str, Scalar]
    left_out: tuple[str, ...]


NOTHING: Final = Plain({}, {}, ())


def plain_values(custom_data: Mapping[str, Any], facts: Mapping[str, Any]) -> Plain:
    """What of these values can be kept, as long as there is room."""
    if not custom_data and not facts:
        return NOTHING
    room = _Room()
    return Plain(
        room.fill("custom_data", custom_data, _property),
        room.fill("profile", facts, lambda name, value: scalar(value)),
        tuple(room.left_out),
    )


def plain_ids(given: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Meta's ids that can be sent as they are, and the names of those that are none."""
    ids = {name: text for name, value in given.items() if (text := _id(name, value))}
    return ids, [f"user_data.{name}" for name, value in given.items() if name not in ids and not is_absent(value)]


def is_absent(value: Any) -> bool:
    """Whether a row says nothing there."""
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def scalar(value: Any) -> Scalar | None:
    """The value as JSON has it: decimals are numbers, dates ISO text. None for several values, and for people's."""
    match value:
        case bool():
            return value
        case str():
            return _text(value)
        case int():
            return _whole_number(value)
        case float() | Decimal():
            return _number(value)
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
    return None


def is_personal(text: str) -> bool:
    """Whether an e-mail address is in the text, or it looks like a phone number. Names cannot be told."""
    return bool(EMAIL.search(text) or (len(text) <= LONGEST_PHONE and PHONE.fullmatch(text)))


class _Room:
    """The bytes that one customer has."""

    def __init__(self) -> None:
        self._left = ROOM
        self.left_out: list[str] = []

    def fill(self, place: str, given: Mapping[str, Any], read: Reader) -> dict[str, Scalar]:
        """The values that can be read and fit in."""
        kept = {}
        for name, value in given.items():
            if is_absent(value):
                continue
            if (plain := read(name, value)) is None or not self._takes({name: plain}):
                self.left_out.append(f"{place}.{name}")
            else:
                kept[name] = plain
        return kept

    def _takes(self, value: Mapping[str, Scalar]) -> bool:
        try:
            size = len(orjson.dumps(value))
        except TypeError:  # half of a surrogate pair
            return False
        if size > self._left:
            return False
        self._left -= size
        return True


def _property(name: str, value: Any) -> Scalar | None:
    """The value as Meta takes it under that name."""
    plain = scalar(value)
    if plain is None or name not in CustomData.model_fields:
        return plain
    if name == "currency":
        return _currency(plain)
    if isinstance(plain, bool):  # which pydantic would take for 1
        return None
    with suppress(ValueError):  # pydantic's is one
        typed = getattr(CustomData.model_validate({name: plain}), name)
        made = scalar(typed)
        return made if isinstance(typed, str) or not isinstance(made, str) else None  # a number that is not exact
    return None


def _id(name: str, value: Any) -> str | None:
    """The id as text. Of Meta's own only digits are one, and whatever has an address in it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal | UUID):
        return None
    text = str(_whole(value) if isinstance(value, float | Decimal) else value).strip()
    is_id = text.isascii() and text.isdecimal() if name in NUMBERED else text.isprintable() and not EMAIL.search(text)
    return text if is_id and 0 < len(text) <= LONGEST_ID else None


def _whole(value: float | Decimal) -> int | str:
    """The whole number that a spreadsheet or a database has as 77.0; an empty text for any other."""
    with suppress(ArithmeticError, ValueError):  # what Decimal raises for a signalling NaN
        if -LARGEST_ID < value < LARGEST_ID and value == int(value):
            return int(value)
    return ""


def _currency(plain: Scalar) -> str | None:
    """Three letters, upper-case (ISO 4217)."""
    is_code = isinstance(plain, str) and len(plain) == 3 and plain.isascii() and plain.isalpha()
    return str(plain).upper() if is_code else None


def _text(value: str) -> str | None:
    text = value.strip() if len(value) <= ROOM else ""
    return text if text and not is_personal(text) else None


def _whole_number(value: int) -> int | str | None:
    if abs(value) <= EXACT:
        return value
    return str(value) if value.bit_length() <= DATABASE_BITS else None


def _number(value: float | Decimal) -> float | None:
    with suppress(ValueError):  # a signalling NaN
        number = float(value)
        return number if math.isfinite(number) else None
    return None
