"""What an outbox holds and has done, as metrics, and whether its counts agree with its rows."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

from pixeltwin.delivery.outbox import Depth, Outbox
from pixeltwin.telemetry import OUTBOX, OUTBOX_TALLY, UNACCOUNTED, log

CHECK_SECONDS: Final = 60.0  # between two looks at every row


class Books:
    """The gauges of one outbox."""

    def __init__(self) -> None:
        self._check_at = -math.inf

    async def show(self, outbox: Outbox) -> Mapping[str, Depth]:
        """Set the gauges; answers the depth by destination. Raises `OSError`, and some stay as they were."""
        depths, tallies = await outbox.stats(), await outbox.tally()
        for destination, tally in tallies.items():  # one where nothing waits has no depth
            depth = depths.get(destination, Depth())
            for state in ("ready", "leased", "held", "dead"):
                OUTBOX.labels(destination, state).set(getattr(depth, state))
            for what, number in asdict(tally).items():
                OUTBOX_TALLY.labels(destination, what).set(number)
        if time.monotonic() >= self._check_at:
            self._check_at = time.monotonic() + CHECK_SECONDS
            await self._check(outbox)
        return depths

    async def _check(self, outbox: Outbox) -> None:
        for destination, number in (await outbox.unaccounted()).items():
            UNACCOUNTED.labels(destination).set(number)
            if number:
                log.error("the outbox's counts do not add up", destination=destination, unaccounted=number)
