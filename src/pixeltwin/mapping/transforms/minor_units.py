"""An amount in minor units (cents) as Meta wants it: 1250 becomes 12.50."""

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator

from pixeltwin.mapping.transform import Example, TransformSettings

AMOUNT: Final = re.compile(r"[+-]?[0-9]{1,18}")
USUAL_DIGITS: Final = 2
DIGITS: Final = {  # ISO 4217 (list one): the currencies whose minor unit is not a hundredth
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def digits(written: Any) -> int:
    """The digits behind the point: as a number, or those of a currency."""
    if isinstance(written, int) and not isinstance(written, bool) and 0 <= written <= 4:
        return written
    if isinstance(written, str) and re.fullmatch(r"[A-Z]{3}", written):
        return next((count for count, codes in DIGITS.items() if written in codes), USUAL_DIGITS)
    raise ValueError("write a currency such as EUR, or how many digits it has behind the point (0 to 4)")


class Settings(TransformSettings):
    """`minor_units` is a currency, or the digits it has behind the point."""

    kind: Literal["minor_units"]
    minor_units: Annotated[int, BeforeValidator(digits, int | str)]

    def apply(self, value: str) -> str | None:
        text = value.strip()
        return f"{Decimal(text).scaleb(-self.minor_units):f}" if AMOUNT.fullmatch(text) else None


EXAMPLES: Final = (
    Example({"minor_units": "EUR"}, "1250", "12.50"),
    Example({"minor_units": "JPY"}, "1250", "1250"),
    Example({"minor_units": 3}, "-5", "-0.005"),
    Example({"minor_units": 2}, "12.50", None),
)
