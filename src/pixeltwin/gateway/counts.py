"""The counters of a front process, told to its back and added to its own: a front that ends takes none away."""

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import Counter

from pixeltwin import telemetry

COUNTERS: Final = tuple(one for one in vars(telemetry).values() if isinstance(one, Counter))

type Increment = tuple[int, Mapping[str, str], float]  # of which counter, with which labels, by how much


class Counts:
    """What this process has counted and has not told yet."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, tuple[str, ...]], float] = {}

    def take(self) -> list[Increment]:
        """By how much counters have grown since this was asked last."""
        increments: list[Increment] = []
        for index, counter in enumerate(COUNTERS):
            for sample in (
                one for metric in counter.collect() for one in metric.samples if one.name.endswith("_total")
            ):
                key = index, tuple(sample.labels.values())
                if by := sample.value - self._told.get(key, 0.0):
                    self._told[key] = sample.value
                    increments.append((index, sample.labels, by))
        return increments


def add(increments: Sequence[Increment]) -> None:
    """Count what another process has counted."""
    for index, labels, by in increments:
        counter = COUNTERS[index]
        (counter.labels(**labels) if labels else counter).inc(by)
