"""A profile as bytes: for each hash a code for its key, its length, its digest. 32 bytes a hash where hex has 64.

Only digests fit in, so that no plaintext can get into the file by mistake.
"""

from collections.abc import Mapping
from typing import Final

# Stored: a number keeps its meaning for ever, and a new key gets a new one.
CODES: Final = {
    "em": 1,
    "ph": 2,
    "fn": 3,
    "ln": 4,
    "ge": 5,
    "db": 6,
    "ct": 7,
    "st": 8,
    "zp": 9,
    "country": 10,
    "external_id": 11,
    "f5first": 12,
    "f5last": 13,
    "fi": 14,
    "dobd": 15,
    "dobm": 16,
    "doby": 17,
}
NAMES: Final = {code: name for name, code in CODES.items()}


def pack(user_data: Mapping[str, tuple[str, ...]]) -> bytes:
    """The hashes as bytes. Raises `ValueError` for what is no hex digest."""
    packed = bytearray()
    for name, values in user_data.items():
        for value in values:
            digest = bytes.fromhex(value)
            packed += bytes((CODES[name], len(digest))) + digest
    return bytes(packed)


def unpack(packed: bytes) -> dict[str, tuple[str, ...]]:
    """What `pack` was given. A key that a newer version stored is passed over."""
    user_data: dict[str, tuple[str, ...]] = {}
    position = 0
    while position + 2 <= len(packed):
        code, length = packed[position], packed[position + 1]
        position += 2 + length
        if name := NAMES.get(code):
            user_data[name] = (*user_data.get(name, ()), packed[position - length : position].hex())
    return user_data
