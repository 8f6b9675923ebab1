"""Policies: which applies, whose word counts, what follows, and what the config file refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pixeltwin import kinds
from pixeltwin.consent.policy import ConsentPolicy, decide
from pixeltwin.consent.signal import SIGNALS
from pixeltwin.consent.verdict import ALLOWED, Answer, Treatment

from .factories import POLICIES, cookies, policy, visit

YES, NO = cookies(ads="yes"), cookies(ads="no")
ALLOW, LIMIT, HOLD, DROP = Treatment

EXAMPLES = [example for module in kinds.modules(SIGNALS) for example in module.EXAMPLES]
WORDS = ["allow", "limit", "hold 30m", "drop"]


# Which policy applies.


def test_without_policies_all_is_allowed():
    assert decide({}, visit()) is ALLOWED


def test_where_no_policy_applies_all_is_allowed():
    assert decide({"eu": policy(where=["EEA"])}, visit(NO, country="US")) is ALLOWED


def test_a_policy_without_where_is_for_everywhere():
    assert decide({"all": policy()}, visit(NO)).policy == "all"


@pytest.mark.parametrize(
    ("country", "region", "decides"),
    [("DE", "", "eu"), ("US", "CA", "california"), ("US", "NY", "us"), ("", "", "eu"), ("BR", "", "rest")],
)
def test_the_first_that_applies_decides(country, region, decides):
    policies = {
        "eu": policy(where=["EEA", "GB", "CH", "unknown"]),
        "california": policy(where=["US-CA"], denied="limit"),
        "us": policy(where=["US"], unknown="allow"),
        "rest": policy(unknown="allow"),
    }
    assert decide(policies, visit(country=country, region=region)).policy == decides


# Whose word counts.


@pytest.mark.parametrize(
    ("headers", "answer", "signal"),
    [
        ({}, Answer.UNKNOWN, ""),
        (YES, Answer.GRANTED, "cookie"),
        (NO, Answer.DENIED, "cookie"),
        ({"sec-gpc": "1"}, Answer.DENIED, "gpc"),
        ({**YES, "sec-gpc": "1"}, Answer.DENIED, "gpc"),
        ({**YES, "sec-gpc": "0"}, Answer.GRANTED, "cookie"),
        (cookies(ads="perhaps"), Answer.UNKNOWN, ""),
    ],
)
def test_a_no_counts_more_than_a_yes_and_a_yes_more_than_silence(headers, answer, signal):
    read = [{"cookie": "ads", "granted": ["yes"], "denied": ["no"]}, "gpc"]
    verdict = decide({"all": policy(read=read)}, visit(headers))
    assert (verdict.answer, verdict.signal) == (answer, signal)


# What follows.


def test_a_yes_lets_both_copies_go():
    verdict = decide({"eu": policy()}, visit(YES, country="DE"))
    assert (verdict.relay, verdict.twin, verdict.policy, verdict.hold_seconds) == (ALLOW, ALLOW, "eu", 0)


@pytest.mark.parametrize("headers", [{}, NO])
def test_without_options_everything_but_a_yes_drops_both_copies(headers):
    verdict = decide({"eu": policy()}, visit(headers))
    assert (verdict.relay, verdict.twin) == (DROP, DROP)


@pytest.mark.parametrize(
    ("unknown", "relay", "twin", "seconds"),
    [
        ("allow", ALLOW, ALLOW, 0),
        ("limit", LIMIT, LIMIT, 0),
        ("hold 30m", HOLD, HOLD, 1800),
        ("hold 48h", HOLD, HOLD, 172_800),
        ("drop", DROP, DROP, 0),
        ({"relay": "allow", "twin": "drop"}, ALLOW, DROP, 0),
        ({"relay": "allow", "twin": "hold 2h"}, ALLOW, HOLD, 7200),
        ({"relay": "limit", "twin": "hold 2h"}, LIMIT, HOLD, 7200),
        ({"relay": "hold 2h", "twin": "hold 2h"}, HOLD, HOLD, 7200),
        ({"relay": "hold 2h", "twin": "drop"}, HOLD, DROP, 7200),
    ],
)
def test_a_visitor_who_has_not_been_heard_is_treated_as_written(unknown, relay, twin, seconds):
    verdict = decide({"eu": policy(unknown=unknown)}, visit())
    assert (verdict.relay, verdict.twin, verdict.hold_seconds) == (relay, twin, seconds)


@pytest.mark.parametrize(
    ("denied", "relay", "twin"),
    [
        ("limit", LIMIT, LIMIT),
        ("drop", DROP, DROP),
        ({"relay": "limit", "twin": "drop"}, LIMIT, DROP),
    ],
)
def test_a_visitor_who_said_no_is_treated_as_written(denied, relay, twin):
    verdict = decide({"eu": policy(denied=denied)}, visit(NO))
    assert (verdict.relay, verdict.twin, verdict.hold_seconds) == (relay, twin, 0)


@pytest.mark.parametrize(
    ("country", "region", "limits"),
    [("US", "CA", (1, 1000)), ("US", "NY", (0, 0)), ("DE", "", (0, 0)), ("", "", (0, 0))],
)
def test_limits_are_those_of_the_place(country, region, limits):
    place = visit(NO, country=country, region=region)
    assert decide({"all": policy(denied="limit")}, place).limits == limits
    assert decide({"all": policy(denied={"relay": "limit", "twin": "drop"})}, place).limits == limits
    assert decide({"all": policy(denied="drop")}, place).limits is None


def test_a_twin_that_waits_while_the_browsers_copy_went_limited_keeps_the_limits():
    written = {"relay": "limit", "twin": "hold 1h"}
    assert decide({"us": policy(unknown=written)}, visit(country="US", region="TX")).limits == (1, 1005)


# What the page itself limited.

LDU = {"dpo": "LDU", "dpoco": "1", "dpost": "1004"}


@pytest.mark.parametrize("policies", [{}, {"all": policy(unknown="allow")}], ids=["no policy", "allowed"])
def test_a_hit_that_the_page_limited_has_a_limited_twin(policies):
    verdict = decide(policies, visit(hit=LDU, country="US", region="CA"))
    assert (verdict.relay, verdict.twin, verdict.limits) == (ALLOW, LIMIT, (1, 1004))


def test_the_pages_own_limits_stay_where_a_policy_limits_too():
    verdict = decide({"us": policy(unknown="limit")}, visit(hit=LDU, country="US", region="CA"))
    assert (verdict.relay, verdict.twin, verdict.limits) == (LIMIT, LIMIT, (1, 1004))


def test_a_held_twin_is_limited_once_it_goes_if_the_page_said_so():
    verdict = decide({"us": policy(unknown="hold 1h")}, visit(hit=LDU))
    assert (verdict.twin, verdict.limits) == (HOLD, (1, 1004))


def test_a_page_that_says_not_limited_changes_nothing():
    assert decide({}, visit(hit={"dpo": ""})) is ALLOWED


# For every policy and every visit.


def legs(words: list[str]) -> st.SearchStrategy[object]:
    """What may be written for both copies or for each: the twin at least as restricted."""
    pairs = [{"relay": relay, "twin": twin} for at, relay in enumerate(words) for twin in words[at:]]
    return st.sampled_from([*words, *pairs])


WHERE = st.lists(st.sampled_from(["EEA", "EU", "GB", "US", "US-CA", "unknown", "BR"]), min_size=1, max_size=3)
POLICY = st.fixed_dictionaries(
    {"read": st.lists(st.sampled_from([example.written for example in EXAMPLES]), min_size=1, max_size=3)},
    optional={"where": WHERE, "unknown": legs(WORDS), "denied": legs(["limit", "drop"])},
)
PLACES = st.sampled_from(
    [("", ""), ("DE", ""), ("GB", ""), ("US", "CA"), ("US", ""), ("US", "NY"), ("XX", ""), ("JP", "")]
)
DPO = st.sampled_from([{}, {"dpo": ""}, {"dpo": "LDU"}, LDU, {"dpo": "LDU", "dpoco": "x"}])


@st.composite
def visits(draw: st.DrawFn):
    """A visit with what some of the examples have, and what anyone may send besides."""
    drawn = draw(st.lists(st.sampled_from(EXAMPLES), max_size=4))
    said = "; ".join([example.headers["cookie"] for example in drawn if "cookie" in example.headers])
    headers = {name: value for example in drawn for name, value in example.headers.items()}
    hit = {name: value for example in drawn for name, value in example.hit.items()} | draw(DPO)
    elements = {name: value for example in drawn for name, value in example.elements.items()}
    country, region = draw(PLACES)
    cookie = f"{said}; {draw(st.text(max_size=20))}"
    return visit({**headers, "cookie": cookie}, hit=hit, elements=elements, country=country, region=region)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), POLICY), visits())
def test_the_twin_is_never_less_restricted_and_a_no_is_never_passed_over(written, seen):
    policies = POLICIES.validate_python(written)
    verdict = decide(policies, seen)
    deciding = next((it for it in policies.values() if it.applies(seen.place)), None)
    answers = {signal.read(seen) for signal in deciding.read} if deciding else set()
    assert verdict.twin >= verdict.relay
    if Answer.DENIED in answers:
        assert verdict.answer is Answer.DENIED
        assert ALLOW not in (verdict.relay, verdict.twin)
        assert HOLD not in (verdict.relay, verdict.twin)
    elif Answer.GRANTED not in answers:
        assert verdict.answer is Answer.UNKNOWN
    if seen.hit.get("dpo"):
        assert verdict.twin >= LIMIT
        assert verdict.limits is not None
    assert (verdict.hold_seconds > 0) is (HOLD in (verdict.relay, verdict.twin))


@given(POLICY, visits())
def test_nothing_goes_as_it_is_without_a_yes_where_silence_is_to_be_dropped(written, seen):
    everywhere = {name: value for name, value in written.items() if name != "where"}
    verdict = decide(POLICIES.validate_python({"all": {**everywhere, "unknown": "drop"}}), seen)
    assert (verdict.relay is ALLOW) is (verdict.answer is Answer.GRANTED)


# What the config file refuses.


@pytest.mark.parametrize(
    ("written", "place", "remedy"),
    [
        ({"unknown": {"relay": "drop", "twin": "allow"}}, ("unknown",), "must not get from your server"),
        ({"unknown": {"relay": "limit", "twin": "allow"}}, ("unknown",), "must not get from your server"),
        ({"unknown": {"relay": "drop", "twin": "hold 1h"}}, ("unknown",), "must not get from your server"),
        ({"unknown": {"relay": "hold 1h", "twin": "hold 2h"}}, ("unknown",), "same time"),
        ({"unknown": "hold 3d"}, ("unknown",), "48h at most"),
        ({"unknown": "hold 172801s"}, ("unknown",), "48h at most"),
        ({"unknown": "hold"}, ("unknown",), "for how long, such as hold 30m"),
        ({"unknown": "hold 30"}, ("unknown",), "a unit"),
        ({"unknown": "hold 0s"}, ("unknown",), "zero is no limit"),
        ({"unknown": "deny"}, ("unknown",), "allow, limit, drop"),
        ({"unknown": "drop 1h"}, ("unknown",), "allow, limit, drop"),
        ({"unknown": None}, ("unknown",), "allow, limit, drop"),
        ({"unknown": True}, ("unknown",), "allow, limit, drop"),
        ({"unknown": {"relay": "deny", "twin": "drop"}}, ("unknown", "relay"), "allow, limit, drop"),
        ({"unknown": {"relay": "drop"}}, ("unknown", "twin"), "required"),
        ({"unknown": {"relay": "drop", "twin": "drop", "both": "drop"}}, ("unknown", "both"), "not permitted"),
        ({"denied": "allow"}, ("denied",), "the visitor said no"),
        ({"denied": {"relay": "allow", "twin": "drop"}}, ("denied",), "the visitor said no"),
        ({"denied": "hold 30m"}, ("denied",), "hold is for visitors who have not been heard"),
        ({"denied": {"relay": "limit", "twin": "hold 30m"}}, ("denied",), "hold is for visitors"),
        ({"granted": "drop"}, ("granted",), "not permitted"),
        ({"where": []}, ("where",), "at least one"),
        ({"where": ["DE", "Germany"]}, ("where", 1), "'DE'"),
        ({"read": []}, ("read",), "at least one"),
        ({"read": ["gcp"]}, ("read", 0), "one of"),
        ({"read": "gpc"}, ("read",), "tuple"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(written, place, remedy):
    with pytest.raises(ValidationError, match=remedy) as refused:
        policy(**written)
    assert [error["loc"] for error in refused.value.errors()] == [place]


def test_a_policy_has_to_read_something():
    with pytest.raises(ValidationError, match="required") as refused:
        ConsentPolicy.model_validate({"unknown": "drop"})
    assert [error["loc"] for error in refused.value.errors()] == [("read",)]


def test_policies_have_a_schema():
    properties = ConsentPolicy.model_json_schema()["properties"]
    assert set(properties) == {"where", "read", "unknown", "denied"}
