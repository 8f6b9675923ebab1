"""What travels together."""

from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.delivery.batches import BACKLOG, BACKLOGGED, HEALTHY, Ready, Size, cut, groups, size_for
from pixeltwin.delivery.outbox import Item

PARCELS = st.lists(
    st.tuples(
        st.builds(
            Item,
            seq=st.integers(),
            pixel_id=st.sampled_from("12"),
            payload=st.just(b""),
            attempts=st.just(0),
            appended_at=st.just(0.0),
        ),
        st.builds(
            Ready,
            st.binary(max_size=30),
            st.sampled_from(["", "TEST1", "TEST2"]),
            st.sampled_from(["", "rule"]),
        ),
    ),
    max_size=40,
)


@given(PARCELS)
def test_a_group_holds_one_pixel_one_test_code_and_one_token_and_nothing_is_left_out(parcels):
    made = list(groups(parcels))
    for group in made:
        assert len({(item.pixel_id, ready.test_event_code, ready.credential) for item, ready in group}) == 1
    assert sorted(map(repr, parcels)) == sorted(repr(one) for group in made for one in group)


@given(PARCELS, st.integers(1, 10), st.integers(1, 100))
def test_a_batch_is_neither_too_long_nor_too_heavy_unless_one_event_is(parcels, events, octets):
    batches = list(cut(tuple(parcels), Size(events, octets)))
    assert [one for batch in batches for one in batch] == parcels
    for batch in batches:
        assert 1 <= len(batch) <= events
        assert len(batch) == 1 or sum(len(ready.payload) for _, ready in batch) <= octets


def test_batches_are_small_while_all_is_well_and_large_under_a_backlog():
    assert size_for(0, 1000) == HEALTHY == Size(200, 524_288)
    assert size_for(BACKLOG + 1, 1000) == BACKLOGGED == Size(1000, 1_048_576)
    assert size_for(BACKLOG + 1, 1).events == 1
