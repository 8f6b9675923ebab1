"""Personal data in custom data: in texts, in JSON as text, in addresses, and in the names of properties."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pixeltwin.privacy.address import clean_url, is_kept
from pixeltwin.privacy.detector import REMOVED
from pixeltwin.privacy.settings import Privacy

ADDRESS: Final = ("http://", "https://")
MAX_ITEMS: Final = 1000  # about, parameters of addresses included; longer JSON is cleaned as the text it is
KEY: Final = re.compile(r'"(?=([^"\\]{1,100}+)"\s*+:)')  # looked ahead for: no quotation mark hides the next one


def clean_text(text: str, name: str, privacy: Privacy) -> str | None:
    """The text without personal data; None where it has to go as a whole. `name` is what the text is called.

    JSON stays JSON, and an address is cleaned as one.
    """
    if _is_quiet(text, name, privacy) or is_kept(name, text):
        return text
    if _is_like_json(text) and (cleaned := _clean_json(text, name, privacy)) is not None:
        return cleaned
    return privacy.detector.clean(clean_url(text, privacy) if text.startswith(ADDRESS) else text, name)


def _is_quiet(text: str, name: str, privacy: Privacy) -> bool:
    """Whether there is plainly nothing to do."""
    if privacy.detector.suspects(text, name) or "://" in text:
        return False
    return not (_is_like_json(text) and tells_json(text, privacy))


def tells_json(text: str, privacy: Privacy) -> bool:
    """Whether the text, if it is JSON, may be personal by the names in it; of several, whether any of them may."""
    return "\\u" in text or ("{" in text and privacy.detector.is_told_by(KEY.findall(text)))


def _is_like_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))


def clean_value(value: Any, name: str, privacy: Privacy) -> Iterator[Any]:
    """The value, of any depth, without personal data: one value, or none where it has to go as a whole."""
    if isinstance(value, dict):
        yield clean_properties(value, privacy)
    elif isinstance(value, list):
        yield [kept for item in value for kept in clean_value(item, name, privacy)]
    elif isinstance(value, str):
        if (text := clean_text(value, name, privacy)) is not None:
            yield text
    elif isinstance(value, bool) or privacy.detector.masked(str(value), name) != REMOVED:
        yield value
    elif privacy.found == "mask":
        yield REMOVED


def clean_properties(given: Mapping[str, Any], privacy: Privacy) -> dict[str, Any]:
    """The properties of an object without personal data, of any depth. Their names may hold some as well."""
    return {
        cleaned: kept
        for name, value in given.items()
        if (cleaned := privacy.detector.clean(name)) is not None
        for kept in clean_value(value, name, privacy)
    }


def _clean_json(text: str, name: str, privacy: Privacy) -> str | None:
    """The JSON text without personal data; None when it cannot be read, or not be written again."""
    if text.count(",") + text.count("&") > MAX_ITEMS:
        return None
    try:
        given = json.loads(text)
        kept = next(clean_value(given, name, privacy))  # a list or object never goes as a whole
        if kept != given:
            return json.dumps(kept, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return privacy.detector.clean(text)  # of a property that is there twice only the last was seen
