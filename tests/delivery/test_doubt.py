"""A refusal that nobody has documented: the event's fault, or that of all the pixel sends."""

import math

import orjson
import pytest

from pixeltwin.delivery.doubt import TRIES, Doubt, Ruling, ruling, shape_of

REFUSED = Doubt("5/12", "Lead: a b", 100.0)
ALIKE = Doubt("5/12", "Lead: a b", 50.0)
UNLIKE = Doubt("5/12", "Purchase: a c", 50.0)
NEVER = -math.inf


@pytest.mark.parametrize(
    ("earlier", "taken_at", "attempts", "expected"),
    [
        (None, NEVER, 0, Ruling.WAIT),
        (None, 99.0, 0, Ruling.WAIT),  # the pixel was taken before, which may have changed
        (None, 100.0, 0, Ruling.DATA),
        (ALIKE, 60.0, 0, Ruling.DATA),  # taken since the first refusal
        (ALIKE, NEVER, 0, Ruling.WAIT),
        (UNLIKE, NEVER, 0, Ruling.SETUP),
        (UNLIKE, 60.0, 0, Ruling.DATA),
        (Doubt("7", "Purchase: a c", 50.0), NEVER, 0, Ruling.WAIT),  # another code
        (Doubt("5/12", "Lead: a b", 50.0, is_setup=True), NEVER, 0, Ruling.SETUP),
        (None, NEVER, TRIES, Ruling.DATA),
        (UNLIKE, NEVER, TRIES, Ruling.SETUP),
    ],
)
def test_who_is_at_fault(earlier, taken_at, attempts, expected):
    assert ruling(REFUSED, earlier, taken_at=taken_at, attempts=attempts) is expected


def test_the_shape_is_the_name_and_the_fields_and_no_value():
    one = {"event_name": "Lead", "event_id": "1", "user_data": {"em": ["a"]}}
    other = {"user_data": {"em": ["b"]}, "event_id": "2", "event_name": "Lead"}
    assert shape_of(orjson.dumps(one)) == shape_of(orjson.dumps(other))
    for change in ({"event_name": "Purchase"}, {"user_data": {"ph": ["a"]}}, {"custom_data": {}}):
        assert shape_of(orjson.dumps({**one, **change})) != shape_of(orjson.dumps(one))


@pytest.mark.parametrize("payload", [b"", b"[1]", b"\xff", b"null"])
def test_what_is_no_event_has_a_shape_too(payload):
    assert shape_of(payload) == ""
