"""The same text for every hit."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from pixeltwin.mapping.element import ElementSettings, Example
from pixeltwin.mapping.transform import Text
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest


class Settings(ElementSettings):
    """`constant` is the text."""

    TRUSTED: ClassVar[bool] = True

    kind: Literal["constant"]
    constant: Annotated[Text, Field(min_length=1)]

    def find(self, request: HitRequest, hit: PixelHit) -> str | None:
        return self.constant


EXAMPLES: Final = (Example(written={"constant": "web shop"}, gives="web shop", else_gives="web shop"),)
