"""An event as Meta gets it: one text, however it is printed."""

import json

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import Content, CustomData, ServerEvent, UserData

HASH = "a" * 64
TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | NUMBER | TEXT
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=6)
PROPERTIES = st.dictionaries(TEXT.filter(lambda name: name not in CustomData.model_fields), JSON, max_size=3)


def event(**fields) -> ServerEvent:
    known = {"event_name": "Lead", "event_time": 1, "event_id": "e", "user_data": UserData(em=(HASH,), fbp="fb.1.2.3")}
    return ServerEvent.model_validate({**known, **fields})


@given(
    name=TEXT,
    value=st.none() | NUMBER,
    own=PROPERTIES,
    before=st.none() | PROPERTIES,
)
def test_the_bytes_say_what_the_values_say(name, value, own, before):
    contents = (Content(id=name, quantity=1, item_price=value),)
    properties = CustomData.model_validate({"value": value, "contents": contents, **own})
    made = event(event_name=name, custom_data=properties, original_event_data=before, data_processing_options=())
    assert orjson.loads(made.as_bytes()) == made.as_json()


def test_what_is_none_is_not_sent_and_what_is_empty_is():
    sent = json.loads(event(data_processing_options=(), custom_data=CustomData(value=0.0)).as_bytes())
    assert sent == {
        "event_name": "Lead",
        "event_time": 1,
        "event_id": "e",
        "action_source": "website",
        "user_data": {"em": [HASH], "fbp": "fb.1.2.3"},
        "custom_data": {"value": 0.0},
        "data_processing_options": [],
    }


def test_an_empty_custom_data_is_not_sent_and_one_that_somebody_names_so_is():
    before = {"custom_data": {}}
    sent = json.loads(event(custom_data=CustomData(value=None), original_event_data=before).as_bytes())
    assert ("custom_data" in sent, sent["original_event_data"]) == (False, before)
