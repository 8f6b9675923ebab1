"""A test event code: for some events, and for some time."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from tests.factories import NOW, hit_query, request

from .factories import admitted, policy, rules

ELEMENT = {"x": {"custom_data": "x"}}
MINE = 'http.cookies["px_test"] == "1"'
NOW_IS = "2026-11-23T19:23:20Z"


def code(test_event: object, *, at: float = NOW, cookie: str = "", **hit: str) -> str:
    arrived = replace(request(hit_query("Lead", eid="1", **hit), headers={"cookie": cookie}), received_at=at)
    return admitted(policy({"then": {"test_event": test_event}}, elements=ELEMENT), arrived).draft.test_event_code


@pytest.mark.parametrize("given", ["TEST1", "{{ x }}", {"cel": "hit['cd[x]']"}])
def test_a_code_is_a_literal_a_data_element_or_an_expression(given):
    assert code({"code": given}, cd_x="TEST1") == "TEST1"


@pytest.mark.parametrize("given", ["{{ x }}", {"cel": "hit.nothing"}, {"cel": "event.event_name * 2.0"}])
def test_without_a_code_the_event_is_a_live_one(given):
    assert code({"code": given}) == ""


def test_a_code_is_for_the_events_for_which_its_condition_holds():
    assert code({"code": "TEST1", "when": MINE}, cookie="px_test=1") == "TEST1"
    assert code({"code": "TEST1", "when": MINE}, cookie="px_test=2") == ""
    assert code({"code": "TEST1", "when": MINE}) == ""


def test_a_condition_that_fails_is_a_fault_and_the_event_a_live_one():
    broken = policy({"then": {"test_event": {"code": "TEST1", "when": "double(event.event_name) > 1.0"}}})
    admission = admitted(broken)
    assert (admission.draft.test_event_code, admission.ruled.faults) == ("", ["r0"])


@pytest.mark.parametrize(
    ("until", "at", "is_used"),
    [
        ("2026-11-23", "23:59:59", True),  # a day counts to its end
        ("2026-11-22", "00:00:01", False),
        ("2026-11-23T20:00:00Z", "19:59:59", True),
        ("2026-11-23T20:00:00Z", "20:00:01", False),
        ("2026-11-23T20:00:00", "20:00:01", False),
        ("2026-11-23T20:00:00+02:00", "18:00:01", False),
        ("2026-11-23T20:00:00+02:00", "17:59:59", True),
        ("9999-12-31", "12:00:00", True),
    ],
)
def test_a_code_is_over_at_its_time(until, at, is_used):
    hours, minutes, seconds = map(int, at.split(":"))
    midnight = NOW - (19 * 3600 + 23 * 60 + 20)
    when = midnight + hours * 3600 + minutes * 60 + seconds
    assert code({"code": "TEST1", "until": until}, at=when) == ("TEST1" if is_used else "")


def test_the_last_code_that_is_to_be_used_counts():
    admission = admitted(
        policy(
            {"then": {"test_event": {"code": "TEST1"}}},
            {"then": {"test_event": {"code": "TEST2"}}},
            {"then": {"test_event": {"code": "TEST3", "when": "hit.x == '1'"}}},
        )
    )
    assert admission.draft.test_event_code == "TEST2"


@pytest.mark.parametrize("given", [{}, {"code": "T", "until": "soon"}, {"code": "T", "when": "1 +"}, {"code": None}])
def test_what_is_no_test_event_is_an_error_in_the_file(given):
    with pytest.raises(ValidationError):
        rules({"then": {"test_event": given}})
