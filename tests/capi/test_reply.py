"""Meta's answers and what each asks of us (PROTOCOL 1.11, DELIVERY 3)."""

import json
import os
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.reply import LONGEST_WAIT, Accepted, Fault, GraphError, asked_wait, parse_reply

VECTORS = Path(
    os.environ.get("PIXELTWIN_VECTORS", Path(__file__).parents[3] / "shared/vectors"), "delivery_errors.json"
)


def error(status: int, code: int, subcode: int = 0, **more: object) -> GraphError:
    body = {"error": {"message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode, **more}}
    reply = parse_reply(status, orjson.dumps(body))
    assert isinstance(reply, GraphError)
    return reply


def test_an_accepted_batch_names_its_trace():
    assert parse_reply(200, b'{"events_received":2,"messages":[],"fbtrace_id":"A1b2"}') == Accepted(2, "A1b2")


def test_trace_and_messages_may_be_missing():
    assert parse_reply(200, b'{"events_received":1}') == Accepted(1, "")


def test_a_batch_of_which_nothing_was_counted_was_answered_all_the_same():
    assert parse_reply(200, b'{"events_received":0}') == Accepted(0, "")


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        (Fault.TRANSIENT, (1, 2, 341, 5000, 21009, 368, -1, -2)),
        (Fault.THROTTLE, (4, 17, 32, 613, 80000, 80003, 80004, 80014)),
        (Fault.SETUP, (190, 102, 104, 10, 3, 200, 299, 294, 803)),
        (Fault.DATA, (100, 105)),
        (Fault.TOO_BIG, (-3,)),
        (Fault.UNKNOWN, (5, 2500, 2635, 300, 80015)),
    ],
)
def test_the_code_tells_the_fault(fault, codes):
    assert {error(400, code).fault for code in codes} == {fault}


@pytest.mark.parametrize("subcode", [0, 2804001, 2804003, 2804009, 2804050, 2804066, 34])
def test_an_invalid_parameter_is_the_event_s_fault(subcode):
    assert error(400, 100, subcode).fault is Fault.DATA


def test_a_pixel_that_is_not_there_is_a_fault_of_the_set_up():
    assert error(400, 100, 33).fault is Fault.SETUP


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (408, Fault.TRANSIENT),
        (413, Fault.TOO_BIG),
        (429, Fault.THROTTLE),
        (500, Fault.TRANSIENT),
        (503, Fault.TRANSIENT),
    ],
)
@pytest.mark.parametrize("code", [100, 190, 5])
def test_the_status_decides_before_the_code(status, fault, code):
    assert error(status, code).fault is fault


def test_is_transient_decides_before_the_code():
    assert error(400, 100, 2804003, is_transient=True).fault is Fault.TRANSIENT
    assert error(401, 190, is_transient=True).fault is Fault.TRANSIENT


def test_a_throttle_is_one_whatever_it_comes_with():
    assert error(500, 17).fault is Fault.THROTTLE
    assert error(400, 4, is_transient=True).fault is Fault.THROTTLE


@pytest.mark.parametrize("body", [b"<html>Service Unavailable</html>", b"", b"[]", b"null", b'"Service Unavailable"'])
@pytest.mark.parametrize("status", [200, 302, 400, 502])
def test_a_body_that_is_not_graph_s_may_pass(status, body):
    reply = parse_reply(status, body)
    assert isinstance(reply, GraphError)
    assert (reply.fault, reply.codes) == (Fault.TRANSIENT, "")


def test_a_proxy_s_413_is_too_big_without_a_word_of_graph_s():
    reply = parse_reply(413, b"<html>413 Request Entity Too Large</html>")
    assert isinstance(reply, GraphError)
    assert reply.fault is Fault.TOO_BIG


def test_the_reason_shown_carries_code_subcode_and_what_meta_shows_to_users():
    told = error(400, 100, 2804003, error_user_title="Event Timestamp Too Old", error_user_msg="Send it sooner.")
    assert str(told) == "HTTP 400, code 100/2804003: Event Timestamp Too Old: Send it sooner."
    assert str(error(400, 100)) == "HTTP 400, code 100: m"


@pytest.mark.parametrize(
    "more",
    [
        {"error_data": {"blame_field_specs": [["data", "3", "event_time"]]}},
        {"error_data": '{"blame_field_specs":[["data","3"]]}'},
        {"error_data": {"blame_field_specs": [["data[3][user_data][em]"]]}},
        {"message": "(#100) Missing parameter data[3][event_name]"},
        {"error_user_msg": "data[3].event_time liegt zu weit zurück"},
    ],
)
def test_the_event_that_is_blamed_is_named_by_its_position(more):
    assert error(400, 100, 2804003, **more).blamed == (3,)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"error_data": "not JSON"},
        {"error_data": {"blame_field_specs": "data"}},
        {"error_data": {"blame_field_specs": [["data"], "data/3", None, [["data", "3"]]]}},
        {"error_data": {"blame_field_specs": [["user_data", "3"], ["metadata", "3"]]}},
        {"message": "metadata[3]"},
    ],
)
def test_nobody_is_blamed_where_no_event_is_named(more):
    assert error(400, 100, 2804003, **more).blamed == ()


@pytest.mark.parametrize("code", [190, 102, 104, 10, 200, 803])
def test_a_fault_of_the_set_up_says_what_to_do(code):
    assert error(400, code).remedy


def test_the_longest_wait_asked_for_is_heeded():
    usage = json.dumps({"1": [{"estimated_time_to_regain_access": 2}, {"estimated_time_to_regain_access": 5}]})
    assert asked_wait({"retry-after": "30", "x-business-use-case-usage": usage}, 0) == 300
    assert asked_wait({"retry-after": "30"}, 0) == 30
    assert asked_wait({"x-business-use-case": usage}, 0) == 300


def accepted(headers: dict[str, str]) -> Accepted:
    reply = parse_reply(200, b'{"events_received":1}', headers)
    assert isinstance(reply, Accepted)
    return reply


@pytest.mark.parametrize(
    ("headers", "usage", "after"),
    [  # as in Meta's documentation of rate limits: https://developers.facebook.com/docs/graph-api/overview/rate-limiting
        ({"x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":95}'}, 95, None),
        ({"x-ad-account-usage": '{"acc_id_util_pct":9.67,"reset_time_duration":100}'}, 9.67, None),
        (
            {
                "x-business-use-case-usage": '{"66782684":[{"type":"ads_management","call_count":95,"total_cputime":20,'
                '"total_time":20,"estimated_time_to_regain_access":0}],"10153848260347724":[{"type":"ads_insights",'
                '"call_count":97,"total_cputime":23,"total_time":23,"estimated_time_to_regain_access":2}]}'
            },
            97,
            120.0,
        ),
        ({"x-app-usage": '{"call_count":"95","total_time":true}', "x-business-use-case-usage": "[95]"}, 0, None),
        ({}, 0, None),
    ],
)
def test_an_accepted_batch_tells_how_much_of_what_is_allowed_has_been_used(headers, usage, after):
    assert (accepted(headers).usage, accepted(headers).after) == (usage, after)


def test_a_wait_may_be_a_date():
    assert asked_wait({"retry-after": "Wed, 25 Nov 2026 12:00:30 GMT"}, 1795608000) == 30  # 12:00:00 UTC that day


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "soon"},
        {"retry-after": "-5"},
        {"retry-after": "0"},
        {"retry-after": "Wed, 25 Nov 1999 12:00:30 GMT"},
        {"x-business-use-case-usage": "[1]"},
        {"x-business-use-case-usage": '{"1": {"estimated_time_to_regain_access": 5}}'},
        {"x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": "5"}, null]}'},
        {"x-business-use-case-usage": '{"1": [{"estimated_time_to_regain_access": 0}]}'},
    ],
)
def test_what_asks_for_no_wait_is_none(headers):
    assert asked_wait(headers, 1795608000) is None


def test_no_header_parks_a_pixel_for_ever():
    assert asked_wait({"retry-after": "9" * 400}, 0) == LONGEST_WAIT


@given(
    st.integers(100, 599),
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "code", "error_subcode", "error_data", "blame_field_specs", "events_received"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    ).map(orjson.dumps),
    st.text(max_size=30),
)
def test_no_answer_breaks_the_reader(status, body, header):
    parse_reply(status, body, {"retry-after": header, "x-business-use-case-usage": header, "x-app-usage": header}, 0)


# Where we decide otherwise than the peer whose answers the vectors are, by (status, code, subcode).
HELD = "PROTOCOL 1.11: a human must mend it; the events wait and are not dropped"
STATUS_FIRST = "PROTOCOL 1.11: a 5xx is tried again whatever its code says; that code came live with a 401"
UNDOCUMENTED = "DELIVERY 3: an unknown 4xx is taken for the event's fault until another event is refused alike"
DIVERGENCES = {
    (500, 190, 0): (Fault.TRANSIENT, STATUS_FIRST),
    (500, 3, 10): (Fault.TRANSIENT, STATUS_FIRST),
    (400, 100, 33): (Fault.SETUP, HELD),
    (400, 3, 0): (Fault.SETUP, HELD),
    (400, 200, 0): (Fault.SETUP, HELD),
    (400, 294, 0): (Fault.SETUP, HELD),
    (412, 5, 12): (Fault.UNKNOWN, UNDOCUMENTED),
    (400, 5, 12): (Fault.UNKNOWN, UNDOCUMENTED),
}
OUTCOMES = {
    "retry": Fault.TRANSIENT,
    "throttle": Fault.THROTTLE,
    "auth": Fault.SETUP,
    "abort": Fault.DATA,
}


def test_a_peer_s_answers_are_decided_alike_but_where_we_know_better():
    if not VECTORS.exists():
        pytest.skip(f"{VECTORS} is not there")
    met = set()
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        status, body = vector["input"]["http_status"] or 400, vector["input"]["body"]
        reply = parse_reply(status, orjson.dumps(body))
        if vector["expected"]["outcome"] == "ok":
            assert isinstance(reply, Accepted)
            continue
        assert isinstance(reply, GraphError)
        case = (status, reply.code, reply.subcode)
        expected, _ = DIVERGENCES.get(case, (OUTCOMES[vector["expected"]["outcome"]], ""))
        assert (case, reply.fault) == (case, expected)
        met.add(case)
    assert met >= DIVERGENCES.keys()  # a divergence that is no longer met has to go
