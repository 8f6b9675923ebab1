"""A whole number: `7` for `007` or `7.0`. What is none becomes nothing, and nothing is rounded."""

import re
from typing import Final, Literal

from pixeltwin.mapping.custom_data import whole_number
from pixeltwin.mapping.transform import Example, TransformSettings

DIGITS: Final = re.compile(r"[+-]?[0-9]{1,30}")  # exact at any length, while whole_number ends at 2**53


class Settings(TransformSettings):
    """Has no options: `- int`."""

    kind: Literal["int"]

    def apply(self, value: str) -> str | None:
        text = value.strip()
        number = int(text) if DIGITS.fullmatch(text) else whole_number(text)
        return None if number is None else str(number)


EXAMPLES: Final = (
    Example("int", " 007", "7"),
    Example("int", "12.0", "12"),
    Example("int", "12345678901234567890", "12345678901234567890"),
    Example("int", "12.5", None),
    Example("int", "1,250", None),
)
