"""An e-mail address of the usual form."""

import re
from collections.abc import Iterable
from typing import ClassVar, Final, Literal

from pixeltwin.privacy.filter import Example, FilterSettings, Span

# A name begins where nothing of a name stands before it, and what it took it keeps: each character is read once.
NAME: Final = r"(?<![\w.+'-])[\w.+'-]++"
NO_PICTURE: Final = r"(?!\d(?:\.\d)?x\.)"  # logo@2x.png
DOMAIN: Final = r"(?:[^\W_](?:[^\W_]|-)*+\.)+(?:xn--[a-z0-9-]+|[^\W\d_]{2,})"
EMAIL: Final = re.compile(rf"{NAME}(?:@{NO_PICTURE}{DOMAIN})+", re.IGNORECASE)


class Settings(FilterSettings):
    """Has no options: `- email`."""

    kind: Literal["email"]

    HINT: ClassVar = "@"

    def spans(self, text: str, *, named: bool) -> Iterable[Span]:
        return (found.span() for found in EMAIL.finditer(text))


EXAMPLES: Final = (
    Example(written="email", given="Jane <jane.doe+shop@mail.example.com>, bye", gives="Jane <_removed_>, bye"),
    Example(written="email", given="mailto:o'brien@büro.example", gives="mailto:_removed_"),
    Example(written="email", given="jane%40shop.example", gives="_removed_"),
    Example(written="email", given="to=jane%252Bme%2540shop%252Eexample!", gives="to=_removed_!"),
    Example(
        written="email",
        given="by @shop.example, logo@2x.png, me@home, v@1.2",
        gives="by @shop.example, logo@2x.png, me@home, v@1.2",
    ),
)
