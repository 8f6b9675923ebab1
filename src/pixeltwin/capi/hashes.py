"""SHA-256 values as the Conversions API takes them, and as a type that plaintext cannot pass."""

import hashlib
import re
from typing import Annotated, Final

from pydantic import AfterValidator

# 64 hex digits, then perhaps Meta's appendix: a language token of 2 characters or 8 of base64url (PROTOCOL 2.3)
HASH: Final = re.compile(r"([0-9a-fA-F]{64})(\.(?:[\w-]{2}|[\w-]{8}))?", re.ASCII)
OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()


def as_hash(text: str) -> str | None:
    """The text if it is a SHA-256 value: digits lower-cased, appendix kept. The hash of nothing is none."""
    found = HASH.fullmatch(text.strip())
    if not found or found[1].lower() == OF_NOTHING:
        return None
    return found[1].lower() + (found[2] or "")


def sha256(text: str) -> str:
    """The lower-case hex SHA-256 of the text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def _only_hashes(text: str) -> str:
    if (value := as_hash(text)) is None:
        raise ValueError("is no SHA-256 value; hash it before it gets here")
    return value


Sha256 = Annotated[str, AfterValidator(_only_hashes)]
