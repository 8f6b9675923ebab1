"""A cookie that the shop signed: the one thing a browser sends that names a customer and can be believed.

    value = <subject>.<expiry, unix seconds>.<hex HMAC-SHA256 of "<cookie name>=<subject>.<expiry>">

An unsigned cookie would let anyone attach other people's data to their own device (THREATS T5).
"""

import hashlib
import hmac
import re
from typing import Final, Literal

from pydantic import SecretStr

from pixeltwin.kinds import KindSettings
from pixeltwin.pixel.request import HitRequest

SIGNED: Final = re.compile(r"([\w-]{1,128})\.(\d{1,12})\.([0-9a-f]{64})", re.ASCII)


class Settings(KindSettings):
    """`signed_cookie` is the cookie's name, `key` what the shop signs it with."""

    kind: Literal["signed_cookie"]
    signed_cookie: str
    key: SecretStr

    def read(self, request: HitRequest) -> str | None:
        """The subject, when the signature holds and has not expired."""
        found = SIGNED.fullmatch(request.cookies().get(self.signed_cookie, ""))
        if not found or int(found[2]) < request.received_at:
            return None
        return found[1] if hmac.compare_digest(found[3], self._signature(found[1], found[2])) else None

    def _signature(self, subject: str, expiry: str) -> str:
        signed = f"{self.signed_cookie}={subject}.{expiry}".encode()
        return hmac.new(self.key.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
