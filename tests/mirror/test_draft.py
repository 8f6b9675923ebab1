"""A draft as the outbox keeps it: read back as it was, whoever wrote it."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData, ServerEvent, UserData
from pixeltwin.mirror import Draft, record_id_of

# texts that look like the layout itself
TEXTS = st.sampled_from(['"event":{', ',"event":{"event_name":"x"}}', "record_id", '"record_id"']) | st.text(max_size=8)
MAPPINGS = st.dictionaries(st.sampled_from(["event", "record_id"]) | TEXTS, TEXTS, max_size=2)
JSON = st.recursive(TEXTS | st.integers(-9, 9), lambda inner: st.dictionaries(TEXTS | st.just("event"), inner))
EVENTS = st.builds(
    ServerEvent,
    event_name=TEXTS,
    event_time=st.just(1),
    event_id=TEXTS,
    user_data=st.builds(UserData, client_user_agent=st.none() | TEXTS, fbp=st.none() | TEXTS),
    custom_data=st.none()
    | st.builds(CustomData, value=st.none() | st.just(0.0), currency=st.none() | TEXTS, event=JSON),
    original_event_data=st.none() | st.dictionaries(st.just("event"), JSON),
).map(ServerEvent.as_json)
DRAFTS = st.builds(
    Draft,
    pixel_id=st.just("1"),
    event=EVENTS,
    keys=MAPPINGS,
    notes=st.tuples(TEXTS),
    record_id=TEXTS,
    rules=st.tuples() | st.tuples(TEXTS),
    elements=MAPPINGS,
    remember=st.booleans(),
)


@given(DRAFTS)
def test_a_draft_is_read_as_it_was(draft):
    payload = draft.as_bytes()
    assert Draft.from_bytes(payload) == draft
    assert record_id_of(payload) == draft.record_id


@given(DRAFTS)
def test_one_that_has_its_event_elsewhere_is_read_as_well(draft):
    """As version 0.1 kept them: such drafts may wait when a newer version starts."""
    known = orjson.loads(draft.as_bytes())
    payload = orjson.dumps({"pixel_id": known.pop("pixel_id"), "event": known.pop("event"), **known})
    assert Draft.from_bytes(payload) == draft
    assert record_id_of(payload) == draft.record_id


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b'{"pixel_id":"1"}',
        b'{"pixel_id":"1","event":{}}',
        b'{"pixel_id":"1","event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{}}',
        b'{"pixel_id":"1","event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{}}}}',
        b'{"pixel_id":"1","event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{}},"more":1}',
        b'{"pixel_id":"1","keys":"text","event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{}}}',
        b'{"pixel_id":"1","more":1,"event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{}}}',
        b'{"pixel_id":"1","event":{"event_name":"a","event_time":1,"event_id":"e","user_data":{"em":["x"]}}}',
    ],
)
def test_what_is_no_draft_is_refused(payload):
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is all that callers rely on
        Draft.from_bytes(payload)
    assert record_id_of(payload) == ""
