"""Python's garbage collector, in a process that takes hits."""

import gc
from typing import Final

SELDOM: Final = 50_000  # objects more than before; 2,000 is Python's own, which one group of waiting hits exceeds


def collect_seldom() -> None:
    """Let the collector look at nothing that there is by now, and at the rest more seldom.

    A hit's objects go without it, with the last who refers to them; it is for what connections leave. It would go
    through all hits that wait again and again, and at times through everything that the program is made of: half of
    what a hit cost at 1,000 connections.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(SELDOM, *gc.get_threshold()[1:])
