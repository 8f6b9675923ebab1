"""What the two JSON bodies share: how they are read, and how their values become texts, hashes and custom data."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from pixeltwin.capi.event import CustomData
from pixeltwin.capi.hashes import as_hash
from pixeltwin.mapping.custom_data import PARAMETERS, is_shallow
from pixeltwin.pixel.hit import Limits
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

JSON_TYPES: Final = frozenset({"", "text/plain", "application/json"})  # browsers call it text to avoid a preflight
MAX_DEPTH: Final = 32  # of lists and objects; real bodies have about 6, and orjson writes no more than 254
MAX_VALUES: Final = 20  # of one key of customer data; each costs a normalisation
MAX_TEXT: Final = 8 * 1024  # characters of one value (THREATS T10)
BLANK: Final[tuple[Any, ...]] = (None, "", [], {})

# an escape: a pair of surrogates, one without its other half, or anything else
ESCAPE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

type HashValues = Callable[[str, str], tuple[str, ...]]
"""Meta's key and a value as it was given, hashed already or not: the SHA-256 values to send, the canonical first."""


def too_heavy(request: HitRequest, limits: Limits) -> Skip | None:
    """Why a request's body must not even be looked at."""
    if len(request.body) > limits.body:
        return Skip(Reason.BODY_TOO_LARGE)
    if request.header("content-encoding"):  # nobody's client compresses; a small bomb would become 300 MB
        return Skip(Reason.ENCODED_BODY)
    return None


def read(text: bytes | str) -> Any:
    """The JSON value; None when there is none, or one that is nested too deep."""
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _repaired(raw)
    return value if is_shallow(value, MAX_DEPTH) else None


def read_object(text: bytes | str) -> dict[str, Any] | Skip:
    value = read(text)
    return value if isinstance(value, dict) else Skip(Reason.BROKEN_JSON)


def written(value: Any) -> str | None:
    """The value as the pixel writes it in a hit: null is left out, what is no text becomes JSON (PROTOCOL 3.4)."""
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def scalars(value: Any) -> Iterator[str | int]:
    """The texts and whole numbers of one value or of a list; blank ones are none."""
    values = value[:MAX_VALUES] if isinstance(value, list) else [value]
    for item in values:
        if isinstance(item, str | int) and not isinstance(item, bool) and 0 < len(str(item).strip()) <= MAX_TEXT:
            yield item


def hashes(given: Any, keys: Iterable[str], hash_values: HashValues) -> dict[str, tuple[str, ...]]:
    """The SHA-256 values of an object's `keys`, in the order given. What is refused or no hash is left out."""
    given = given if isinstance(given, dict) else {}
    found = {key: _hashes_of(key, given.get(key), hash_values) for key in keys}
    return {key: values for key, values in found.items() if values}


def custom_data(given: Mapping[str, Any]) -> CustomData | None:
    """Custom data of a JSON object: read as that of a hit where Meta has a type, the rest kept as it is."""
    found = {key: _property(key, value) for key, value in given.items()}
    found = {key: value for key, value in found.items() if key and value not in BLANK}
    return CustomData.model_validate(found) if found else None


def _property(key: str, value: Any) -> Any:
    read = PARAMETERS.get(key)
    return read((written(value) or "").strip()) if read else value


def _hashes_of(key: str, value: Any, hash_values: HashValues) -> tuple[str, ...]:
    found = (as_hash(hashed) for item in scalars(value) for hashed in hash_values(key, str(item)))
    return tuple(dict.fromkeys(filter(None, found)))


def _repaired(raw: bytes) -> Any:
    """Half an emoji at the end of a cut text is a lone surrogate, which JavaScript writes and JSON forbids."""
    try:
        return orjson.loads(ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], raw))
    except orjson.JSONDecodeError:
        return None
