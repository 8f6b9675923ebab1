"""Whether the machine's clock can be believed: it is held against one that nobody can turn.

A step forward makes whatever waits look late at once. If it was a mistake it will be put right, so that until then
little may be given up as too late; what is late is not sent meanwhile. A start counts as a step: the clock may have
been turned while nobody looked, and who was away for long loses nothing by tidying up slowly.

A step back makes what is late look as if it had time. A repeat must not count on that: how long ago an event may first
have arrived is known by the steady time, for as long as the process lives.
"""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from pixeltwin.delivery.outbox import REPEATABLE
from pixeltwin.telemetry import CLOCK_JUMPS, log

STEP: Final = 5.0  # seconds; a clock that is slewed gains three hundredths of one in a minute
DOUBT_SECONDS: Final = 2 * 3600.0  # after a step forward; time for somebody, or for NTP, to notice
SHARE: Final = 0.01  # of what waits, which may be given up each time that somebody asks, once a minute
LEAST: Final = 20  # items each time, so that a short queue is tidied up


class ClockGuard:
    """Watches `clock`, which tells unix seconds, by `ticks`, a steady time. `back` counts the steps back."""

    def __init__(self, clock: Callable[[], float] = time.time, ticks: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ticks = ticks
        self._offset = clock() - ticks()
        self._began = ticks()
        self._stepped_at = -math.inf
        self.back = 0
        self._arrived: dict[int, float] = {}  # by `seq`, when items may first have; the earliest first

    def arrived(self, seqs: Iterable[int]) -> None:
        """The items were sent and got no answer."""
        now = self._ticks()
        for seq in seqs:
            self._arrived.setdefault(seq, now)

    def ended(self, seqs: Iterable[int]) -> None:
        """The items will not be sent any more."""
        if not self._arrived:  # nearly always
            return
        for seq in seqs:
            self._arrived.pop(seq, None)

    def forbids(self, seq: int) -> bool:
        """Whether it is too late for the item to be sent once more, whatever the clock says."""
        return seq in self._arrived and self._ticks() - self._arrived[seq] >= REPEATABLE

    def look(self) -> float:
        """By how many seconds the clock was turned since the last look, 0 if it was not; counted and logged."""
        offset = self._clock() - self._ticks()
        step, self._offset = offset - self._offset, offset
        if abs(step) <= STEP:
            return 0.0
        CLOCK_JUMPS.labels("forward" if step > 0 else "back").inc()
        log.warning("the machine's clock was turned", seconds=round(step, 1))
        if step > 0:
            self._stepped_at = self._ticks()
        else:
            self.back += 1
        return step

    def believes(self) -> bool:
        """Whether what looks late is late."""
        self.look()
        return self._ticks() - self._stepped_at > DOUBT_SECONDS

    def ration(self, waiting: int) -> int | None:
        """How many of the items that wait may be given up now as too late; None: as many as are."""
        if self.believes() and self._ticks() - self._began > DOUBT_SECONDS:
            return None
        return max(LEAST, int(waiting * SHARE))
