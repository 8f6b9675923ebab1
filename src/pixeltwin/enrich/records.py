"""Customers as people export them: CSV with a header, or one JSON object a line. What cannot be read is said by line.

No reason repeats a value: reports are shown and kept, and the values are personal data.
"""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

import orjson

from pixeltwin.enrich.source import Row

DELIMITERS: Final = ",;\t|"  # `;` is what spreadsheets write where the comma is for decimals


class Record(NamedTuple):
    """A row and the line on which it begins."""

    line: int
    row: Row


class Refused(NamedTuple):
    """A line that is no record, and why."""

    line: int
    reason: str


def csv_records(lines: Iterable[str]) -> Iterator[Record | Refused]:
    """The rows of a CSV text, by the names in its header. Raises `ValueError` for a header that cannot be used."""
    lines = iter(lines)
    first = next(lines, "")
    reader = csv.reader(chain((first,), lines), delimiter=max(DELIMITERS, key=first.count), strict=True)
    header = _header(reader)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Refused(line, "is no CSV")
            continue
        if len(values) == len(header):
            yield Record(line, dict(zip(header, values, strict=True)))
        elif values:  # an empty line is none
            yield Refused(line, f"has {len(values)} columns, the header has {len(header)}")


def json_records(lines: Iterable[str]) -> Iterator[Record | Refused]:
    """The objects of JSON lines."""
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except ValueError:
            yield Refused(line, "is no JSON")
            continue
        yield Record(line, row) if isinstance(row, dict) else Refused(line, "is no JSON object")


def _header(lines: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(lines, ())]
    except csv.Error:
        names = []
    if not any(names):
        raise ValueError("there is no header: the first line has to name the columns")
    if len(set(names)) < len(names):
        raise ValueError("the header names a column twice")
    return names
