"""A profile as bytes: its hashes in one column, what stays readable as JSON in another.

For each hash a code for its key, its length, its digest: 32 bytes a hash where hex has 64. Only digests fit in, so that
nothing that Meta matches people by can get into the file in plain text by mistake.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

import orjson

from pixeltwin.enrich.source import Profile

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
LONGEST: Final = 64 << 10  # bytes; ten values of every key, each with its spellings, have half of it
NAMES: Final = {code: name for name, code in CODES.items()}
SHA256: Final = 32  # bytes of a digest, which are those of nearly all
STRIDE: Final = 2 + SHA256
LAYOUTS: Final = 256  # which keys customers have, and how many hashes of each: these come again and again


def pack(user_data: Mapping[str, tuple[str, ...]]) -> bytes:
    """The hashes as bytes. Raises `ValueError` for what is no hex digest."""
    packed = bytearray()
    for name, values in user_data.items():
        for value in values:
            digest = bytes.fromhex(value)
            packed += bytes((CODES[name], len(digest))) + digest
    return bytes(packed)


def unpack(packed: bytes) -> dict[str, tuple[str, ...]]:
    """What `pack` was given. A key that a newer version stored is passed over.

    Raises `ValueError` for what nobody can have stored.
    """
    codes, lengths = packed[::STRIDE], packed[1::STRIDE]
    if len(packed) == STRIDE * len(codes) <= LONGEST and lengths.count(SHA256) == len(codes):  # nearly all customers
        digits = packed.hex()
        return {name: tuple([digits[place] for place in places]) for name, places in _places(codes).items()}
    if len(packed) > LONGEST:
        raise ValueError("a customer has more hashes than anybody can have")
    user_data: dict[str, tuple[str, ...]] = {}
    for code, value in _digests(packed):
        if name := NAMES.get(code):
            user_data[name] = (*user_data.get(name, ()), value)
    return user_data


@lru_cache(LAYOUTS)
def _places(codes: bytes) -> Mapping[str, tuple[slice, ...]]:
    """Where the digests of each key stand in the hex text."""
    places: dict[str, tuple[slice, ...]] = {}
    for position, code in enumerate(codes):
        if name := NAMES.get(code):
            end = 2 * STRIDE * (position + 1)
            places[name] = (*places.get(name, ()), slice(end - 2 * SHA256, end))
    return places


def _digests(packed: bytes) -> Iterator[tuple[int, str]]:
    """Each digest with its code."""
    position = 0
    while position + 2 <= len(packed):
        code, length = packed[position], packed[position + 1]
        position += 2 + length
        yield code, packed[position - length : position].hex()


def pack_plain(profile: Profile) -> bytes | None:
    """The profile's custom data, facts and ids; None where it has none, as most have."""
    ids = {"ids": profile.ids} if profile.ids else {}  # which older versions pass over
    if not (profile.custom_data or profile.facts or ids):
        return None
    return orjson.dumps({"custom_data": profile.custom_data, "profile": profile.facts, **ids})


def unpack_profile(packed: bytes, plain: bytes | None) -> Profile:
    """The profile of both columns."""
    if not plain:  # most
        return Profile(unpack(packed))
    readable = orjson.loads(plain)
    custom_data, facts, ids = (readable.get(name, {}) for name in ("custom_data", "profile", "ids"))
    return Profile(unpack(packed), custom_data, facts, ids=ids)
