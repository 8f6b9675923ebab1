"""From a customer's row to a profile: the one place where plaintext from a source becomes hashes."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pixeltwin.capi.normalize import hashes, is_country, normalise
from pixeltwin.enrich.plain import is_absent, plain_ids, plain_values
from pixeltwin.enrich.source import Columns, Profile, Row

type Hasher = Callable[[str, str, str | None], tuple[str, ...]]  # as `hashes` of capi.normalize

TEXTUAL: Final = (str, int, Decimal, date)  # what a database or JSON may hold for a name, a number, a birthday
EVERY_KEY: Final = Columns()  # of Meta's, under its own name
MAX_VALUES: Final = 10  # of one key: several e-mail addresses are plausible, hundreds are a mistake


def profile_of(
    row: Row, columns: Columns = EVERY_KEY, default_country: str | None = None, hashes: Hasher = hashes
) -> Profile:
    """What is known of a row's customer: hashes by Meta's key, and what may stay readable.

    The row's own country goes before the default one where a phone number lacks its country code.
    """
    user_data, unusable = _user_data(row, columns.user_data, default_country, hashes)
    plain = plain_values(_values(row, columns.custom_data), _values(row, columns.facts))
    ids, no_ids = plain_ids(_values(row, columns.ids)) if columns.ids else ({}, [])
    return Profile(user_data, plain.custom_data, plain.facts, (*unusable, *no_ids, *plain.left_out), ids)


def value_at(row: Row, path: str) -> Any:
    """The value in that column, or down a dotted path (`billing.email`, `emails.0`); None where there is none."""
    if path in row:
        return row[path]
    if "." not in path:
        return None
    node: Any = row
    for step in path.split("."):
        node = _child(node, step)
    return node


def texts_of(value: Any) -> tuple[str, ...]:
    """The value as texts, those of a list one by one. What is neither text nor number nor date is none."""
    if isinstance(value, str):
        return (value,) if value else ()
    items = value[:MAX_VALUES] if isinstance(value, list | tuple) else (value,)
    texts = (str(item) for item in items if isinstance(item, TEXTUAL) and not isinstance(item, bool))
    return tuple(text for text in texts if text)


def _user_data(
    row: Row, columns: Mapping[str, str], default_country: str | None, hashes: Hasher
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The hashes by Meta's key, and the names of what the row has and could not be hashed."""
    given = {name: value for name, path in columns.items() if (value := value_at(row, path)) is not None}
    country = (_country(given["country"]) if "country" in given else None) or default_country
    user_data, unusable = {}, []
    for name, value in given.items():
        if found := hashes(name, value, country) if type(value) is str else _all_hashes(name, value, country, hashes):
            user_data[name] = found
        elif not is_absent(value):
            unusable.append(f"user_data.{name}")
    return user_data, unusable


def _all_hashes(name: str, value: Any, country: str | None, hashes: Hasher) -> tuple[str, ...]:
    return tuple(dict.fromkeys(made for text in texts_of(value) for made in hashes(name, text, country)))


def _values(row: Row, columns: Mapping[str, str]) -> dict[str, Any]:
    return {name: value_at(row, path) for name, path in columns.items()}


def _child(node: Any, step: str) -> Any:
    if isinstance(node, Mapping):
        return node.get(step)
    is_item = isinstance(node, list) and step.isdecimal() and int(step) < len(node)
    return node[int(step)] if is_item else None


def _country(value: Any) -> str | None:
    try:
        return _code(next(iter(texts_of(value)), ""))
    except LookupError:
        return None


@lru_cache(300)
def _code(text: str) -> str:
    """The code of a country in plain text. For anything else it raises, as that is not remembered: it may be a name."""
    read = normalise("country", text)
    for code in (*read.also, read.canonical or ""):  # the pixel's own is the first two letters of a foreign name
        if is_country(code) and not read.warnings:
            return code
    raise LookupError
