"""When a failed delivery is tried again, and for how long a pixel rests that is refused as a whole."""

from typing import Final

FIRST: Final = 1.0  # seconds
LONGEST: Final = 300.0
FIRST_PARK: Final = 60.0  # throttles count by the minute at least, and humans mend nothing faster
LONGEST_PARK: Final = 900.0


def retry_at(now: float, attempts: int, after: float | None, chance: float) -> float:
    """The time of the next try: `after` seconds where the other side named them, else full jitter over 1 s, 2 s, 4 s …

    `attempts` counts the tries that failed before this one, `chance` is in [0, 1).
    """
    if after is not None:
        return now + after
    return now + FIRST + chance * min(LONGEST, FIRST * 2.0 ** min(attempts, 16))


def park_seconds(times: int, after: float | None = None) -> float:
    """How long to leave a pixel alone: `after` where the other side named it, else 60 s, 120 s … 15 min.

    `times` counts the parks before this one, with nothing taken since.
    """
    return after if after is not None else min(LONGEST_PARK, FIRST_PARK * 2.0 ** min(times, 16))
