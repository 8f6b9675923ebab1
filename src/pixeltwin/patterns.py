"""Regular expressions that run in linear time, so that no text can hold up the gateway.

Those of the config are RE2's. Those of our own that are asked about every hit are Rust's, which comes with pydantic and
takes a tenth of the instructions of `re`.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]
from pydantic_core import SchemaValidator, core_schema


@lru_cache
def compiled(pattern: str) -> Any:
    """The pattern, ready to be run. Raises `ValueError` for none that RE2 takes."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError("write a regular expression of RE2 (without look-around and back references)") from None


@cache
def finder(pattern: str) -> Callable[[str], bool]:
    """Tells whether something in a text matches a pattern of our own. Rust knows no look-around."""
    finds = SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python
    return lambda text: finds(text if text.isascii() else encodable(text))


def encodable(text: str) -> str:
    """The text with a question mark for each character that is none, such as half of a pair."""
    return text.encode("utf-8", "replace").decode()
