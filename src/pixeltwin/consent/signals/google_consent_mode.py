"""The state of Google's consent mode, where the site keeps it in a cookie of its own.

It is read as a JSON object, as pairs (`ad_storage:granted,ad_user_data:denied`) or as Google's `gcs` parameter: `G1`
and a digit each for ad_storage and analytics_storage. https://developers.google.com/tag-platform/security/concepts/consent-mode
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

import orjson
from pydantic import AfterValidator

from pixeltwin.consent.signal import CookieName, Example, SignalSettings, at_least_one, cookie
from pixeltwin.consent.verdict import Answer
from pixeltwin.pixel.visit import Visit

GCS: Final = re.compile(r"G1([01-])([01-])")
DIGITS: Final = {"1": "granted", "0": "denied"}

Type = Literal["ad_storage", "ad_user_data", "ad_personalization", "analytics_storage"]


class Settings(SignalSettings):
    """`google_consent_mode` is the cookie's name; each of the `types` has to be granted."""

    kind: Literal["google_consent_mode"]
    google_consent_mode: CookieName
    types: Annotated[tuple[Type, ...], AfterValidator(at_least_one)] = ("ad_storage", "ad_user_data")

    def read(self, visit: Visit) -> Answer:
        state = _state(unquote(cookie(visit, self.google_consent_mode)).strip())
        said = [state.get(name) for name in self.types]
        if "denied" in said:
            return Answer.DENIED
        return Answer.GRANTED if all(word == "granted" for word in said) else Answer.UNKNOWN


def _state(text: str) -> Mapping[str, Any]:
    """What is said of each type, as far as it can be read."""
    if found := GCS.fullmatch(text):
        return {"ad_storage": DIGITS.get(found[1]), "analytics_storage": DIGITS.get(found[2])}
    if text.startswith("{"):
        return _object(text)
    pairs = (pair.partition(":") for pair in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _object(text: str) -> dict[str, Any]:
    try:
        loaded = orjson.loads(text)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


EXAMPLES: Final = (
    Example(
        written={"google_consent_mode": "consent_mode"},
        headers={"cookie": "consent_mode={%22ad_storage%22:%22granted%22%2C%22ad_user_data%22:%22granted%22}"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"google_consent_mode": "consent_mode"},
        headers={"cookie": "consent_mode=ad_storage:granted,ad_user_data:denied"},
        answer=Answer.DENIED,
    ),
    Example(
        written={"google_consent_mode": "gcs", "types": ["ad_storage"]},
        headers={"cookie": "gcs=G110"},
        answer=Answer.GRANTED,
    ),
    Example(
        written={"google_consent_mode": "gcs"},  # which says nothing of ad_user_data
        headers={"cookie": "gcs=G111"},
        answer=Answer.UNKNOWN,
    ),
    Example(
        written={"google_consent_mode": "gcs"},
        headers={"cookie": "gcs=G100"},
        answer=Answer.DENIED,
    ),
)
