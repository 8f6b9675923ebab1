"""Logs that a flood does not fill: of one message so many lines in a period, then how many were left out.

What is logged for single hits or twins is counted by the metrics as well, so nothing is told by these lines alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from structlog.types import EventDict

PERIOD: Final = 10.0  # seconds
MOST: Final = 50  # lines of one message in it


@dataclass(slots=True)
class Window:
    """One message's period."""

    ends_at: float
    lines: int = 0

    @property
    def left_out(self) -> int:
        return max(0, self.lines - MOST)


class Sampler:
    """A processor of structlog. Messages are constants of the code; a config's warnings are not, and are all told."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[tuple[str, str | None], Window] = {}

    def __call__(self, logger: object, method: str, line: EventDict) -> EventDict:
        """The line; raises `DropEvent` for one too many. The first of another period has `left_out`."""
        now, message = self._clock(), (line["event"], line.get("warning"))
        window = self._windows.get(message)
        if window is None or now >= window.ends_at:
            if window and window.left_out:
                line["left_out"] = window.left_out
            window = self._windows[message] = Window(now + PERIOD)
        window.lines += 1
        if window.left_out:
            raise structlog.DropEvent
        return line
