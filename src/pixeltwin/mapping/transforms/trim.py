"""No white space around the text."""

from typing import Final, Literal

from pixeltwin.mapping.transform import Example, TransformSettings


class Settings(TransformSettings):
    """Has no options: `- trim`."""

    kind: Literal["trim"]

    def apply(self, value: str) -> str | None:
        return value.strip()


EXAMPLES: Final = (
    Example("trim", " 42\n", "42"),
    Example("trim", "  ", None),
)
