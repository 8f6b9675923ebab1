"""A visitor's session: the cookie that goes with a login. A source knows whose it is, and is asked by the worker.

Whoever has a session's id is its visitor, so the id is sealed before anything is kept, and opened where it is looked
up. AES-SIV (RFC 5297) is made for sealing without a nonce: one id is always sealed alike, for nothing is left to chance
where a hit is decided about. All that this tells is which events are of one session, and their `fbp` tells that too.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from functools import cached_property
from typing import Annotated, ClassVar, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from pydantic import Field, SecretStr, field_validator

from pixeltwin.mapping.element import Example
from pixeltwin.mapping.keyed import KeyedElement
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

SEALED: Final = "session:"  # before what is sealed
LONGEST_ID: Final = 512  # characters; sources are asked for no longer keys
SHORTEST_KEY: Final = 32  # characters: whoever has the outbox may guess for as long as he likes
PURPOSE: Final = b"session element"  # so that a key that has other uses too is another key here


def is_sealed(value: str) -> bool:
    """Whether the value stands for a session. Only opening it shows that we have sealed it."""
    return value.startswith(SEALED)


class Settings(KeyedElement):
    """`session` is the cookie's name. `source` knows sessions by the id in it, its `fact` is the customer's id.

    `key` seals what waits in the outbox, `keys` are several while one is replaced. The value can be a source's key, and
    nothing else: whose session it is shows later.
    """

    TRUSTED: ClassVar[bool] = True  # nobody can make up a session that the shop's source knows

    kind: Literal["session"]
    session: Annotated[str, Field(min_length=1)]
    source: str
    fact: str

    @field_validator("key", "keys")
    @classmethod
    def _long_enough(cls, given: SecretStr | tuple[SecretStr, ...] | None) -> object:
        keys = given if isinstance(given, tuple) else (given,)
        if any(key and len(key.get_secret_value()) < SHORTEST_KEY for key in keys):
            raise ValueError(f"give a key of {SHORTEST_KEY} characters or more: openssl rand -hex 32")
        return given

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return request.cookies.get(self.session)

    def sealed(self, value: str) -> str | None:
        if len(value) > LONGEST_ID:
            return None
        return SEALED + urlsafe_b64encode(self._ciphers[0].encrypt(value.encode(), self._use)).decode()

    def opened(self, value: str) -> str | None:
        """The id that is sealed in the value; None for what this element has not sealed with a key it still has."""
        if not is_sealed(value):
            return None
        with suppress(ValueError):
            sealed = urlsafe_b64decode(value.removeprefix(SEALED))
            for cipher in self._ciphers:
                with suppress(InvalidTag):
                    return cipher.decrypt(sealed, self._use).decode()
        return None

    @property
    def _use(self) -> list[bytes]:
        """What it is sealed for: a session of one source names nobody in another."""
        return [self.source.encode(), self.fact.encode()]

    @cached_property
    def _ciphers(self) -> list[AESSIV]:
        return [AESSIV(hashlib.blake2b(secret, digest_size=64, person=PURPOSE).digest()) for secret in self.secrets]


EXAMPLES: Final = (
    Example(
        written={
            "session": "connect.sid",
            "pattern": "s%3A([^.]+).*",
            "source": "sessions",
            "fact": "customer_id",
            "key": "an example's key, to be read by all",
        },
        headers={"cookie": "connect.sid=s%3AQ9dKbZ3mLx0.c2lnbmF0dXJl"},
        gives="session:35gmJ47HiC45RbJ_aw51rYw0okmZh6LAXSPl",
    ),
)
