"""What an outbox that fills up still takes, and how it tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from pixeltwin.delivery.outbox import MINOR, MONEY, ORDINARY, NewItem
from pixeltwin.delivery.shedding import Gauge, is_shed
from pixeltwin.telemetry import REGISTRY

FILLS = st.floats(0, 2)
ITEMS = st.builds(
    NewItem,
    destination=st.just("conversions_api"),
    pixel_id=st.just("1"),
    key=st.none() | st.binary(min_size=16, max_size=16),
    payload=st.binary(),
    subject=st.none() | st.binary(min_size=16, max_size=16),
    priority=st.sampled_from([MINOR, ORDINARY, MONEY]),
)


@given(ITEMS, FILLS)
def test_what_matters_more_is_never_shed_before_what_matters_less(item: NewItem, fill: float) -> None:
    shed = [is_shed(item._replace(priority=priority), fill) for priority in (MONEY, ORDINARY, MINOR)]
    assert shed == sorted(shed)


@given(ITEMS, FILLS, FILLS)
def test_what_is_shed_is_shed_in_a_fuller_outbox_too(item: NewItem, one: float, other: float) -> None:
    assert is_shed(item, min(one, other)) <= is_shed(item, max(one, other))


@pytest.mark.parametrize(
    ("priority", "last", "first"), [(MINOR, 0.85, 0.90), (ORDINARY, 0.9499, 0.95), (MONEY, 0.9999, 1.0)]
)
@given(item=ITEMS)
def test_the_marks(item: NewItem, priority: int, last: float, first: float) -> None:
    assert not is_shed(item._replace(priority=priority), last)
    assert is_shed(item._replace(priority=priority), first)


@given(ITEMS, ITEMS, FILLS)
def test_the_twin_and_the_copy_of_a_browser_share_their_fate(twin: NewItem, copy: NewItem, fill: float) -> None:
    subject = twin.subject or b"somebody"
    fates = {is_shed(it._replace(subject=subject, priority=twin.priority), fill) for it in (twin, copy)}
    assert len(fates) == 1


def test_half_way_about_half_of_the_browsers_are_counted() -> None:
    item = NewItem(destination="conversions_api", pixel_id="1", key=None, payload=b"")
    shed = sum(is_shed(item._replace(subject=b"browser %d" % number), 0.875) for number in range(1000))
    assert 400 < shed < 600


def test_each_mark_is_told_once_until_the_outbox_has_emptied_again() -> None:
    with capture_logs() as logs:
        gauge = Gauge("test")
        for fill in (0.1, 0.7, 0.69, 0.71, 0.86, 0.96, 1.0, 0.99, 1.2, 0.5, 0.72):
            gauge.show(fill)
    assert [line["percent"] for line in logs] == [70, 86, 96, 100, 72]
    assert REGISTRY.get_sample_value("pixeltwin_outbox_fill", {"outbox": "test"}) == 0.72
