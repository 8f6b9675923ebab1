"""What an outbox still takes when it fills up: page views are shed first, what carries money last.

Between `SAMPLE_FROM` and `SAMPLE_TO` ever fewer of the minor items are taken. Which ones is drawn by browser, so that
the twin and the copy of one hit go the same way, and who is counted is counted throughout: like a poll, not like noise.
"""

import zlib
from bisect import bisect
from typing import Final

from pixeltwin.delivery.outbox import MINOR, MONEY, NewItem
from pixeltwin.telemetry import OUTBOX_FILL, log

WARN_FROM: Final = 0.70  # of the bound
SAMPLE_FROM: Final = 0.85  # minor items begin to be shed
SAMPLE_TO: Final = 0.90  # and none is taken any more: the rest of the room is not theirs
MONEY_FROM: Final = 0.95  # nothing else is taken
FULL: Final = 1.0
RELAX: Final = 0.05  # so far it has to fall below a mark before that is told again

MARKS: Final = {
    WARN_FROM: "the outbox fills up",
    SAMPLE_FROM: "the outbox fills up: page views are shed",
    MONEY_FROM: "the outbox fills up: all is shed that carries neither money nor a lead",
    FULL: "the outbox is full: everything is shed",
}
LEVELS: Final = (0.0, *MARKS)


def is_shed(item: NewItem, fill: float) -> bool:
    """Whether there is no room for the item in an outbox that is so full (1 is its bound)."""
    if item.priority > MINOR:
        return fill >= (FULL if item.priority >= MONEY else MONEY_FROM)
    return fill > SAMPLE_FROM and _drawn(item) < (fill - SAMPLE_FROM) / (SAMPLE_TO - SAMPLE_FROM)


def _drawn(item: NewItem) -> float:
    """The item's lot, evenly from 0 to 1: its browser's, or its own where nobody knows the browser."""
    return zlib.crc32(item.subject or item.key or item.payload) / (1 << 32)


class Gauge:
    """Tells how full an outbox is: as a metric, and in the log once for each mark that is passed."""

    def __init__(self, name: str) -> None:
        self._metric = OUTBOX_FILL.labels(name)
        self._name = name
        self._told = 0.0  # the highest mark that was told and still holds

    def show(self, fill: float) -> None:
        self._metric.set(fill)
        passed = LEVELS[bisect(LEVELS, fill) - 1]
        if passed > self._told:
            log.warning(MARKS[passed], outbox=self._name, percent=int(fill * 100))
        if passed > self._told or fill < self._told - RELAX:
            self._told = passed
