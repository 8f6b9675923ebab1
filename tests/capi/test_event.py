"""An event as Meta gets it: what it lacks is not sent, and what is no event is refused."""

import hashlib
from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import Content, CustomData, ServerEvent, UserData, check

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
def test_an_event_s_json_is_that_of_the_same_event(name, value, own, before):
    contents = (Content(id=name, quantity=1, item_price=value),)
    properties = CustomData.model_validate({"value": value, "contents": contents, **own})
    made = event(event_name=name, custom_data=properties, original_event_data=before, data_processing_options=())
    sent = orjson.loads(orjson.dumps(made.as_json()))
    assert ServerEvent.model_validate(sent).as_json() == sent == made.as_json()
    check(sent)


def test_what_is_none_is_not_sent_and_what_is_empty_is():
    sent = event(data_processing_options=(), custom_data=CustomData(value=0.0)).as_json()
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
    sent = event(custom_data=CustomData(value=None), original_event_data=before).as_json()
    assert ("custom_data" in sent, sent["original_event_data"]) == (False, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"user_data": {"em": ["jane@mail.example"]}},
        {"user_data": {"email": [HASH]}},
        {"event_time": "yesterday"},
        {"action_source": "somewhere"},
        {"more": 1},
    ],
)
def test_what_is_no_event_is_refused(wrong):
    with pytest.raises(ValueError, match="ServerEvent"):
        check({**event().as_json(), **wrong})


def values_of(model):
    """For a field of the model, or another: what fits some of them, or anything."""
    names = st.sampled_from([*model.model_fields, "more"])
    hashes = st.sampled_from([HASH, "a" * 63, hashlib.sha256(b"").hexdigest()])
    content = st.fixed_dictionaries({"id": TEXT}, optional={"quantity": PLAIN, "item_price": PLAIN})
    fitting = st.integers(0, 9) | hashes | st.lists(hashes, max_size=2) | st.lists(content, max_size=2)
    return st.dictionaries(names, fitting | JSON, max_size=1)


@given(
    values_of(ServerEvent)
    | values_of(UserData).map(lambda told: {"user_data": told})
    | values_of(CustomData).map(lambda told: {"custom_data": told}),
    st.sampled_from(["", "", "", "event_name", "event_time", "event_id", "user_data", "action_source"]),
)
def test_what_is_checked_is_what_an_event_takes(changed, lacking):
    asked = {**event().as_json(), **changed}
    asked.pop(lacking, None)
    assert is_taken(check, asked) == is_taken(ServerEvent.model_validate, asked)


def is_taken(by, asked) -> bool:
    with suppress(ValueError):
        by(asked)
        return True
    return False
