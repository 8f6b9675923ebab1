"""Cities, states, postcodes and countries."""

import re
from collections.abc import Iterable
from typing import Final

from pixeltwin.capi import tables
from pixeltwin.capi.hashes import SPACE
from pixeltwin.capi.normalize.rule import Rule, Step, Values
from pixeltwin.capi.normalize.text import bare, only_a_to_z, only_a_to_z_0_to_9, without_spaces

CODE: Final = 2  # letters of a state or a country
# codes with a hyphen inside, such as 01310-100, 100-0001 and 00-950; the ZIP+4 of the US is none of them
HYPHENATED: Final = re.compile(r"(?![0-9]{5}-[0-9]{4}$)([0-9]{2,5})-([0-9]{2,4})")
# D-10115, CH-8001: the country before the code, as on envelopes
PREFIXED: Final = re.compile(
    r"(?:a|at|b|be|ch|cz|d|de|dk|e|es|f|fi|fin|fl|fr|gr|h|hr|hu|i|is|it|l|lt|lu|lv|n|nl|no|p|pl|pt|ro|rs|s|se|si|sk)"
    r" ?- ?([0-9]{3,6}|[0-9]{3} [0-9]{2}|[0-9]{4} ?[a-z]{2})"
)
NORTH_AMERICA: Final = frozenset({"us", "ca"})


def not_a_number(text: str) -> str:
    return "" if text[:1].isdigit() else text


def cities(text: str, canonical: str, country: str | None) -> Values:
    """The pixel drops what is not a to z: `sopaulo`, and nothing of 東京. Meta documents letters as they are."""
    if text.isascii():
        return (canonical,)
    letters = bare(text)
    return (canonical, letters) if letters[:1].isalpha() else (canonical,)


def state_code(letters: str) -> str:
    """The first two letters, unless a state of the US or a province of Canada is named."""
    return tables.pixel_states().code(letters)


def states(text: str, canonical: str, country: str | None) -> Values:
    """Outside North America Meta documents the name, not two letters of it; its code follows where we know it."""
    name, known = bare(text), tables.pixel_states()
    land, code = tables.states().get(name, ("", ""))
    if not code and name in known.codes:
        return canonical, name
    if land in NORTH_AMERICA or len(name) == len(canonical):
        return canonical, code
    if land:
        return canonical, code or name, name
    # the pixel finds Virginia in West Virginia, USA
    if canonical in known.codes and (inside := known.longest_inside(only_a_to_z(name))):
        return canonical, "", inside
    return (canonical,) if name.isdigit() else (canonical, "", name)


def before_hyphen(text: str) -> str:
    return text.partition("-")[0].strip(SPACE)


def two_characters(text: str) -> str:
    """As JavaScript counts, where a character beyond U+FFFF is two."""
    return text if len(text) > 1 or text > "\uffff" else ""


def postcodes(text: str, canonical: str, country: str | None) -> Values:
    """The pixel keeps inner spaces and drops what follows a hyphen; Meta documents neither spaces nor hyphens."""
    if canonical.isalnum() and len(canonical) == len(text):
        return (canonical,)
    whole = text.lower()
    if found := PREFIXED.fullmatch(whole):
        return canonical, without_spaces(found[1])
    if found := HYPHENATED.fullmatch(whole):
        return canonical, found[1] + found[2]
    return canonical, without_spaces(canonical)


def country_code(letters: str) -> str:
    """The first two letters, unless a country is named in English."""
    return tables.pixel_countries().code(letters)


def countries(text: str, canonical: str, country: str | None) -> Values:
    """The pixel takes the first two letters of a name that is not English: `st` of Österreich."""
    if canonical in tables.country_codes() and len(text) == CODE:
        return canonical, canonical
    return canonical, tables.countries().get(bare(text), "")


def unknown_country(text: str, values: Values, country: str | None) -> Iterable[str]:
    if not values[0] or (values[0] in tables.country_codes() and len(text) == CODE):
        return
    name = bare(text)
    if name not in tables.countries() and not tables.pixel_countries().longest_inside(name):
        yield "no country that we know by this name; sent as the pixel sends it"


TO_A_TO_Z: Final = (Step("lower-case", str.lower), Step("only a to z kept", only_a_to_z))
CITY: Final = Rule(
    (
        Step("only A to Z and digits kept", only_a_to_z_0_to_9),
        Step("lower-case", str.lower),
        Step("has to begin with a letter", not_a_number),
    ),
    cities,
    further="with the letters of every script, as Meta documents it",
)
STATE: Final = Rule(
    (*TO_A_TO_Z, Step("a state's or province's code, else two letters", state_code)),
    states,
    further="its code by our own table, or its name as Meta documents it",
    by_table=True,
)
POSTCODE: Final = Rule(
    (
        Step("lower-case", str.lower),
        Step("what stands before the first hyphen, trimmed", before_hyphen),
        Step("has to have two characters", two_characters),
    ),
    postcodes,
    further="without space or hyphen, as Meta documents it",
)
COUNTRY: Final = Rule(
    (*TO_A_TO_Z, Step("the country's code, else two letters", country_code)),
    countries,
    further="by our own table of names",
    doubts=unknown_country,
    by_table=True,
)
