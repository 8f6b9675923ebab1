"""Phone numbers. The pixel sends their digits as they are typed; Meta wants the country code in front.

`phonenumbers` is loaded when the first number needs it: it takes a tenth of a second, and 30 to 70 µs a number. Numbers
that are plainly of the default country's are read here, by that library's own patterns.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pixeltwin.capi.normalize.rule import Rule, Step, Values

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

INTERNATIONAL: Final = re.compile(r"[^0-9+]*(?:\+|00)")
PLAIN: Final = re.compile(r"[0-9 ()./-]{5,30}")  # digits as people group them: no letters, no extension
LONGEST: Final = 40  # characters of a number, its extension included
SHORTEST: Final = 8  # digits of a number that no list confirms; fewer may be a part of one
# A country code and the zero after it that is dialled at home only: +49 (0)170, +49 0170
TRUNK_ZERO: Final = re.compile(r"(?>[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[0-9]{3})0")
KINDS: Final = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A country's numbering plan: its code, what is dialled before a number at home, and its numbers."""

    code: str
    trunk: str
    number: re.Pattern[str]

    def holds(self, national: str) -> bool:
        return bool(self.number.fullmatch(national))


def is_country(code: str) -> bool:
    """Whether phones of the country with this ISO code (in capitals) can be completed."""
    return _plan(code) is not None


class Digits(dict[int, str | None]):
    """A table for `str.translate` that keeps ASCII's digits alone."""

    def __missing__(self, code: int) -> None:
        return None


DIGITS: Final = Digits({code: chr(code) if chr(code).isdigit() else None for code in range(128)})


def digits(text: str) -> str:
    return text.translate(DIGITS)


def without_zeros(text: str) -> str:
    return text.lstrip("0")


def numbers(text: str, canonical: str, country: str | None) -> Values:
    """With a default country the whole number is the canonical one, and the pixel's form follows it."""
    if not canonical or len(text) > LONGEST:
        return (canonical,)
    if prefix := INTERNATIONAL.match(text):
        return canonical, _repaired(text[prefix.end() :], canonical)
    whole = _of_country(text, country) if country else ""
    return (whole, canonical) if whole else (canonical,)


def incomplete(text: str, values: Values, country: str | None) -> Iterable[str]:
    if not values[0] or INTERNATIONAL.match(text):
        return
    if not country:
        yield "perhaps without a country code, and no default country to take it from; sent as the pixel sends it"
    elif not _of_country(text, country):
        yield f"no number of {country}; sent as the pixel sends it"


def _repaired(text: str, canonical: str) -> str:
    """An international number without its (0) or extension; "" for one that needs no repair."""
    sound = PLAIN.fullmatch(text) and "(0)" not in text and not TRUNK_ZERO.match(canonical)
    return "" if sound else _parsed(f"+{text}", None)


def _of_country(text: str, country: str) -> str:
    """A national number with its country code, or "" where it is none of that country's."""
    if not (plan := _plan(country)):
        return ""
    given = digits(text)
    if given.startswith(plan.code) and plan.holds(given.removeprefix(plan.code)):
        return given
    national = given.removeprefix(plan.trunk)
    if PLAIN.fullmatch(text) and plan.holds(national):
        return plan.code + national
    return _parsed(text, country)


@functools.cache
def _plan(country: str) -> Plan | None:
    from phonenumbers import PhoneMetadata

    if not (data := PhoneMetadata.metadata_for_region(country)):
        return None
    patterns = (kind.national_number_pattern for name in KINDS if (kind := getattr(data, name)))
    numbers = "|".join(f"(?:{pattern})" for pattern in patterns if pattern)
    return Plan(str(data.country_code), data.national_prefix or "", re.compile(numbers, re.ASCII))


def _parsed(text: str, country: str | None) -> str:
    """What `phonenumbers` reads: digits of E.164, or "" for no number."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(number) and not _looks_right(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


def _looks_right(number: "PhoneNumber") -> bool:
    """Whether it has the shape of its country's numbers, in use or not: 555 123 4567 and 07700 900123 have."""
    import phonenumbers

    national = phonenumbers.national_significant_number(number)
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    data = phonenumbers.PhoneMetadata.metadata_for_region(region)
    shape = data.general_desc.national_number_pattern if data and data.general_desc else None
    return len(national) >= SHORTEST and shape is not None and bool(re.fullmatch(shape, national))


PHONE: Final = Rule(
    (Step("digits only", digits), Step("leading zeros dropped", without_zeros)),
    numbers,
    further="as the pixel sends it, or without its trunk zero and extension",
    doubts=incomplete,
)
