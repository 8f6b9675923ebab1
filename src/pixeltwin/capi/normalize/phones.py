"""Phone numbers. The pixel sends their digits as they are typed; Meta wants the country code in front.

`phonenumbers` is loaded when the first number needs it: it takes a tenth of a second, and 30 to 70 µs a number. Numbers
that are plainly of the default country's are read here, by that library's own patterns.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pixeltwin.capi.normalize.rule import Rule, Step, Values

GROUPED: Final = r"[0-9 ()./-]{4,30}"  # digits as people group them: no letters, no extension
NATIONAL: Final = re.compile(rf"(?![ (]*00)[0-9 (]{GROUPED}")
INTERNATIONAL: Final = re.compile(rf"[^0-9+]*(?:\+|00)({GROUPED}\Z)?")
ALIASES: Final = {"UK": "GB", "EL": "GR"}
LONGEST: Final = 40  # characters of a number, its extension included
WHOLE: Final = 8  # digits; fewer may be a part of a number, unless a list has it
# A country code and the zero after it that is dialled at home only: +49 (0)170, +49 0170
TRUNK_ZERO: Final = re.compile(r"((?>[17]|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|[0-9]{3}))0")
KINDS: Final = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A country's numbering plan: its code, what is dialled before a number at home, its numbers and their shape."""

    code: str
    trunk: str
    numbers: re.Pattern[str]
    shape: re.Pattern[str]

    def has(self, national: str) -> bool:
        """Whether it may be somebody's. Numbers not in use count if they are whole: 555 123 4567, 07700 900123."""
        return bool((self.shape if len(national) >= WHOLE else self.numbers).fullmatch(national))


def is_country(code: str) -> bool:
    """Whether phones of the country with this ISO code can be completed."""
    return _plan(code) is not None


class Digits(dict[int, str | None]):
    """A table for `str.translate` that keeps ASCII's digits alone."""

    def __missing__(self, code: int) -> None:
        return None


DIGITS: Final = Digits({code: chr(code) if chr(code).isdigit() else None for code in range(128)})


def _iso(country: str) -> str:
    code = country.upper()
    return ALIASES.get(code, code)


def digits(text: str) -> str:
    return text.translate(DIGITS)


def without_zeros(text: str) -> str:
    return text.lstrip("0")


def numbers(text: str, canonical: str, country: str | None) -> Values:
    """With a default country the whole number is the canonical one, and the pixel's form follows it."""
    grouped = NATIONAL.fullmatch(text)
    if not canonical or len(text) > LONGEST or (grouped and not country):
        return (canonical,)
    if not grouped and (found := INTERNATIONAL.match(text)):
        repaired = _repaired(found, canonical)
        return (canonical, repaired) if repaired else (canonical,)
    whole = _of_country(text, canonical, country) if country else ""
    return (whole, canonical) if whole else (canonical,)


def incomplete(text: str, values: Values, country: str | None) -> Iterable[str]:
    if not values[0] or INTERNATIONAL.match(text):
        return
    if not country:
        yield "perhaps without a country code, and no default country to take it from; sent as the pixel sends it"
    elif not _of_country(text, values[-1], country):
        yield f"no number of {country.upper()}; sent as the pixel sends it"


def _repaired(found: re.Match[str], canonical: str) -> str:
    """An international number without its (0) or extension; "" for one that needs no repair."""
    grouped, zero = found[1], TRUNK_ZERO.match(canonical)
    if grouped and not zero:
        return ""
    if grouped and zero and (plan := _plan_of_code(zero[1])):
        national = canonical[zero.end() :]
        if plan.has(f"0{national}"):  # as in Italy, where the zero belongs to the number
            return ""
        if plan.trunk == "0" and plan.has(national):
            return plan.code + national
    return _parsed(f"+{grouped or found.string[found.end() :]}", None)


def _of_country(text: str, canonical: str, country: str) -> str:
    """A national number with its country code, or "" where it is none of that country's."""
    if not (plan := _plan(country)):
        return ""
    if text[0] == plan.trunk:
        national = canonical if plan.trunk == "0" else canonical.removeprefix(plan.trunk)
    else:
        given = canonical if text[0] in "123456789" else digits(text)
        if given.startswith(plan.code) and plan.numbers.fullmatch(given.removeprefix(plan.code)):
            return given
        national = given.removeprefix(plan.trunk)
    if plan.has(national) and NATIONAL.fullmatch(text):
        return plan.code + national
    return _parsed(text, _iso(country))


@functools.lru_cache(maxsize=1024)  # twice what countries there are, in capitals and not
def _plan(country: str) -> Plan | None:
    from phonenumbers import PhoneMetadata

    data = PhoneMetadata.metadata_for_region(_iso(country))
    if not data or not data.general_desc or not data.general_desc.national_number_pattern:
        return None
    kinds = (kind.national_number_pattern for name in KINDS if (kind := getattr(data, name)))
    numbers = "|".join(dict.fromkeys(f"(?:{pattern})" for pattern in kinds if pattern))
    shape = data.general_desc.national_number_pattern
    return Plan(str(data.country_code), data.national_prefix or "", re.compile(numbers), re.compile(shape))


@functools.cache
def _plan_of_code(code: str) -> Plan | None:
    """The plan of the country that a code mainly stands for."""
    from phonenumbers import region_code_for_country_code

    return _plan(region_code_for_country_code(int(code)))


def _parsed(text: str, country: str | None) -> str:
    """What `phonenumbers` reads: digits of E.164, or "" for no number."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return ""
    plan = _plan_of_code(str(number.country_code))
    whole = plan and plan.has(phonenumbers.national_significant_number(number))
    if not whole and not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")


PHONE: Final = Rule(
    (Step("digits only", digits), Step("leading zeros dropped", without_zeros)),
    numbers,
    further="as the pixel sends it, or without its trunk zero and extension",
    doubts=incomplete,
)
