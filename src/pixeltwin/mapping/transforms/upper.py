"""Capital letters."""

from typing import Final, Literal

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """Has no options: `- upper`."""

    kind: Literal["upper"]

    def apply(self, value: str) -> str | None:
        return value.upper()


EXAMPLES: Final = (
    Example("upper", "eur", "EUR"),
    Example("upper", "straße", "STRASSE"),
)
