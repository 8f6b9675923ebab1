"""Consent, decided before anything else: what it does to both copies, to look-ups and to cookies."""

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from pixeltwin.consent.verdict import Answer, Treatment
from pixeltwin.expressions import AT_ADMISSION, Expression
from pixeltwin.mirror import PixelPolicy, SourcePolicy, admit_openbridge
from pixeltwin.pixel.skip import Reason
from tests.factories import PAGE, PIXEL, form, hit_query, multipart, parsed, request
from tests.rules.factories import AGENCY, FBP, admitted, policy

READ = [{"cookie": "ads", "granted": ["yes"], "denied": ["no"]}]
YES, NO, SILENT = {"cookie": "ads=yes"}, {"cookie": "ads=no"}, {}
HOLD = {"eu": {"read": READ, "unknown": "hold 30m"}}
LIMIT = {"us": {"read": READ, "unknown": "allow", "denied": "limit"}}
ELEMENTS = {"order": {"custom_data": "order_id"}, "who": {"cookie": "who"}, "country": {"header": "x-country"}}
SOURCES = {"crm": SourcePolicy(key="order"), "orders": SourcePolicy(key="order")}
PIXELS = {PIXEL: PixelPolicy(name="shop", enrich=("crm",), verify={"Purchase": "orders"})}


def decided(consent, headers, *rules, ev="Purchase", **hit):
    query = hit_query(ev, **{"cd_order_id": "A-1", "fbp": FBP, **hit})
    decided_by = policy(*rules, consent=consent, pixels=PIXELS, elements=ELEMENTS, sources=SOURCES)
    return admitted(decided_by, request(query, headers=headers))


# The twin and the browser's copy.


def test_a_yes_lets_both_copies_go():
    admission = decided(HOLD, YES)
    assert (admission.skip, admission.withheld, admission.verdict.answer) == (None, False, Answer.GRANTED)
    assert admission.relay
    assert (admission.draft.consent, admission.draft.consent_policy) == ("granted", "eu")


def test_a_no_ends_both_copies():
    admission = decided(HOLD, NO)
    assert (admission.skip, admission.because) == (Reason.CONSENT_DENIED, "eu")
    assert (admission.relay, admission.withheld) == (None, True)


def test_silence_holds_both_copies_for_their_browser():
    admission = decided(HOLD, SILENT)
    assert (admission.verdict.twin, admission.verdict.relay) == (Treatment.HOLD, Treatment.HOLD)
    assert (admission.skip, admission.browser) == (None, FBP)
    assert admission.relay


def test_what_nobody_could_ever_release_is_not_held():
    """Without an id of its browser: neither the twin nor the browser's copy."""
    admission = decided(HOLD, SILENT, fbp="")
    assert (admission.skip, admission.because) == (Reason.CONSENT_UNKNOWN, "eu")
    assert (admission.relay, admission.withheld) == (None, True)


def test_a_copy_that_goes_while_the_twin_would_be_held_goes_without_an_id_too():
    split = {"eu": {"read": READ, "unknown": {"relay": "allow", "twin": "hold 30m"}}}
    admission = decided(split, SILENT, fbp="")
    assert (admission.skip, admission.withheld) == (Reason.CONSENT_UNKNOWN, False)
    assert admission.relay


def test_consent_speaks_before_rules():
    assert decided(HOLD, NO, {"then": {"drop": "twin"}}).skip is Reason.CONSENT_DENIED


def test_no_rule_lets_a_copy_go_that_consent_withholds():
    admission = decided(HOLD, NO, {"then": {"rename": "Lead", "pixels": ["shop"]}})
    assert (admission.drafts, admission.relay) == ((), None)


@pytest.mark.parametrize("headers", [NO, SILENT])
def test_a_withheld_copy_is_withheld_of_an_event_that_gets_no_twin(headers):
    admission = decided({"eu": {"read": READ}}, headers, ev="SubscribedButtonClick")
    assert admission.relay is None
    assert admission.withheld


# Limited data use.

LDU = {"dpo": "LDU", "dpoco": "1", "dpost": "1000"}


@pytest.mark.parametrize("given", [{}, {"dpo": ""}, {"dpo": "", "dpoco": "0", "dpost": "0"}])
@pytest.mark.parametrize("encoding", ["GET", "form", "multipart"])
def test_a_limited_copy_says_so_in_each_encoding(encoding, given):
    decided_by = policy(consent=LIMIT, elements=ELEMENTS)
    decided_by = replace(decided_by, country=Fixed("US"), region=Fixed("CA"))
    query = hit_query("Purchase", cd_value="1", cd_currency="EUR", eid="1", **given)
    made = {"GET": request, "form": form, "multipart": lambda text: multipart(parse_qsl(text, True))}[encoding](query)
    admission = admitted(decided_by, replace(made, headers={**made.headers, **NO}))
    sent = parsed(admission.relay).last
    assert {name: sent[name] for name in LDU} == LDU
    assert {name: value for name, value in sent.items() if name not in LDU} == {
        name: value for name, value in parsed(made).last.items() if name not in LDU
    }
    twin = admission.draft.event
    assert (twin["data_processing_options"], twin["data_processing_options_state"]) == (["LDU"], 1000)


class Fixed:
    """An element that always has this value."""

    trusted = True

    def __init__(self, value):
        self.value = value

    def read(self, request, hit, failed):
        return self.value


def test_a_copy_that_the_page_limited_stays_byte_for_byte():
    arrived = request(hit_query(eid="1", dpo="LDU", dpoco="1", dpost="1004"), headers=NO)
    assert admitted(policy(consent=LIMIT, elements=ELEMENTS), arrived).relay is arrived


@pytest.mark.parametrize("rule", [False, {"on": False}])
def test_no_rule_lifts_what_consent_or_the_page_limits(rule):
    lifts = {"then": {"server_event": {"limited_data_use": rule}}}
    assert decided(LIMIT, NO, lifts).draft.event["data_processing_options"] == ["LDU"]
    assert decided({}, SILENT, lifts, **LDU).draft.event["data_processing_options"] == ["LDU"]
    assert decided({}, SILENT, lifts, **LDU).draft.event["data_processing_options_state"] == 1000
    assert decided({}, SILENT, lifts).draft.event["data_processing_options"] == []


# Look-ups.


def test_whoever_said_yes_or_nothing_is_looked_up_where_the_policy_lets_the_twin_go():
    assert set(decided(HOLD, YES).draft.keys) == {"crm", "orders"}
    assert set(decided(LIMIT, SILENT).draft.keys) == {"crm", "orders"}


def test_whoever_said_no_is_not_looked_up_though_the_twin_goes_limited():
    assert dict(decided(LIMIT, NO, ev="Lead").draft.keys) == {}


def test_the_order_of_a_purchase_may_be_verified_all_the_same():
    draft = decided(LIMIT, NO).draft
    assert (draft.verifier, dict(draft.keys)) == ("orders", {"orders": "A-1"})


def test_a_hit_that_is_held_keeps_its_keys_for_when_it_is_released():
    assert set(decided(HOLD, SILENT).draft.keys) == {"crm", "orders"}


@pytest.mark.parametrize(("headers", "remember"), [(YES, True), (SILENT, False)])
def test_what_a_browser_told_is_remembered_where_it_said_yes(headers, remember):
    assert decided(HOLD, headers).draft.remember is remember


def test_of_a_limited_visitor_nothing_is_remembered():
    assert not decided(LIMIT, NO).draft.remember
    assert not decided({}, SILENT, **LDU).draft.remember


@pytest.mark.parametrize(
    ("only_when", "is_asked"), [("consent.granted", True), ("consent.denied", False), ("hit.nothing == '1'", False)]
)
def test_a_source_is_asked_only_when_its_condition_holds(only_when, is_asked):
    sources = {"crm": SourcePolicy(key="order", only_when=Expression(only_when, AT_ADMISSION))}
    pixels = {PIXEL: PixelPolicy(enrich=("crm",))}
    decided_by = policy(consent=HOLD, pixels=pixels, elements=ELEMENTS, sources=sources)
    draft = admitted(decided_by, request(hit_query(cd_order_id="A-1"), headers=YES)).draft
    assert ("crm" in draft.keys) is is_asked


# Cookies.


@pytest.mark.parametrize(
    ("consent", "headers", "sets"),
    [
        ({}, SILENT, True),
        (HOLD, YES, True),
        (HOLD, SILENT, False),
        (HOLD, NO, False),
        (LIMIT, SILENT, True),
        (LIMIT, NO, False),
        ({"eu": {"read": READ, "unknown": "drop"}}, SILENT, False),
    ],
)
def test_a_browser_gets_no_id_by_a_hit_that_is_denied_dropped_or_held(consent, headers, sets):
    admission = decided(consent, headers, fbp="", dl=f"{PAGE}?fbclid=IwAR2F4")
    assert bool(admission.cookies) is sets
    if admission.draft and not sets:
        assert "fbp" not in admission.draft.event["user_data"]


# OpenBridge posts.


def openbridge(headers):
    body = b'{"event_name":"Lead","event_id":"1","fb.pixel_id":"%s","fb.fbp":"%s","website_context":{"location":"%s"}}'
    made = body % (PIXEL.encode(), FBP.encode(), PAGE.encode())
    return request(body=made, content_type="application/json", headers=headers, path="/events")


@pytest.mark.parametrize(("headers", "reason"), [(YES, None), (NO, Reason.CONSENT_DENIED), (SILENT, None)])
def test_an_openbridge_post_is_under_the_same_consent_and_relays_nothing(headers, reason):
    decided_by = policy(consent=HOLD)
    admission = admit_openbridge(openbridge(headers), decided_by, record_id="r", random_below=lambda below: 7)
    assert (admission.skip, admission.relay) == (reason, None)


def test_rules_apply_to_openbridge_posts():
    decided_by = policy({"match": {"event": "Lead"}, "then": {"pixels": ["shop", "agency"]}})
    admission = admit_openbridge(openbridge(SILENT), decided_by, record_id="r", random_below=lambda below: 7)
    assert [draft.pixel_id for draft in admission.drafts] == [PIXEL, AGENCY]


# Whose answer reaches what.


def test_an_answer_reaches_the_pixels_that_rules_may_send_the_browser_s_hits_to():
    elsewhere = {"match": {"event": "Purchase"}, "then": {"pixels": ["shop", "agency"]}}
    own = {"then": {"pixel": {"id": "5555555555555555", "access_token": "t"}}, "match": {"event": "Never"}}
    reach = admitted(policy(elsewhere, own), request(hit_query("PageView"))).reach
    assert reach == {PIXEL, AGENCY, "5555555555555555"}
    assert admitted(policy(), request(hit_query("PageView"))).reach == {PIXEL}


def test_where_a_data_element_names_the_pixel_it_may_be_any_of_ours():
    dynamic = {"match": {"event": "Never"}, "then": {"pixels": "{{ order }}"}}
    assert admitted(policy(dynamic), request(hit_query("PageView"))).reach == {PIXEL, AGENCY}
