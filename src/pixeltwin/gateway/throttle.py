"""How many hits one visitor's address, and one pixel, may bring (THREATS T4): the generic cell rate algorithm.

A cell holds when its sender would have paid for all that he brought, had he come at his rate. Each hit adds its share,
and one that would add more than a whole period is too many: of 60 a minute, sixty may come at once, then one a second.

The cells are a table of fixed size, so that a flood of addresses fills no memory, and front processes share it. Each
sender has two of them, found by a keyed hash: nobody can choose whom he shares a cell with, and only who shares both is
counted with another. Two processes that count in one cell at the same moment may let a hit more pass.
"""

import hashlib
import mmap
import os
import secrets
import tempfile
import time
import weakref
from collections.abc import Callable
from ipaddress import ip_network
from typing import Final

from pixeltwin.units import Rate

CELLS: Final = 1 << 18
KEY: Final = 16  # bytes before the cells, with which senders are hashed
SIZE: Final = KEY + 8 * CELLS  # 2 MiB, of which only what is used takes memory
IPV6_SITE: Final = 64  # bits: whoever has one address has all that share these


class Cells:
    """The table. `fd` is for another process, which opens it by `Cells(fd)`."""

    def __init__(self, fd: int | None = None) -> None:
        self.fd = fd if fd is not None else _made()
        weakref.finalize(self, os.close, self.fd)
        table = mmap.mmap(self.fd, SIZE)
        self._key = table[:KEY]
        self._paid = memoryview(table)[KEY:].cast("d")

    def take(self, sender: str, rate: Rate, now: float) -> bool:
        """Count one of the sender's hits; False, and it does not count, when it is too many. `now` is monotonic."""
        found = hashlib.blake2b(sender.encode(), digest_size=8, key=self._key).digest()
        first, second = int.from_bytes(found[:4]) % CELLS, int.from_bytes(found[4:]) % CELLS
        paid = max(now, min(self._paid[first], self._paid[second])) + rate.period / rate.number
        if paid > now + rate.period:
            return False
        self._paid[first], self._paid[second] = max(paid, self._paid[first]), max(paid, self._paid[second])
        return True


class Throttle:
    """The rates of one config; None: any number may come."""

    def __init__(
        self,
        cells: Cells,
        *,
        per_visitor: Rate | None,
        per_pixel: Rate | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cells = cells
        self._per_visitor, self._per_pixel = per_visitor, per_pixel
        self._clock = clock

    def __call__(self, pixel_id: str, address: str | None) -> bool:
        """Whether the hit is one too many. Visitors of whom no public address is known are not told apart."""
        now = self._clock()
        if self._per_visitor and address and not self._cells.take(_site(address), self._per_visitor, now):
            return True
        return bool(self._per_pixel and not self._cells.take(f"pixel {pixel_id}", self._per_pixel, now))


def _made() -> int:
    """A new table, which nobody finds by a name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("pixeltwin-rates")
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.pwrite(fd, secrets.token_bytes(KEY), 0)
    os.truncate(fd, SIZE)
    return fd


def _site(address: str) -> str:
    """Who is behind an address."""
    return str(ip_network((address, IPV6_SITE), strict=False)) if ":" in address else address
