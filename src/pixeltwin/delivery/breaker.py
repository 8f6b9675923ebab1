"""Whoever keeps failing is left alone for a while, then asked by one post, whose end decides.

It differs from the sources' (`enrich/breaker.py`): many posts are under way when it opens, a share of failures opens
it too, each rest is longer than the one before, and it is opened on order, for a throttle or a wrong token.
"""

from collections import deque
from enum import IntEnum
from typing import Final

IN_A_ROW: Final = 5  # failures; fewer would open it at one restart over there
WINDOW: Final = 20  # posts of which half may not fail
FIRST_REST: Final = 5.0  # seconds; a deployment over there is over by then
LONGEST_REST: Final = 60.0  # one small post a minute is no burden, and finds the end of an outage in time
PROBE_SECONDS: Final = 20.0  # longer than a post takes: a probe that is never heard of again must not close it for ever


class State(IntEnum):
    """As in the metric `pixeltwin_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Opens after five failures in a row, or when half of the last twenty failed. `now` is any steady clock's."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._failures: deque[bool] = deque(maxlen=WINDOW)
        self._rests = 0
        self.is_closed = True
        self._is_probed = False
        self.until = 0.0  # nobody is let through before

    def state(self, now: float) -> State:
        if self.is_closed:
            return State.CLOSED
        return State.OPEN if now < self.until and not self._is_probed else State.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether a post may go now. Of those that ask when the rest is over, one may: its end has to be told."""
        if self.is_closed:
            return True
        if now < self.until:
            return False
        self._is_probed, self.until = True, now + PROBE_SECONDS
        return True

    def succeeded(self) -> bool:
        """Note a post that was answered; answers whether that closed it."""
        self._note(failed=False)
        if self.is_closed or not self._is_probed:
            return False  # a post that was under way when it opened says nothing new
        self.close()
        return True

    def failed(self, now: float) -> bool:
        """Note a post that failed; answers whether that opened it, for a longer rest each time."""
        self._note(failed=True)
        if not (self._is_probed or (self.is_closed and self._is_too_much())):
            return False
        self.open(now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(self._rests, 16)))
        self._rests += 1
        return True

    def open(self, until: float) -> None:
        """Let nobody through before `until`, and then one."""
        self.is_closed, self._is_probed, self.until = False, False, until

    def close(self) -> None:
        self.is_closed, self._is_probed = True, False
        self._in_a_row, self._rests = 0, 0
        self._failures.clear()

    def _note(self, *, failed: bool) -> None:
        self._in_a_row = self._in_a_row + 1 if failed else 0
        self._failures.append(failed)

    def _is_too_much(self) -> bool:
        is_half = len(self._failures) == WINDOW and sum(self._failures) * 2 >= WINDOW
        return self._in_a_row >= IN_A_ROW or is_half
