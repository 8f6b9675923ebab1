"""Short forms for every run of the tests, long ones for whoever wants to be surer: PIXELTWIN_RELIABILITY=long."""

import os
from typing import Final

LONG: Final = os.environ.get("PIXELTWIN_RELIABILITY") == "long"


def rounds(short: int, long: int) -> int:
    """How often to do it."""
    return long if LONG else short


def tell(what: str, **figures: object) -> None:
    """Print what was measured, which is for people and decides nothing: `pytest -s` shows it."""
    print(f"\n{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
