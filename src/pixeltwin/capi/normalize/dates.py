"""Dates of birth and their parts."""

import datetime
import re
from collections.abc import Iterable
from typing import Final

from pixeltwin.capi.normalize.rule import Rule, Step, Values

GROUPS: Final = re.compile(r"[0-9]+")
# as databases write a date; whatever it says is read at a glance
ISO: Final = re.compile(r"[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
WHOLE: Final = 8  # digits of YYYYMMDD
FIRST_YEAR: Final = 1800
SURELY: Final = 2026  # no later than the next year, whenever this is read
MONTHS: Final = 12
DAYS: Final = 31
MONTH_FIRST: Final = frozenset(
    ["US", "CA", "PH", "FM", "GU", "MH", "MP", "PR", "PW", "AS", "VI"]
)  # where 5/3 is, or may be, the third of May


def birthday(text: str) -> str:
    """YYYYMMDD of the first three groups of digits: the one above 31 is the year, one above 12 the day."""
    if ISO.fullmatch(text):
        return text.replace("-", "") if _is_plausible(int(text[:4])) else ""
    groups = GROUPS.findall(text)
    if len(groups) == 1 and len(groups[0]) == WHOLE:
        return str(groups[0])
    return _printed(*_ordered(groups)) if len(groups) >= len("YMD") else ""


def birthdays(text: str, canonical: str, country: str | None) -> Values:
    """In doubt the pixel takes the month first. Dates with dots, and most countries, have the day first."""
    if not canonical or canonical[len("YYYYMM") :] > f"{MONTHS}" or ISO.fullmatch(text):
        return (canonical,)
    groups = GROUPS.findall(text)
    if len(groups) < len("YMD") or int(groups[2][:WHOLE]) <= DAYS:
        return (canonical,)
    year, month, day = _ordered(groups)
    day_first = f"{groups[0]}.{groups[1]}." in text or (country and country.upper() not in MONTH_FIRST)
    return (canonical, _printed(year, day, month)) if day_first else (canonical,)


def unreal(text: str, values: Values, country: str | None) -> Iterable[str]:
    """The pixel accepts 31 February, and eight digits whatever they say."""
    date = values[0]
    try:
        if date:
            datetime.date(int(date[:4]), int(date[4:6]), int(date[6:]))
    except ValueError:
        yield "there is no such day; sent as the pixel sends it"


def two_digits(highest: int, text: str) -> str:
    return f"{int(text):02}" if re.fullmatch(r"[0-9]{1,2}", text) and 1 <= int(text) <= highest else ""


def year(text: str) -> str:
    return text if re.fullmatch(r"[0-9]{4}", text) and _is_plausible(int(text)) else ""


def _ordered(groups: list[str]) -> tuple[int, int, int]:
    """Year, month and day; zeros where no year can be told. Around a year in the middle the day comes first."""
    first, second, third = int(groups[0][:WHOLE]), int(groups[1][:WHOLE]), int(groups[2][:WHOLE])
    if first <= DAYS and second <= DAYS < third:
        year, month, day = third, first, second
    elif second <= DAYS and third <= DAYS < first:
        year, month, day = first, second, third
    elif first <= DAYS and third <= DAYS < second:
        year, month, day = second, third, first
    else:
        return 0, 0, 0
    return (year, month, day) if month <= MONTHS else (year, day, month)


def _printed(year: int, month: int, day: int) -> str:
    fits = 1 <= month <= MONTHS and 1 <= day <= DAYS and _is_plausible(year)
    return f"{year:04}{month:02}{day:02}" if fits else ""


def _is_plausible(year: int) -> bool:
    """Whether somebody may be born then, to Meta: next year is not too late. The clock is asked about babies only."""
    return year >= FIRST_YEAR and (year <= SURELY or year <= datetime.datetime.now(datetime.UTC).year + 1)


BIRTHDAY: Final = Rule(
    (Step("year, month and day in this order", birthday),), birthdays, further="with the day first", doubts=unreal
)
DAY: Final = Rule((Step("a day as two digits", lambda text: two_digits(DAYS, text)),))
MONTH: Final = Rule((Step("a month as two digits", lambda text: two_digits(MONTHS, text)),))
YEAR: Final = Rule((Step("a year as four digits", year),))
