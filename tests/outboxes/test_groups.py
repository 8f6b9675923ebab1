"""Appends that share a transaction end as they would one by one."""

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from pixeltwin.delivery.outbox import MINOR, MONEY, ORDINARY, REMEMBERED, Appended, NewItem, Tally
from pixeltwin.outboxes.sqlite.file import connect
from pixeltwin.outboxes.sqlite.intake import Order
from pixeltwin.outboxes.sqlite.store import Store

START = 1_795_461_700.0
ROWS = "SELECT * FROM outbox ORDER BY seq"
KEYS = """
SELECT destination, pixel_id, key, max(at) FROM (
    SELECT * FROM seen UNION SELECT destination, pixel_id, key, at FROM lately
)
GROUP BY destination, pixel_id, key HAVING max(at) > ?
"""

items = some.builds(
    NewItem,
    destination=some.sampled_from(["conversions_api", "pixel_relay"]),
    pixel_id=some.sampled_from(["1", "2"]),
    key=some.none() | some.sampled_from([b"a", b"b", b"c"]),
    payload=some.binary(max_size=20),
    subject=some.none() | some.sampled_from([b"ann", b"bob"]),
    hold_until=some.none() | some.just(START + 60),
    priority=some.sampled_from([MINOR, ORDINARY, MONEY]),
    deadline=some.just(START + 1000),
)
times = some.sampled_from([0.0, 1.0, REMEMBERED - 1, REMEMBERED, REMEMBERED + 61]).map(lambda after: START + after)
orders = some.lists(some.tuples(some.lists(items, max_size=3), times), max_size=8)


def appended(
    groups: Sequence[Sequence[Order]], fill: float, stride: int
) -> tuple[list[list[Appended]], list[Any], list[Any], dict[str, Tally], set[str]]:
    """What is answered and what is in the file behind a transaction for each group."""
    space: Any = SimpleNamespace(look=lambda db: fill, stride=stride, fill=fill)
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(connect(Path(folder) / "outbox.db")) as db:
        store, answers = Store(db, space), []
        store.synchronous = "off"
        for group in groups:
            with store.transaction():
                answers += store.append(group)
        expired = max((now for group in groups for _, now in group), default=START) - REMEMBERED
        return answers, list(db.execute(ROWS)), list(db.execute(KEYS, (expired,))), store.tally(), store.touched


@settings(max_examples=30, deadline=None)
@given(orders, some.sampled_from([0.0, 0.87, 0.96, 1.0]), some.sampled_from([1, 30, 10_000]))
def test_a_group_ends_as_its_orders_would_alone(orders: list[Order], fill: float, stride: int) -> None:
    assert appended([orders], fill, stride) == appended([[order] for order in orders], fill, stride)
