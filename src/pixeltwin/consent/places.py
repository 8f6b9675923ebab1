"""Where a policy applies: countries, their regions, the EU and the EEA, and visitors of whom nobody knows."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from pixeltwin.capi import tables
from pixeltwin.capi.normalize.text import bare
from pixeltwin.pixel.visit import Place
from pixeltwin.units import text_type, wrong

UNKNOWN: Final = "unknown"

MEMBERS: Final = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
OUTERMOST: Final = "AX GF GP MF MQ RE YT"  # parts of members with codes of their own (Article 355(1) and (4) TFEU)
EU: Final = frozenset(f"{MEMBERS} {OUTERMOST}".split())
GROUPS: Final[Mapping[str, frozenset[str]]] = {"EU": EU, "EEA": EU | {"IS", "LI", "NO"}}

REGION: Final = re.compile(r"[A-Z0-9]{1,3}")  # ISO 3166-2, behind the country
WRITTEN: Final = r"[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?|[Ee]{2}[Aa]|[Uu][Nn][Kk][Nn][Oo][Ww][Nn]"
REGIONS_KNOWN: Final = frozenset({"US", "CA"})  # of these our table of states is complete
OTHER_WORDS: Final = {"europe": "EEA", "uk": "GB"}
REMEDY: Final = "write codes such as DE or US-CA, EU, EEA or unknown; leave `where` out for everywhere"


def parse_place(written: Any) -> str:
    """A code or group that there is, in capitals, or `unknown`."""
    code = written.upper() if isinstance(written, str) and len(written) < 100 else ""
    if code == UNKNOWN.upper():
        return UNKNOWN
    if code in GROUPS or _is_place(code):
        return code
    meant = _meant(bare(code))
    raise wrong(f"did you mean '{meant}'?" if meant else REMEDY)


def codes(places: Iterable[str]) -> frozenset[str]:
    """Everything that `codes_of` a visitor's place may say for one of the `places` to be meant."""
    written = frozenset(places)
    countries = frozenset[str]().union(*(GROUPS.get(place, {place}) for place in written))
    unclear = {f"{place.partition('-')[0]}-" for place in written if "-" in place and UNKNOWN in written}
    return countries | unclear


def codes_of(place: Place) -> tuple[str, str]:
    """The visitor's country and region. What is no country is unknown; `US-` is somewhere in the US."""
    country = place.country.upper()
    return (country, f"{country}-{place.region.upper()}") if is_country(country) else (UNKNOWN, UNKNOWN)


def is_country(code: str) -> bool:
    """Whether ISO 3166-1 has the code, in capitals."""
    return code.lower() in tables.country_codes() and code.isupper()


def _is_place(code: str) -> bool:
    country, separator, region = code.partition("-")
    if not separator or not is_country(country):
        return is_country(code)
    if country in REGIONS_KNOWN:
        return (country.lower(), region.lower()) in tables.states().values()
    return bool(REGION.fullmatch(region))


def _meant(name: str) -> str:
    """The code of what goes by this name, as `bare` leaves it: of a country, of a state, or of both run together."""
    if code := OTHER_WORDS.get(name) or tables.countries().get(name, "").upper():
        return code
    country, region = tables.states().get(name, ("", ""))
    both = f"{country or name[:2]}-{region or name[2:]}".upper()
    return both if _is_place(both) else ""


PlaceCode = Annotated[str, BeforeValidator(parse_place, text_type(WRITTEN))]
