"""The outbox's numbers among the metrics: they add up, follow what happens, and say so when they do not."""

import time
from collections.abc import AsyncIterator

import pytest

from pixeltwin.delivery.outbox import Delivered, NewItem, Outbox
from pixeltwin.gateway.books import Books
from pixeltwin.outboxes.memory import MemoryOutbox
from pixeltwin.telemetry import REGISTRY

CAPI = "conversions_api"
ENDS = ("delivered", "dropped", "dead", "expired", "purged", "lost")


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    outbox = MemoryOutbox(time.time)
    await outbox.append([NewItem(destination=CAPI, pixel_id="1", key=None, payload=b"{}") for _ in range(3)])
    yield outbox
    await outbox.close()


def metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"pixeltwin_outbox_{name}", {"destination": CAPI, **labels})


async def deliver(outbox: Outbox, number: int) -> None:
    lease = await outbox.lease(CAPI, limit=number, seconds=60)
    await outbox.settle(lease, {item.seq: Delivered() for item in lease.items})


async def test_what_was_accepted_is_what_ended_and_what_waits(outbox) -> None:
    await deliver(outbox, 1)
    await Books().show(outbox)
    ended = sum(metric("total", what=what) for what in ENDS)
    waits = sum(metric("events", state=state) for state in ("ready", "leased", "held"))
    assert (metric("total", what="accepted"), metric("total", what="requeued"), ended, waits) == (3, 0, 1, 2)
    assert metric("unaccounted") == 0


async def test_a_queue_that_is_empty_again_is_shown_to_be_so(outbox) -> None:
    books = Books()
    await books.show(outbox)
    assert metric("events", state="ready") == 3
    await deliver(outbox, 3)
    await books.show(outbox)
    assert metric("events", state="ready") == 0


async def test_what_has_vanished_is_unaccounted_for(outbox) -> None:
    outbox._rows.popitem()
    await Books().show(outbox)
    assert metric("unaccounted") == 1
