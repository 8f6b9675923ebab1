"""Short forms for every run of the tests, long ones for whoever wants to be surer: PIXELTWIN_RELIABILITY=long.

All of the proof that nothing is lost, with its figures:

    uv run --group dev pytest -n 0 -s tests/reliability tests/*/test_outbox_model.py tests/*/test_salvage.py
"""

import os
from typing import Final

LONG: Final = os.environ.get("PIXELTWIN_RELIABILITY") == "long"


def rounds(short: int, long: int) -> int:
    """How often to do it."""
    return long if LONG else short


def tell(what: str, **figures: object) -> None:
    """Print what was measured, which is for people and decides nothing.

    `pytest -n 0 -s` shows it; the processes of `-n 3`, which is what `addopts` asks for, swallow it.
    """
    print(f"\n{what}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
