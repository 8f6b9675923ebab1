"""The SHA-256 of the text, as 64 hex digits. The text is hashed as it is: trim and lower it before."""

import hashlib
from typing import Final, Literal

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """Has no options: `- sha256`."""

    kind: Literal["sha256"]

    def apply(self, value: str) -> str | None:
        return hashlib.sha256(value.encode()).hexdigest()


EXAMPLES: Final = (
    Example("sha256", "jane@shop.example", "8911f29841d783b75058ae550fa169b290686b5e0c51aab805c85b885a963700"),
    Example("sha256", "a", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
)
