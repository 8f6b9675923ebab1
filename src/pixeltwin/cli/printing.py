"""Text for a terminal: nothing that a hit or an answer holds may steer it."""

from collections.abc import Iterator, Sequence
from typing import Final

UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def plain(text: str) -> str:
    """The text on one line, a mark in place of each control character, of those that turn the writing round too."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines whose cells stand below each other, each of them plain."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def span(seconds: float) -> str:
    """A length of time by its two largest units: `4 m 10 s`."""
    rest = max(0, round(seconds))
    parts: list[tuple[int, str]] = []
    for unit, length in UNITS:
        number, rest = divmod(rest, length)
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number) or "0 s"
