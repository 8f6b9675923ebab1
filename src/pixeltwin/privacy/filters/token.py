"""Text that opens doors: JSON Web Tokens, what stands behind `Bearer`, Graph tokens, and the values of parameters whose
names say so, if they are long and look random.
"""

import re
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from pixeltwin.privacy.filter import Example, FilterSettings, Span

TOKEN: Final = re.compile(
    r"""(?<![\w-]) (?: eyJ[\w-]{8,}+ (?:\.[\w-]*+){2,4}        # {" in base64url, and two parts more or four (RFC 7519)
                     | (?:[Bb]earer|BEARER)[\s+:]++ (?=[\w.~+/=-]{0,99}[0-9]) [\w.~+/=-]{8,}+
                     | EAA (?![0-9A-F]{61}\b) [a-zA-Z0-9]{20,}+ )      # no SHA-256 in capitals""",
    re.VERBOSE | re.ASCII,
)
WHOLE: Final = re.compile(r"[\w.~=+-]{16,} | [\w=+/-]{16,}", re.VERBOSE | re.ASCII)
MIXED: Final = re.compile(r"(?=.*?[0-9]) (?=.*?[a-z]) (?=.*?[A-Z])", re.VERBOSE)
RUN: Final = re.compile(r"(?=[a-zA-Z]{1,15}[0-9] | [0-9]{1,15}[a-zA-Z]) [a-zA-Z0-9]{16}", re.VERBOSE)
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Settings(FilterSettings):
    """Has no options: `- token`."""

    kind: Literal["token"]

    HINT: ClassVar = "eyJ|EAA|earer|EARER"
    NAMES: ClassVar = frozenset(
        (
            *("token", "tokens", "accesstoken", "refreshtoken", "idtoken", "authtoken", "resettoken", "csrftoken"),
            *("secret", "password", "passwd", "passwort", "pwd", "passphrase", "credential", "credentials", "otp"),
            *("session", "sessionid", "sid", "phpsessid", "jsessionid", "auth", "authorization", "oauth", "jwt"),
            *("bearer", "apikey", "accesskey", "secretkey", "privatekey", "signature", "sig", "hmac", "csrf", "xsrf"),
        )
    )

    def spans(self, text: str, *, named: bool) -> Iterable[Span]:
        if named and looks_random(text):
            return [(0, len(text))]
        return (found.span() for found in TOKEN.finditer(text))


def looks_random(text: str) -> bool:
    """Whether it is a long hex or base64 value rather than words or a number."""
    return bool(WHOLE.fullmatch(text) and (MIXED.match(text) or RUN.search(text) or UUID.fullmatch(text)))


JWT: Final = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
WORDS: Final = "eyJ is how they begin; the bearer of good news; EAAsy"

EXAMPLES: Final = (
    Example(written="token", given=f"see {JWT}, please", gives="see _removed_, please"),
    Example(written="token", given="Authorization: Bearer s3cr3t.token", gives="Authorization: _removed_"),
    Example(written="token", given="t=EAAGm0PX4ZCpsBAKZCZBabcdefg1", gives="t=_removed_"),
    Example(written="token", name="apiKey", given="9f86d081884c7d65", gives="_removed_"),
    Example(written="token", name="session_id", given="Zm9vYmFyMTIzNDU2Nzg%3D", gives="_removed_"),
    Example(written="token", name="session", given="summer-sale-2026-beginners", gives="summer-sale-2026-beginners"),
    Example(written="token", name="sku", given="9f86d081884c7d65", gives="9f86d081884c7d65"),
    Example(written="token", given=WORDS, gives=WORDS),
)
