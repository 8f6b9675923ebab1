"""Counters of what every hit does: nobody who looks misses a count."""

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from pixeltwin.telemetry import QuickCounter

LABELS = {"pixel": "shop", "outcome": "queued"}


def shown(registry: CollectorRegistry, counter: QuickCounter) -> float | None:
    lines = generate_latest(registry).decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith("hits_total{")), None)


def sampled(registry: CollectorRegistry, counter: QuickCounter) -> float | None:
    return registry.get_sample_value("hits_total", LABELS)


def collected(registry: CollectorRegistry, counter: QuickCounter) -> float | None:
    samples = [sample for family in counter.collect() for sample in family.samples]
    return next((sample.value for sample in samples if sample.name == "hits_total"), None)


@pytest.mark.parametrize("look", [shown, sampled, collected])
def test_whoever_looks_sees_what_was_counted_until_then(look: Callable[..., Any]) -> None:
    registry = CollectorRegistry()
    counter = QuickCounter("hits", "Hits.", list(LABELS), registry=registry)
    assert look(registry, counter) is None
    for expected in (1, 2):
        counter.count("shop", "queued")
        assert look(registry, counter) == expected
    counter.labels(**LABELS).inc(3)
    assert look(registry, counter) == 5
