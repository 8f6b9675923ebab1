"""`%40` as `@`. A plus stays a plus: in an e-mail address it is one."""

from typing import Final, Literal
from urllib.parse import unquote

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """Has no options: `- url_decode`."""

    kind: Literal["url_decode"]

    def apply(self, value: str) -> str | None:
        try:
            return unquote(value, errors="strict")
        except UnicodeDecodeError:
            return None


EXAMPLES: Final = (
    Example("url_decode", "jane%2Bshop%40example.com", "jane+shop@example.com"),
    Example("url_decode", "a+b", "a+b"),
    Example("url_decode", "%ff", None),
)
