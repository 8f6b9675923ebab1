from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from pixeltwin.config.units import (
    DURATIONS,
    SIZES,
    duration_text,
    parse_duration,
    parse_rate,
    parse_size,
    rate_text,
    size_text,
)

AMOUNTS = st.integers(1, 10**6)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("1s", 1), ("5m", 300), ("2h", 7200), ("90d", 7_776_000)]
)
def test_duration_is_read_as_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("1B", 1), ("40KB", 40_000), ("256KiB", 262_144), ("1MiB", 1_048_576), ("4GiB", 1 << 32)]
)
def test_size_is_read_as_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "rate"), [("20/s", (20, 1.0)), ("600/m", (600, 60.0)), ("5000/h", (5000, 3600.0))])
def test_rate_is_read_as_a_number_in_seconds(text, rate):
    assert parse_rate(text) == rate
    assert rate_text(parse_rate(text)) == text


@pytest.mark.parametrize("value", ["", "20", 20, "20s", "20/d", "/s", "0/s", "2.5/s", "20/s/s", None])
def test_what_is_no_rate_is_refused(value):
    with pytest.raises(PydanticCustomError):
        parse_rate(value)


@given(AMOUNTS, st.sampled_from(sorted(DURATIONS)))
def test_duration_survives_being_written(number, unit):
    seconds = parse_duration(f"{number}{unit}")
    assert parse_duration(duration_text(seconds)) == seconds


@given(AMOUNTS, st.sampled_from(sorted(SIZES)))
def test_size_survives_being_written(number, unit):
    size = parse_size(f"{number}{unit}")
    assert parse_size(size_text(size)) == size


@pytest.mark.parametrize(
    "value", ["", "10", 10, 1.5, None, "s", "1.5s", "-1s", "0s", "1 s", "10sec", "1S", "٣s", "1s\n"]
)
def test_amount_without_a_plain_number_and_unit_is_refused(value):
    with pytest.raises(PydanticCustomError):
        parse_duration(value)


@given(st.text())
def test_any_other_text_is_refused_politely(text):
    for parse in (parse_duration, parse_size):
        with suppress(PydanticCustomError):
            assert parse(text) > 0
