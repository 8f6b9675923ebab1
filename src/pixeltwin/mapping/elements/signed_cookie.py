"""A cookie that the shop signed: a customer's name that can be believed, for only the shop can have written it.

    value = <subject>.<expiry, unix seconds>.<hex HMAC-SHA256 of "<cookie name>=<subject>.<expiry>">

An unsigned cookie would let anyone attach other people's data to their own device (THREATS T5).
"""

import re
from functools import cached_property
from hmac import compare_digest
from typing import ClassVar, Final, Literal

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from pixeltwin.mapping.element import Example
from pixeltwin.mapping.keyed import KeyedElement
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

SIGNED: Final = re.compile(r"([\w-]{1,128})\.(\d{1,12})\.([0-9a-f]{64})", re.ASCII)


class Settings(KeyedElement):
    """`signed_cookie` is the cookie's name, `key` what the shop signs it with, `keys` several while one is replaced."""

    TRUSTED: ClassVar[bool] = True

    kind: Literal["signed_cookie"]
    signed_cookie: str

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        """The subject, when the signature holds and has not expired."""
        found = SIGNED.fullmatch(request.cookies.get(self.signed_cookie, ""))
        if not found:
            return None
        subject, expiry, signature = found.groups()
        if int(expiry) < request.received_at:
            return None
        signed = f"{self.signed_cookie}={subject}.{expiry}".encode()
        holds = [compare_digest(signature, _signature(begun, signed)) for begun in self._begun]
        return subject if any(holds) else None

    @cached_property
    def _begun(self) -> tuple[HMAC, ...]:
        """An HMAC of nothing yet with each key: to begin one takes longer than the rest. Python's is twice as slow."""
        return tuple(HMAC(key, SHA256()) for key in self.secrets)


def _signature(begun: HMAC, signed: bytes) -> str:
    made = begun.copy()
    made.update(signed)
    return made.finalize().hex()


EXAMPLES: Final = (
    Example(
        written={"signed_cookie": "uid", "key": "an example's key, to be read by all"},
        headers={"cookie": "uid=cust-1001.4102444800.10daad42c49d6260e29d45cabe9e0e91779575565ac6ca2fa00d06e28e488218"},
        gives="cust-1001",
    ),
)
