"""Text as the rules see it. White space is JavaScript's, since the browser's pixel is the measure."""

import re
import unicodedata
from typing import Final

from pixeltwin.capi.hashes import SPACE

SPACES: Final = re.compile(f"[{SPACE}]+")
SPACE_CODES: Final = dict.fromkeys(map(ord, SPACE))
ASCII_NOISE: Final = dict.fromkeys(code for code in range(128) if not chr(code).isalnum())
NOT_A_TO_Z: Final = re.compile(r"[^a-z]+")
NOT_A_TO_Z_0_TO_9: Final = re.compile(r"[^A-Za-z0-9]+")
LONGEST: Final = 8192  # characters; THREATS T10. Nobody's name is longer
NOISE: Final = frozenset("PSZC")  # Unicode's punctuation, symbols, separators and control characters


def composed(text: str) -> str:
    """The text in NFC: the documentation's own hashes are of NFC text."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it (half a surrogate pair it cannot), and no more than a field may have."""
    if len(text) > LONGEST:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_spaces(text: str) -> str:
    return SPACES.sub("", text)


def lower(text: str) -> str:
    return text.lower()


def only_a_to_z(text: str) -> str:
    return NOT_A_TO_Z.sub("", text)


def only_a_to_z_0_to_9(text: str) -> str:
    return NOT_A_TO_Z_0_TO_9.sub("", text)


def bare(text: str) -> str:
    """Lower-case letters and digits of every script with their marks: Meta's "no punctuation, no spaces".

    İ becomes i, as Turkish has it, and not the i with a second dot that Unicode makes of it.
    """
    if text.isascii():
        return text.translate(ASCII_NOISE).lower()
    kept = (char for char in text if unicodedata.category(char)[0] not in NOISE)
    return unicodedata.normalize("NFC", "".join(kept).replace("İ", "I").lower())


def first_of(length: int, text: str) -> str:
    return text[:length]
