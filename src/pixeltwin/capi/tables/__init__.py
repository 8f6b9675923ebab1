"""Names of countries, states and genders. Each table is read from its file when first asked for.

The files are written by `tests/tools/generate_tables.py`, which names their sources; `genders.tsv` is our own list.
"""

import functools
from collections.abc import Iterator, Mapping
from importlib import resources


@functools.cache
def pixel_countries() -> Mapping[str, str]:
    """Codes by the English names that the pixel knows, in the order it looks for them."""
    return {name: code for code, name in _rows("pixel_countries.tsv")}


@functools.cache
def pixel_states() -> Mapping[str, str]:
    """Codes by the names of states and provinces that the pixel knows, in the order it looks for them."""
    return {name: code for code, name in _rows("pixel_states.tsv")}


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
    """Country and code by name; names as `bare` leaves them."""
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
