"""How many connections an address has open at once (THREATS T11)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Callers:
    """Who has connections to this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def one_more(self, address: str, most: int | None) -> Iterator[bool]:
        """Whether the address may have one more connection, which counts until the block ends. None: any number."""
        if most is not None and self._open[address] >= most:
            yield False
            return
        self._open[address] += 1
        try:
            yield True
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
