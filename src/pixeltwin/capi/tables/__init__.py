"""Names of countries, states and genders. Each table is read from its file when first asked for.

The files are written by `tests/tools/generate_tables.py`, which names their sources; `genders.tsv` is our own list.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Final

START: Final = 3  # letters; no name of the pixel's is shorter


class PixelNames:
    """English names as the pixel looks for them: as the whole text, else the first on its list that a text contains."""

    def __init__(self, rows: Iterable[list[str]]) -> None:
        self._codes = {name: code for code, name in rows}
        self.names = tuple(self._codes)
        self.codes = frozenset(self._codes.values())
        self._ranks = {name: rank for rank, name in enumerate(self.names)}
        self._starting: dict[str, list[str]] = {}
        for name in self.names:
            self._starting.setdefault(name[:START], []).append(name)
        self._somewhere = re.compile(_either(self._starting))

    def code(self, letters: str) -> str:
        """The code of what the letters name, or else their first two."""
        if len(letters) < START:
            return letters
        if known := self._codes.get(letters):
            return known
        found = self._inside(letters)
        return self._codes[min(found, key=self._ranks.__getitem__)] if found else letters[:2]

    def longest_inside(self, letters: str) -> str:
        """The code of the longest name that the letters contain, or ""."""
        found = self._inside(letters)
        return self._codes[max(found, key=len)] if found else ""

    def _inside(self, letters: str) -> list[str]:
        if not self._somewhere.search(letters):
            return []
        return [
            name
            for at in range(len(letters) - START + 1)
            for name in self._starting.get(letters[at : at + START], ())
            if letters.startswith(name, at)
        ]


def _either(texts: Iterable[str]) -> str:
    """A pattern for any of the texts, grouped by their first letters: a third faster than one after the other."""
    groups = itertools.groupby(sorted(texts), key=lambda text: text[0])
    return "|".join(f"{first}(?:{'|'.join(text[1:] for text in group)})" for first, group in groups)


@functools.cache
def pixel_countries() -> PixelNames:
    return PixelNames(_rows("pixel_countries.tsv"))


@functools.cache
def pixel_states() -> PixelNames:
    """States of the US and provinces of Canada."""
    return PixelNames(_rows("pixel_states.tsv"))


@functools.cache
def countries() -> Mapping[str, str]:
    """Codes by name in many languages, by three-letter code and by alias; names as `bare` leaves them."""
    return {name: code for code, name in _rows("countries.tsv")}


@functools.cache
def country_codes() -> frozenset[str]:
    """ISO 3166-1 alpha-2, lower-case."""
    return frozenset(countries().values())


@functools.cache
def states() -> Mapping[str, tuple[str, str]]:
    """Country and code by name; names as `bare` leaves them. Where addresses have no such codes, "zz" and ""."""
    return {name: (country, code) for country, code, name in _rows("states.tsv")}


@functools.cache
def english_genders() -> Mapping[str, str]:
    """f and m by the words that Meta's parameter builder knows."""
    return {word: letter for letter, known, word in _rows("genders.tsv") if known == "builder"}


@functools.cache
def genders() -> Mapping[str, str]:
    """f and m by word in many languages; words as `bare` leaves them."""
    return {word: letter for letter, _, word in _rows("genders.tsv")}


def _rows(name: str) -> Iterator[list[str]]:
    text = resources.files(__name__).joinpath(name).read_text("utf-8")
    return (line.split("\t") for line in text.split("\n") if line and not line.startswith("#"))
