"""When a failed delivery is tried again."""

from typing import Final

FIRST: Final = 1.0  # seconds
LONGEST: Final = 300.0


def retry_at(now: float, attempts: int, after: float | None, chance: float) -> float:
    """The time of the next try: `after` seconds where the other side named them, else full jitter over 1 s, 2 s, 4 s …

    `attempts` counts the tries that failed before this one, `chance` is in [0, 1).
    """
    if after is not None:
        return now + after
    return now + FIRST + chance * min(LONGEST, FIRST * 2.0 ** min(attempts, 16))
