"""Customer data as Meta hashes it: what the browser's pixel and Meta's parameter builder agree on (PROTOCOL 1.5).

Only the keys of `NORMALIZERS` are known so far; the others need tables of names.
"""

import re
import unicodedata
from collections.abc import Callable
from typing import Final

from pixeltwin.capi.hashes import as_hash, sha256

# JavaScript's \s, which is not Python's: without U+001C to U+001F and U+0085, with U+FEFF
SPACE: Final = "[\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff]"
SPACES: Final = re.compile(SPACE + "+")
EDGES: Final = re.compile(f"^{SPACE}+|{SPACE}+$")
NAME_NOISE: Final = re.compile(f"(?:{SPACE}|[!-/:-@\\[-`{{-~])+")  # white space and ASCII punctuation
EMAIL: Final = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*@[^\s@.,]+(?:\.[^\s@.,]+)+", re.ASCII)


def hashed(key: str, value: str) -> str | None:
    """The SHA-256 value for a key's plaintext; a value that is a hash already is kept. None: send nothing."""
    if kept := as_hash(value):
        return kept
    normalised = NORMALIZERS[key](unicodedata.normalize("NFC", EDGES.sub("", value)))
    return sha256(normalised) if normalised else None


def _email(text: str) -> str:
    text = text.lower()
    return text if EMAIL.fullmatch(text) else ""


def _phone(text: str) -> str:
    """ASCII digits without leading zeros. No country code is added here."""
    return re.sub(r"[^0-9]", "", text).lstrip("0")


def _name(text: str) -> str:
    return NAME_NOISE.sub("", text).lower()


def _external_id(text: str) -> str:
    return SPACES.sub("", text).lower()


NORMALIZERS: Final[dict[str, Callable[[str], str]]] = {
    "em": _email,
    "ph": _phone,
    "fn": _name,
    "ln": _name,
    "external_id": _external_id,
}
