"""Who gets how much of a lease: pixels take turns, and a backlog is worked off from both ends."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

OLDEST: Final = 30  # % of what a pixel may take of a backlog: old items still meet their deadlines (DELIVERY 3)


def in_turn(pixels: Iterable[str], first_last_time: str) -> list[str]:
    """The pixels in the order of their ids, beginning after the one that began last time."""
    ordered = sorted(pixels)
    later = (pixel for pixel in ordered if pixel > first_last_time)
    return list(chain(later, (pixel for pixel in ordered if pixel <= first_last_time)))


def shares(limit: int, pixels: Sequence[str], count: Callable[[str, int], int]) -> dict[str, int]:
    """How many items each of the pixels gets, in their order; those that get none are left out.

    `count(pixel, most)` is how many items the pixel has, `most` at most. It is asked for no more than it takes to
    know that a share is full, so that a long backlog costs no more than a short one.
    """
    taken = dict.fromkeys(pixels, 0)
    hungry = list(pixels)
    while hungry and (left := limit - sum(taken.values())) > 0:
        more = max(1, left // len(hungry))
        wanted = {pixel: taken[pixel] + more for pixel in hungry[:left]}
        taken |= {pixel: count(pixel, most) for pixel, most in wanted.items()}
        hungry = hungry[left:] + [pixel for pixel, most in wanted.items() if taken[pixel] == most]
    return {pixel: number for pixel, number in taken.items() if number}


def ends(number: int) -> tuple[int, int]:
    """How many of that many items are the newest of a backlog, and how many the oldest."""
    oldest = -(-number * OLDEST // 100)
    return number - oldest, oldest
