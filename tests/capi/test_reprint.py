"""An event that was added to: its new bytes say what the event says."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.event import CustomData, ServerEvent, UserData
from pixeltwin.capi.reprint import reprinted

HASHES = st.lists(st.sampled_from(["a" * 64, "b" * 64, "c" * 32]), max_size=3, unique=True).map(tuple)
TEXTS = st.sampled_from(['"user_data":{', '"em":["' + "a" * 64 + '"]', "é", "}"]) | st.text(max_size=9)
PEOPLE = st.fixed_dictionaries(
    {},
    optional={
        "em": HASHES,
        "ph": HASHES,
        "external_id": HASHES,
        "fi": st.just("a" * 64),
        "fbp": TEXTS,
        "client_user_agent": TEXTS,
        "lead_id": TEXTS,
    },
)
MORE = st.fixed_dictionaries(
    {},
    optional={
        "em": st.none() | HASHES,
        "ph": HASHES,
        "zp": HASHES,
        "fi": st.just("b" * 64),
        "client_user_agent": TEXTS,
        "fbp": st.none(),
    },
)


def event(told, name, custom_data) -> ServerEvent:
    user_data = UserData.model_validate(told)
    return ServerEvent(event_name=name, event_time=1, event_id=name, user_data=user_data, custom_data=custom_data)


CUSTOM_DATA = st.none() | st.builds(CustomData, user_data=PEOPLE, currency=TEXTS)


@given(told=PEOPLE, name=TEXTS, custom_data=CUSTOM_DATA, more=MORE, value=st.none() | st.floats(0, 9))
def test_what_was_added_is_in_the_bytes_and_the_rest_as_it_was(told, name, custom_data, more, value):
    given_ = event(told, name, custom_data)
    changed = {"user_data": given_.user_data.model_copy(update=more)}
    if value is not None:
        changed["custom_data"] = CustomData(value=value)
    made = given_.model_copy(update=changed)
    assert orjson.loads(reprinted(made, given_, given_.as_bytes())) == made.as_json()


def test_an_event_to_which_nothing_was_added_is_sent_as_it_was_kept():
    kept = event({"fbp": "fb.1.2.3"}, "Lead", None)
    assert reprinted(kept, kept, b'{"as":"kept"}') == b'{"as":"kept"}'


def test_without_the_bytes_it_is_printed():
    kept = event({"fbp": "fb.1.2.3"}, "Lead", None)
    assert orjson.loads(reprinted(kept, kept, b"")) == kept.as_json()
