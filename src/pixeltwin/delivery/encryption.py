"""What is stored, unreadable without a key: AES-256-GCM, bound to what the stored thing is about.

    sealed = 0xFF, key id (4 bytes), nonce (12 random bytes), ciphertext with its tag (16 more than the text)

No UTF-8 text has a byte 0xFF, and all that we store is JSON: what was written before there was a key is told by its
first byte. Under one key 2^32 texts can be sealed before a nonce might repeat (NIST SP 800-38D, 8.3), which is a year
of 136 events a second: take a new key each year.
"""

import hashlib
import os
from base64 import b64decode
from collections.abc import Sequence
from typing import Annotated, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr

from pixeltwin.kinds import FROZEN
from pixeltwin.units import wrong

MARK: Final = b"\xff"
ID_BYTES: Final = 4
NONCE_BYTES: Final = 12
HEAD_BYTES: Final = len(MARK) + ID_BYTES + NONCE_BYTES
KEY_BYTES: Final = 32
HEX_LENGTH: Final = 64  # of a key; one in base64 has 44 characters
ANOTHER_TEXT: Final = "it was encrypted, and has been changed since, or belongs elsewhere"


def key_bytes(text: str) -> bytes:
    """The key of its hex or base64. Raises `ValueError` for what is none."""
    key = bytes.fromhex(text) if len(text) == HEX_LENGTH else b64decode(text, validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError("a key has 32 bytes")
    return key


def _check_key(key: SecretStr) -> SecretStr:
    """Only what somebody drew by lot: a passphrase would be guessed by who has the file."""
    try:
        if key.get_secret_value():  # `${OLD_KEY:-}` is how people write "only where it is set"
            key_bytes(key.get_secret_value())
    except ValueError:  # base64's own error is one
        raise wrong("give 32 random bytes in base64 or hex: `openssl rand -base64 32` makes a key") from None
    return key


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not keys or not keys[0].get_secret_value():
        raise wrong("give the first key, which encrypts: `openssl rand -base64 32` makes one")
    return keys


Key = Annotated[SecretStr, AfterValidator(_check_key)]


class Encryption(BaseModel):
    """`keys`, of 32 bytes in base64 or hex: the first encrypts, every one decrypts. Empty ones but the first are none.

    So a key is replaced: the new one goes before the old, which may go once nothing is left that it has encrypted.
    """

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    keys: Annotated[tuple[Key, ...], AfterValidator(_check_keys)]


class UnreadableError(ValueError):
    """What is stored cannot be decrypted; the text says why, as people are told it."""


class Cipher:
    """Seals with the first key, opens with any. Without keys nothing is sealed, and what was sealed stays so."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self._first = key_id(keys[0]) if keys else b""
        self.seals: Final = bool(keys)

    @classmethod
    def of(cls, settings: Encryption | None) -> "Cipher":
        given = (key.get_secret_value() for key in settings.keys) if settings else ()
        return cls([key_bytes(text) for text in given if text])

    def seal(self, text: bytes, about: bytes) -> bytes:
        """The text, to be opened with the same `about` alone."""
        if not self.seals:
            return text
        nonce = os.urandom(NONCE_BYTES)
        return MARK + self._first + nonce + self._keys[self._first].encrypt(nonce, text, about)

    def open(self, stored: bytes, about: bytes) -> bytes:
        """The text that was sealed, or written before anything was. Raises `UnreadableError`."""
        if not is_sealed(stored):
            return stored
        name, nonce = stored[len(MARK) :][:ID_BYTES], stored[HEAD_BYTES - NONCE_BYTES : HEAD_BYTES]
        if (key := self._keys.get(name)) is None:
            raise UnreadableError(f"its encryption key {name.hex()} is not among the outbox's keys")
        try:
            return key.decrypt(nonce, stored[HEAD_BYTES:], about)
        except (InvalidTag, ValueError):  # of bytes that are too few, it is a ValueError
            raise UnreadableError(ANOTHER_TEXT) from None


def is_sealed(stored: bytes) -> bool:
    return stored.startswith(MARK)


def key_id(key: bytes) -> bytes:
    """By which a key is known; it tells nothing of the key."""
    return hashlib.blake2b(key, digest_size=ID_BYTES, person=b"pixeltwin key").digest()
