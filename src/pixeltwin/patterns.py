"""Regular expressions of the config. RE2 runs them in linear time, so that no text can hold up the gateway."""

from functools import lru_cache
from typing import Any

import re2  # type: ignore[import-untyped]


@lru_cache
def compiled(pattern: str) -> Any:
    """The pattern, ready to be run. Raises `ValueError` for none that RE2 takes."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeEncodeError):
        raise ValueError("write a regular expression of RE2 (without look-around and back references)") from None
