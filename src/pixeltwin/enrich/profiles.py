"""From a customer's row to a profile: the one place where plaintext from a source becomes hashes."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from pixeltwin.capi.normalize import hashes, is_country, normalise
from pixeltwin.enrich.source import Profile, Row

type Hasher = Callable[[str, str, str | None], tuple[str, ...]]  # as `hashes` of capi.normalize

TEXTUAL: Final = (str, int, Decimal, date)  # what a database or JSON may hold for a name, a number, a birthday
MAX_VALUES: Final = 10  # of one key: several e-mail addresses are plausible, hundreds are a mistake


def profile_of(
    row: Row, columns: Mapping[str, str], default_country: str | None = None, hashes: Hasher = hashes
) -> Profile:
    """The hashes of a row; `columns` says where each of Meta's keys is.

    The row's own country goes before the default one where a phone number lacks its country code.
    """
    values = {name: texts for name, path in columns.items() if (texts := texts_of(value_at(row, path)))}
    country = _country(values.get("country", ())) or default_country
    user_data = {}
    for name, texts in values.items():
        found = hashes(name, texts[0], country)
        if len(texts) > 1:
            found = tuple(dict.fromkeys(value for text in texts for value in hashes(name, text, country)))
        if found:
            user_data[name] = found
    return Profile(user_data)


def value_at(row: Row, path: str) -> Any:
    """The value in that column, or down a dotted path (`billing.email`, `emails.0`); None where there is none."""
    if path in row:
        return row[path]
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


def _child(node: Any, step: str) -> Any:
    if isinstance(node, Mapping):
        return node.get(step)
    is_item = isinstance(node, list) and step.isdecimal() and int(step) < len(node)
    return node[int(step)] if is_item else None


def _country(texts: tuple[str, ...]) -> str | None:
    with suppress(LookupError):
        return _code(texts[0]) if texts else None
    return None


@lru_cache(300)
def _code(text: str) -> str:
    """The code of a country in plain text. For anything else it raises, as that is not remembered: it may be a name."""
    read = normalise("country", text)
    for code in (*read.also, read.canonical or ""):  # the pixel's own is the first two letters of a foreign name
        if is_country(code) and not read.warnings:
            return code
    raise LookupError
