"""What Meta refuses, with Meta's code (PROTOCOL 1.4, 1.5, 1.9, 1.11), and what it only remarks on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import NOW, PAGE, UA

from pixeltwin.capi.event import CustomData, EventJson, ServerEvent, UserData
from pixeltwin.capi.validate import DAY, Remark, refusal, remarks

HASH = ("62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f",)
KNOWN = UserData(em=HASH, client_user_agent=UA, client_ip_address="8.8.8.8")


def event(**changes: object) -> EventJson:
    given = {
        "event_name": "Lead",
        "event_time": int(NOW),
        "event_id": "e",
        "event_source_url": PAGE,
        "user_data": KNOWN,
    }
    return ServerEvent.model_validate(given | changes).as_json()


def purchase(**custom_data: object) -> EventJson:
    return event(event_name="Purchase", custom_data=CustomData.model_validate(custom_data))


def test_a_plain_event_is_fine():
    assert refusal(event(), NOW) is None
    assert list(remarks(event())) == []


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(event_time=int(NOW) - 7 * DAY - 1), "100/2804003"),
        (event(event_time=int(NOW) - 63 * DAY, action_source="physical_store"), "100/2804003"),
        (purchase(currency="EUR"), "100/2804009"),
        (purchase(value=9.5), "100"),
        (event(event_source_url=None), "100"),
        (event(data_processing_options=("LDU",)), "100"),
        (event(action_source="business_messaging"), "100/2804063"),
        (event(action_source="app"), "100/2804043"),
    ],
)
def test_what_meta_refuses_is_found_with_its_code(bad, code):
    found = refusal(bad, NOW)
    assert found is not None
    assert f"({code})" in str(found)


@given(keys=st.sets(st.sampled_from(sorted(UserData.model_fields))))
def test_keys_are_too_few_when_all_of_them_are_in_one_of_meta_s_lists(keys):
    lists = ("ct country st zp ge client_user_agent", "db client_user_agent", "fn ge", "ln ge")
    too_few = any(keys <= set(weak.split()) for weak in lists)
    found = refusal({**event(), "user_data": {key: list(HASH) for key in keys}}, NOW)
    assert (found == "insufficient_user_data") == too_few


@pytest.mark.parametrize(
    "weak",
    [
        UserData(client_user_agent=UA),
        UserData(ct=HASH, country=HASH, st=HASH, zp=HASH, ge=HASH, client_user_agent=UA),
        UserData(db=HASH, client_user_agent=UA),
        UserData(fn=HASH, ge=HASH),
        UserData(ln=HASH, ge=HASH),
        UserData(),
    ],
)
def test_an_event_that_matches_nobody_is_refused(weak):
    assert str(refusal(event(user_data=weak), NOW)) == "insufficient_user_data (100/2804050)"


@pytest.mark.parametrize(
    "enough",
    [
        UserData(client_ip_address="8.8.8.8", client_user_agent=UA),
        *(UserData.model_validate({key: HASH}) for key in ("em", "ph", "external_id")),
        UserData(fbp="fb.1.1795461138686.39550"),
        UserData(fbc="fb.1.1795461138686.AbC"),
        UserData(fn=HASH, ln=HASH),
    ],
)
def test_one_identifier_is_enough(enough):
    assert refusal(event(user_data=enough), NOW) is None


@pytest.mark.parametrize(
    "fine",
    [
        event(event_time=int(NOW) - 7 * DAY + 60),
        event(event_time=int(NOW) - 61 * DAY, action_source="physical_store"),
        purchase(value=0, currency="EUR"),
        event(action_source="system_generated", event_source_url=None),
        event(data_processing_options=()),
        event(data_processing_options=("LDU",), data_processing_options_country=0, data_processing_options_state=0),
    ],
)
def test_what_meta_takes_is_not_refused(fine):
    assert refusal(fine, NOW) is None


@pytest.mark.parametrize(
    ("odd", "warning"),
    [
        (event(user_data=UserData(em=HASH, client_ip_address="8.8.8.8")), Remark.NO_USER_AGENT),
        (event(user_data=UserData(em=HASH, client_user_agent=UA)), Remark.NO_CLIENT_IP),
        (event(custom_data=CustomData.model_validate({"content_type": "products"})), Remark.UNKNOWN_CONTENT_TYPE),
        (event(custom_data=CustomData(value=1.0)), Remark.VALUE_WITHOUT_CURRENCY),
        (
            event(
                data_processing_options=("LDU",),
                data_processing_options_country=0,
                data_processing_options_state=0,
                user_data=UserData(em=HASH, client_user_agent=UA),
            ),
            Remark.LIMITED_WITHOUT_CLIENT_IP,
        ),
    ],
)
def test_what_meta_only_remarks_on_is_a_warning(odd, warning):
    assert refusal(odd, NOW) is None
    assert warning in remarks(odd)
