"""How many connections an address has open at once (THREATS T11)."""

from collections import Counter
from typing import Final

from pixeltwin.pixel.answer import BUSY
from pixeltwin.proxy.wire import answer_bytes
from pixeltwin.telemetry import REFUSED_CONNECTIONS

REFUSAL: Final = answer_bytes(BUSY, close=True)  # what one too many is told before it is closed


class Callers:
    """Who has connections to this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def arrives(self, address: str, most: int | None) -> bool:
        """Whether the address may have one more connection, which counts until it `leaves`. None: any number."""
        if most is not None and self._open[address] >= most:
            REFUSED_CONNECTIONS.inc()
            return False
        self._open[address] += 1
        return True

    def leaves(self, address: str) -> None:
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]
