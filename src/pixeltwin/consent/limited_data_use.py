"""Limited data use, by which Meta keeps to the privacy laws of states of the US (PROTOCOL 1.7).

https://developers.facebook.com/docs/meta-pixel/implementation/data-processing-options
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pixeltwin.capi import tables
from pixeltwin.capi.normalize.text import bare
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.visit import Place

type Limits = tuple[int, int]  # data_processing_options_country, data_processing_options_state

US: Final = 1
STATES: Final[Mapping[str, int]] = {
    "CA": 1000,
    "CO": 1001,
    "CT": 1002,
    "FL": 1003,
    "OR": 1004,
    "TX": 1005,
    "MT": 1006,
    "DE": 1007,
    "NE": 1008,
    "NH": 1009,
    "NJ": 1010,
    "MN": 1011,
    "MD": 1012,
    "RI": 1013,
}
GEOLOCATE: Final[Limits] = (0, 0)  # Meta finds out where the visitor is

COUNTRIES: Final[Mapping[str, int]] = {"US": US, "USA": US, "1": US, "0": 0}
CODES: Final[Mapping[str, int]] = {**STATES, **{str(code): code for code in STATES.values()}, "0": 0}
NUMBER: Final = re.compile(r"[0-9]{1,6}")
LONGEST: Final = 100  # characters of a name or number


def limits_of(place: Place) -> Limits:
    """Meta's numbers for where the visitor is. Of any other place than those states Meta makes up its own mind."""
    state = STATES.get(place.region.upper()) if place.country.upper() == "US" else None
    return GEOLOCATE if state is None else (US, state)


def limits_of_page(hit: PixelHit) -> Limits | None:
    """The numbers with which the page itself limited the hit (PROTOCOL 3.5); None where it did not."""
    if not hit.get("dpo").strip(","):
        return None
    country, state = hit.get("dpoco"), hit.get("dpost")
    numbers = NUMBER.fullmatch(country) and NUMBER.fullmatch(state)
    return (int(country), int(state)) if numbers else GEOLOCATE


def country_code(written: Any) -> int | None:
    """Meta's number of a country that is written `US` or `1`, 0 for `0`; None for any other."""
    return COUNTRIES.get(_word(written))


def state_code(written: Any) -> int | None:
    """Meta's number of a state that is written `CA`, `US-CA`, `California` or `1000`, 0 for `0`; None for any other."""
    word = _word(written).removeprefix("US-")
    country, letters = tables.states().get(bare(word), ("", ""))
    return CODES.get(letters.upper() if country == "us" else word)


def together(country: int, state: int) -> Limits:
    """What Meta gets for a country and a state. Without a state it looks for itself; states are of the US."""
    return (country or US, state) if state else GEOLOCATE


REMEDIES: Final[Mapping[Callable[[Any], int | None], str]] = {
    country_code: "write US: Meta limits data use by country in the United States alone; 0 lets it geolocate",
    state_code: f"write one of {', '.join(STATES)}, or its number of Meta's; 0 lets Meta geolocate",
}


def _word(written: Any) -> str:
    is_plain = isinstance(written, str | int) and not isinstance(written, bool)
    return str(written).strip().upper()[:LONGEST] if is_plain else ""
