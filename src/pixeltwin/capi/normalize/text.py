"""Text as the rules see it. White space is JavaScript's, since the browser's pixel is the measure."""

import re
import unicodedata
from typing import Final

from pixeltwin.capi.hashes import SPACE

SPACES: Final = re.compile(f"[{SPACE}]+")
NOT_A_TO_Z: Final = re.compile(r"[^a-z]+")
NOT_A_TO_Z_0_TO_9: Final = re.compile(r"[^A-Za-z0-9]+")
LONGEST: Final = 8192  # characters; THREATS T10. Nobody's name is longer
NOISE: Final = frozenset("PSZC")  # Unicode's punctuation, symbols, separators and control characters


class Bare(dict[int, int | None]):
    """A table for `str.translate` that drops noise; filled as characters come up, at most with one plane of them."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code))[0] in NOISE else code
        if code <= 0xFFFF:
            self[code] = kept
        return kept


BARE: Final = Bare()


def composed(text: str) -> str:
    """The text in NFC: the documentation's own hashes are of NFC text."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it, as it cannot half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_spaces(text: str) -> str:
    return text if text.isalnum() else SPACES.sub("", text)


def only_a_to_z(text: str) -> str:
    """Of lower-case text."""
    return text if text.isascii() and text.isalpha() else NOT_A_TO_Z.sub("", text)


def only_a_to_z_0_to_9(text: str) -> str:
    return text if text.isascii() and text.isalnum() else NOT_A_TO_Z_0_TO_9.sub("", text)


def bare(text: str) -> str:
    """Lower-case letters and digits of every script with their marks: Meta's "no punctuation, no spaces".

    İ becomes i, as Turkish has it, and not the i with a second dot that Unicode makes of it.
    """
    kept = text if text.isalnum() else text.translate(BARE)
    return kept.lower() if kept.isascii() else unicodedata.normalize("NFC", kept.replace("İ", "I").lower())


def first_of(length: int, text: str) -> str:
    return text[:length]
