"""A phone number: in the international form anywhere, in any form where the name says that it is one.

A bare run of digits is no phone number, nor is one after 00 that could be the code of a product (GTIN).
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from pixeltwin.privacy.filter import Example, FilterSettings, Span

BETWEEN: Final = r"[\s\x1c-\x1f().+/\u2010-\u2015-]"  # a plus is a space where a form wrote it
DIGIT: Final = rf"(?:{BETWEEN}{{0,3}}[0-9])"
# how a number may begin, and what can never stand before it
PLUS: Final = r"(?:^|[^0-9A-Za-z_.+)-])\+\(?[0-9]"
ZEROS: Final = rf"(?:^|[^0-9A-Za-z_.+,-])00{DIGIT}"
INTERNATIONAL: Final = re.compile(
    rf"""\+ (?<![\w.+)-]\+) \(? (?P<plus>[0-9]{DIGIT}{{8,14}}) (?!\w)
       | 00 (?<![\w.+,-]00) (?P<zeros>{DIGIT}{{9,15}}) (?!\w)""",
    re.VERBOSE,
)
NAMED: Final = re.compile(rf"(?<!\w)[+(]{{0,2}}[0-9]{DIGIT}{{6,14}}(?!\w)")
LINK: Final = re.compile(r"(?<=\btel:)[0-9-]{7,20}(?!\w)")
NO_DIGIT: Final = re.compile(r"[^0-9]+")
# ITU-T E.164: the countries' codes. Those of one digit have numbers of ten.
CODE: Final = re.compile(
    r"[17][0-9]{10}\Z|(?:2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|2[1-69][0-9]|3[578][0-9]|42[0-9]|5[09][0-9]|6[789][0-9]|8[058][0-9]|9[679][0-9])"
)
LONG: Final = 11  # digits without any separator, before two zeros are believed to mean +
GTIN_LENGTHS: Final = (13, 14)


class Settings(FilterSettings):
    """Has no options: `- phone`."""

    kind: Literal["phone"]

    HINT: ClassVar = f"tel:|{PLUS}|{ZEROS}"
    NAMES: ClassVar = frozenset(
        (
            *("phone", "telephone", "tel", "ph", "mobile", "cell", "msisdn", "whatsapp", "sms", "fax"),
            *("phonenumber", "telephonenumber", "mobilenumber", "mobilephone", "cellphone"),
            *("telefon", "telefonnummer", "handy", "handynummer", "mobil", "telefone", "telefono", "celular", "movil"),
        )
    )

    def spans(self, text: str, *, named: bool) -> Iterable[Span]:
        if named:
            return [found.span() for found in NAMED.finditer(text)]
        international = (found.span() for found in INTERNATIONAL.finditer(text) if _is_number(found))
        return (*international, *(found.span() for found in LINK.finditer(text)))


def _is_number(found: re.Match[str]) -> bool:
    written = found["plus"] or found["zeros"]
    digits = NO_DIGIT.sub("", written)
    if not CODE.match(digits):
        return False
    is_bare_run = not found["plus"] and written == digits
    return not is_bare_run or (len(digits) >= LONG and not _is_gtin(f"00{digits}"))


def _is_gtin(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (GS1 General Specifications, 7.9)."""
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits)))
    return len(digits) in GTIN_LENGTHS and weighted % 10 == 0


EXAMPLES: Final = (
    Example(written="phone", given="call +49 151 2345678 now", gives="call _removed_ now"),
    Example(written="phone", given="%2B1+(202)+555-0198", gives="_removed_"),
    Example(written="phone", given="0049 (0)151/2345678; 00491512345678", gives="_removed_; _removed_"),
    Example(written="phone", given="tel:030-1234567", gives="tel:_removed_"),
    Example(written="phone", name="customerPhone", given="0151 2345678", gives="_removed_"),
    Example(written="phone", name="hotel_id", given="01512345678", gives="01512345678"),
    Example(
        written="phone", given="4915123456789, 1+4915123456789, 12.50", gives="4915123456789, 1+4915123456789, 12.50"
    ),
    Example(written="phone", given="00614141123452 and 0045001234", gives="00614141123452 and 0045001234"),
)
