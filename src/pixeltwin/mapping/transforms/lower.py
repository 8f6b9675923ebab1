"""Small letters."""

from typing import Final, Literal

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """Has no options: `- lower`."""

    kind: Literal["lower"]

    def apply(self, value: str) -> str | None:
        return value.lower()


EXAMPLES: Final = (
    Example("lower", "Jane@Shop.Example", "jane@shop.example"),
    Example("lower", "ÄÖ", "äö"),
)
