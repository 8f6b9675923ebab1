"""Meta's answers and what follows from them (PROTOCOL 1.11: decided by code, in that order)."""

import orjson
import pytest

from pixeltwin.capi.reply import Accepted, GraphError, parse_reply


def error(status: int, code: int, subcode: int = 0, **more: object) -> GraphError:
    body = {"error": {"message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode, **more}}
    reply = parse_reply(status, orjson.dumps(body))
    assert isinstance(reply, GraphError)
    return reply


def test_an_accepted_batch_names_its_trace():
    assert parse_reply(200, b'{"events_received":2,"messages":[],"fbtrace_id":"A1b2"}') == Accepted(2, "A1b2")


def test_trace_and_messages_may_be_missing():
    assert parse_reply(200, b'{"events_received":1}') == Accepted(1, "")


@pytest.mark.parametrize(
    ("code", "subcode"),
    [(100, 2804003), (100, 2804009), (100, 2804050), (100, 2804043), (100, 0), (105, 0), (2500, 0)],
)
def test_a_fault_of_the_data_will_not_pass(code, subcode):
    assert error(400, code, subcode).is_about_the_data


@pytest.mark.parametrize(
    ("status", "code", "subcode"),
    [
        *((400, code, 0) for code in (1, 2, 341, 5000, 21009, -3, 368)),  # transient
        *((400, code, 0) for code in (4, 17, 32, 613, 80000, 80003, 80004, 80014)),  # throttled
        *((401, code, 0) for code in (190, 102, 104, 10, 3, 200, 299, 294, 803)),  # a human must act; never dropped
        (400, 100, 33),
        (429, 100, 0),
        (500, 100, 2804003),
        (503, 100, 0),
        (408, 100, 0),
    ],
)
def test_everything_else_waits(status, code, subcode):
    assert not error(status, code, subcode).is_about_the_data


def test_is_transient_decides_before_the_code():
    assert not error(400, 100, 2804003, is_transient=True).is_about_the_data


@pytest.mark.parametrize("body", [b"<html>Service Unavailable</html>", b"", b"[]", b"null", b'"Service Unavailable"'])
@pytest.mark.parametrize("status", [200, 400, 502])
def test_a_body_that_is_not_graph_s_may_pass(status, body):
    reply = parse_reply(status, body)
    assert isinstance(reply, GraphError)
    assert not reply.is_about_the_data


def test_the_message_shown_carries_code_and_subcode():
    assert str(error(400, 100, 2804003, error_user_msg="Too old")) == "HTTP 400, code 100/2804003: Too old"
