"""Names, gender and ids."""

import re
from collections.abc import Iterable
from typing import Final

from pixeltwin.capi import tables
from pixeltwin.capi.hashes import SPACE
from pixeltwin.capi.normalize.rule import Rule, Step, Values
from pixeltwin.capi.normalize.text import bare, first_of, without_spaces

NOISE: Final = re.compile(f"[{SPACE}!-/:-@\\[-`{{-~]+")  # white space and ASCII punctuation
PLACEHOLDERS: Final = frozenset({"null", "undefined", "nan", "none", "unknown", "objectobject", "anonymous"})


def without_noise(text: str) -> str:
    return text if text.isalnum() else NOISE.sub("", text)


def names(text: str, canonical: str, country: str | None) -> Values:
    """Meta documents names without punctuation; the pixel knows ASCII's alone, so O’Brien keeps what phones type."""
    return (canonical,) if canonical.isascii() or canonical.isalnum() else (canonical, bare(text))


def genders(text: str, canonical: str, country: str | None) -> Values:
    """`f` and `m`; words of other languages than English are no canonical values."""
    return (canonical,) if canonical else ("", tables.genders().get(bare(text), ""))


def letter(text: str) -> str:
    return tables.english_genders().get(text, "")


def placeholder(text: str, values: Values, country: str | None) -> Iterable[str]:
    if bare(text) in PLACEHOLDERS:
        yield "looks like a placeholder rather than somebody's own; sent all the same, since people are called Null"


NAME_STEPS: Final = (Step("white space and ASCII punctuation removed", without_noise), Step("lower-case", str.lower))
NAME: Final = Rule(NAME_STEPS, names, further="without any punctuation, as Meta documents it", doubts=placeholder)
FIRST_FIVE: Final = Rule((*NAME_STEPS, Step("the first five letters", lambda text: first_of(5, text))))
INITIAL: Final = Rule((*NAME_STEPS, Step("the first letter", lambda text: first_of(1, text))))
GENDER: Final = Rule(
    (Step("lower-case", str.lower), Step("f or m, or an English word for them", letter)),
    genders,
    further="by our own table",
)
EXTERNAL_ID: Final = Rule(
    (Step("all white space removed", without_spaces), Step("lower-case", str.lower)), doubts=placeholder
)
