"""A header of the request."""

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest

NEVER: Final = frozenset({"authorization", "cookie", "proxy-authorization"})  # they log people in


def header_name(written: str) -> str:
    """A name that a header, or a cookie, can have. Raises `ValueError`."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", written):
        raise ValueError("write a name without spaces, such as x-country")
    return written


def harmless(name: str) -> str:
    """A header without credentials, in small letters as requests have them. Raises `ValueError`."""
    if name.lower() in NEVER:
        raise ValueError("use cookie, signed_cookie or jwt: this header logs people in and is never read")
    return name.lower()


class Settings(ElementSettings):
    """`header` is the header's name; repeated headers are one text, joined by a comma and a space."""

    kind: Literal["header"]
    header: Annotated[str, AfterValidator(header_name), AfterValidator(harmless)]

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return request.header(self.header)


EXAMPLES: Final = (
    Example(written={"header": "X-Country", "transforms": ["upper"]}, headers={"x-country": "de"}, gives="DE"),
)
