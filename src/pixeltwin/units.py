"""Durations (`10s`), sizes (`256KiB`) and rates (`20/s`) as people write them; plain seconds and bytes in the code."""

import re
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

# In seconds and in bytes, biggest first: the first unit that divides a number is the one it is written in.
DURATIONS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
PERIODS: Final = {"/h": 3600.0, "/m": 60.0, "/s": 1.0}
SIZES: Final = {"GiB": 1 << 30, "GB": 10**9, "MiB": 1 << 20, "MB": 10**6, "KiB": 1 << 10, "KB": 10**3, "B": 1}

# what people write, as a pattern
DURATION: Final = rf"0*[1-9][0-9]*({'|'.join(DURATIONS)})"
RATE: Final = rf"0*[1-9][0-9]*({'|'.join(PERIODS)})"
SIZE: Final = rf"0*[1-9][0-9]*({'|'.join(SIZES)})"

_AMOUNT: Final = re.compile(r"([0-9]{1,12})(/?[A-Za-z]+)")


class Rate(NamedTuple):
    """So many in a period of so many seconds."""

    number: int
    period: float


def wrong(remedy: str, at: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """The error to raise for a value that cannot be used. `remedy` says what would work, never what was found.

    Whoever looks at a whole section says with `at` which option in it is meant; `KEY` behind a name means the name.
    """
    return PydanticCustomError("config", "{remedy}", {"remedy": remedy, "at": at})


KEY: Final = "[key]"  # as pydantic says that the key of a mapping is meant


def parse_duration(value: Any) -> float:
    """Seconds, from text such as `250ms`, `1s`, `5m`, `2h` or `90d`."""
    number, unit = _amount(value, DURATIONS, "a duration with a unit (ms, s, m, h or d), such as 10s")
    return number / 1000 if unit == "ms" else number * DURATIONS[unit]


def parse_size(value: Any) -> int:
    """Bytes, from text such as `40KB`, `256KiB` or `1MiB`."""
    number, unit = _amount(value, SIZES, "a size with a unit (B, KB, KiB, MB, MiB, GB or GiB), such as 256KiB")
    return number * SIZES[unit]


def parse_rate(value: Any) -> Rate:
    """A rate from text such as `20/s`, `600/m` or `5000/h`."""
    number, unit = _amount(value, PERIODS, "a rate (so many in a second, minute or hour: /s, /m or /h), such as 600/m")
    return Rate(number, PERIODS[unit])


def duration_text(seconds: float) -> str:
    """The shortest text that `parse_duration` reads as these seconds, to the millisecond."""
    milliseconds = round(seconds * 1000)
    return next(
        f"{milliseconds // step}{unit}"
        for unit, step in ((unit, round(length * 1000)) for unit, length in DURATIONS.items())
        if milliseconds % step == 0
    )


def size_text(size: int) -> str:
    """The shortest text that `parse_size` reads as these bytes."""
    return next(f"{size // step}{unit}" for unit, step in SIZES.items() if size % step == 0)


def rate_text(rate: Rate) -> str:
    """The text that `parse_rate` reads as this rate."""
    return f"{rate.number}{next(unit for unit, period in PERIODS.items() if period == rate.period)}"


def _amount(value: Any, units: dict[str, Any], expected: str) -> tuple[int, str]:
    match = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2] not in units:
        raise wrong(f"write {expected}")
    if not int(match[1]):
        raise wrong(f"write {expected}; zero is no limit")
    return int(match[1]), match[2]


def text_type(pattern: str) -> Any:
    """A type for the config's JSON Schema: text that matches the whole pattern, which JavaScript must read too."""
    return Annotated[str, Field(pattern=f"^(?:{pattern})$")]


Duration = Annotated[
    float,
    BeforeValidator(parse_duration, text_type(DURATION)),
    PlainSerializer(duration_text, when_used="json"),
]
Size = Annotated[int, BeforeValidator(parse_size, text_type(SIZE)), PlainSerializer(size_text, when_used="json")]
RateText = Annotated[Rate, BeforeValidator(parse_rate, text_type(RATE)), PlainSerializer(rate_text, when_used="json")]
