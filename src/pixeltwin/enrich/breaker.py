"""A source that keeps failing is left alone for a while: its time-outs would hold up every lease."""

from collections.abc import Callable
from typing import Final

FAILURES: Final = 5  # in a row; fewer would open it at a restart of the database
REST_SECONDS: Final = 10.0  # three probes fit into the 30 s that a twin waits for a source


class Breaker:
    """Opens after failures in a row; after a rest it lets one probe through, whose end decides."""

    def __init__(self, clock: Callable[[], float], *, failures: int = FAILURES, rest: float = REST_SECONDS) -> None:
        self._clock = clock
        self._limit = failures
        self._rest = rest
        self._failed = 0
        self._closed_until = 0.0  # nobody is let through before

    def admits(self) -> bool:
        """Whether the source may be asked now. Who was admitted has to report how it ended."""
        if self._failed < self._limit:
            return True
        if self._clock() < self._closed_until:
            return False
        self._closed_until = self._clock() + self._rest  # the probe is out: nobody else until it is back
        return True

    def succeeded(self) -> None:
        self._failed = 0

    def failed(self) -> None:
        self._failed += 1
        if self._failed >= self._limit:
            self._closed_until = self._clock() + self._rest
