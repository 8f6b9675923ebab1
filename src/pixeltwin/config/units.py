"""Durations, sizes and rates as `pixeltwin.units` reads them: sources need them too, and may not import `config`."""

from pixeltwin.units import (
    DURATIONS,
    SIZES,
    Duration,
    Rate,
    RateText,
    Size,
    duration_text,
    parse_duration,
    parse_rate,
    parse_size,
    rate_text,
    size_text,
    wrong,
)

__all__ = [
    "DURATIONS",
    "SIZES",
    "Duration",
    "Rate",
    "RateText",
    "Size",
    "duration_text",
    "parse_duration",
    "parse_rate",
    "parse_size",
    "rate_text",
    "size_text",
    "wrong",
]
