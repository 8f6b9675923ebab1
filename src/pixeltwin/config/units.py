"""Durations and sizes as `pixeltwin.units` reads them: sources need them too, and may not import `config`."""

from pixeltwin.units import (
    DURATIONS,
    SIZES,
    Duration,
    Size,
    duration_text,
    parse_duration,
    parse_size,
    size_text,
    wrong,
)

__all__ = [
    "DURATIONS",
    "SIZES",
    "Duration",
    "Size",
    "duration_text",
    "parse_duration",
    "parse_size",
    "size_text",
    "wrong",
]
