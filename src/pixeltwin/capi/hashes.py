"""SHA-256 values as the Conversions API takes them, and as a type that plaintext cannot pass.

What somebody hashed before us is kept as it is: SHA-256, or MD5, which Meta's own packages let pass as well.
"""

import hashlib
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

# JavaScript's white space. Python's lacks U+FEFF and has U+001C to U+001F and U+0085 besides.
SPACE: Final = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
    "\u3000\ufeff"
)
# 64 or 32 hex digits, then perhaps Meta's appendix: a token of 2 characters, or any 8 without a dot (PROTOCOL 2.3)
HASH: Final = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{32})(\.(?:AQ|Ag|Aw|BA|BQ|Bg|[^.\r\n]{8}))?", re.ASCII)
USUAL: Final = re.compile(r"[0-9a-f]{64}")  # what nearly all are
APPENDIX: Final = re.compile(r"\.[\w-]{2,8}", re.ASCII)  # what is passed on; base64url in Meta's own
NOT_OF_NOTHING: Final = r"^(?:[0-9a-df]|e[0-24-9a-f]|e3[0-9ac-f]|e3b[1-9a-f])[0-9a-f]+$"
SHORTEST: Final = 32  # characters of a hash
SHA256_DIGITS: Final = 64
OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()
HASHES_OF_NOTHING: Final = frozenset({OF_NOTHING, "d41d8cd98f00b204e9800998ecf8427e"})


def digits(trimmed: str) -> str | None:
    """The lower-case digits of a value that is hashed already, without appendix; None for anything else."""
    found = HASH.fullmatch(trimmed)
    return found[1].lower() if found else None


def as_hash(text: str) -> str | None:
    """The text if it is a hash: digits lower-cased, Meta's appendix kept. The hash of nothing is none."""
    found = HASH.fullmatch(text.strip(SPACE)) if len(text) >= SHORTEST else None
    if not found or found[1].lower() in HASHES_OF_NOTHING:
        return None
    appendix = found[2] or ""
    return found[1].lower() + (appendix if APPENDIX.fullmatch(appendix) else "")


def as_sha256(text: str) -> str | None:
    """The text if it is a SHA-256 value. The pixel makes no others: an MD5 in a hit is somebody's odd input."""
    if USUAL.fullmatch(text):
        return text if text != OF_NOTHING else None
    value = as_hash(text)
    return value if value and len(value.partition(".")[0]) == SHA256_DIGITS else None


def sha256(text: str) -> str:
    """The lower-case hex SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def _only_hashes(text: str) -> str:
    if (value := as_hash(text)) is None:
        raise ValueError("is no SHA-256 value; hash it before it gets here")
    return value


# What nearly all values are, for pydantic's fast lane. It leaves out whatever begins as the hash of nothing does.
Plain = Annotated[str, StringConstraints(pattern=NOT_OF_NOTHING, min_length=64, max_length=64)]
Sha256 = Annotated[Plain | Annotated[str, AfterValidator(_only_hashes)], Field(union_mode="left_to_right")]
