"""What a gateway would do with one request: the same as it does, and nothing kept."""

import pytest

from pixeltwin.enrich.source import Profile
from pixeltwin.gateway.dry_run import DryRun, any_pixel, decide, dry_run
from pixeltwin.mirror import PixelPolicy, Policy, SourcePolicy
from pixeltwin.pixel.skip import Reason
from tests.factories import PIXEL, hit_query, request
from tests.rules.factories import AGENCY, FBP, policy

CONSENT = {"eu": {"read": [{"cookie": "ads", "granted": ["yes"], "denied": ["no"]}], "unknown": "hold 30m"}}
LINE = {
    "pixels": {PIXEL: PixelPolicy(name="shop", enrich=("crm",), verify={"Purchase": "orders"})},
    "elements": {"order": {"custom_data": "order_id"}},
    "sources": {"crm": SourcePolicy(key="order"), "orders": SourcePolicy(key="order")},
}
ORDER = {"orders": {"A-1": Profile(custom_data={"value": 80.0, "currency": "CHF"})}}


def ran(*rules, profiles=None, headers=None, ev="Lead", **more) -> DryRun:
    query = hit_query(ev, cd_order_id="A-1", cd_value="1", cd_currency="EUR", fbp=FBP)
    return dry_run(request(query, headers=headers), policy(*rules, **more), profiles)


def test_a_decision_is_the_same_every_time():
    arrived = request(hit_query())
    assert decide(arrived, policy()) == decide(arrived, policy())


def test_every_twin_s_end_is_told():
    done = ran({"then": {"pixels": ["shop", "agency"]}})
    assert [draft.pixel_id for draft, _ in done.twins] == [PIXEL, AGENCY]
    assert (done.skip, len(done.as_json()["more_twins"])) == (None, 1)


@pytest.mark.parametrize(
    ("rule", "skip"),
    [
        ({"then": {"drop": "twin"}}, Reason.DROPPED_BY_RULE),
        ({"when": "profile.is_staff", "then": {"drop": "twin"}}, Reason.DROPPED_BY_RULE),
        ({"then": {"pixels": "nobody"}}, Reason.UNKNOWN_PIXEL),
    ],
)
def test_why_there_is_no_twin_is_told(rule, skip):
    profiles = {"crm": {"A-1": Profile(facts={"is_staff": True})}}
    assert ran(rule, profiles=profiles, **LINE).skip == skip


def test_what_meta_would_refuse_is_told():
    assert ran({"then": {"custom_data": {"remove": ["value"]}}}, ev="Purchase").skip == (
        "purchase_without_value (100/2804009)"
    )


def test_a_purchase_whose_order_is_not_known_is_told_as_not_verified():
    assert ran(ev="Purchase", profiles={}, **LINE).skip == Reason.NOT_VERIFIED
    verified = ran(ev="Purchase", profiles=ORDER, **LINE)
    assert verified.event["custom_data"]["value"] == 80.0


@pytest.mark.parametrize("profiles", [None, {"orders": {"A-1": None}}])
def test_a_purchase_whose_order_nobody_said_anything_about_counts_as_verified_with_its_own_amount(profiles):
    done = ran(ev="Purchase", profiles=profiles, **LINE)
    assert (done.presumed, done.skip, done.event["custom_data"]["value"]) == (("orders",), None, 1.0)


def test_a_purchase_that_names_no_order_is_not_verified_whoever_is_asked():
    without = {**LINE, "elements": {"order": {"custom_data": "another"}}}
    done = ran(ev="Purchase", profiles=None, **without)
    assert (done.presumed, done.skip) == ((), Reason.NOT_VERIFIED)


def test_a_hit_that_would_wait_is_told_as_held():
    assert ran(consent=CONSENT).is_held
    assert not ran(consent=CONSENT, headers={"cookie": "ads=yes"}).is_held
    denied = ran(consent=CONSENT, headers={"cookie": "ads=no"})
    assert (denied.is_held, denied.skip, denied.as_json()["relayed"]) == (False, Reason.CONSENT_DENIED, False)
    assert denied.as_json()["consent"] == "denied (eu)"


def test_each_value_says_where_it_came_from():
    rules = (
        {"then": {"custom_data": {"json": {"colour": "red"}}, "rename": "Contact"}},
        {"when": "has(profile.n)", "then": {"custom_data": {"json": {"size": "large"}}}},
    )
    profiles = {"crm": {"A-1": Profile({"em": ("1" * 64,)}, facts={"n": 1})}}
    origins = ran(*rules, profiles=profiles, **LINE).origins()
    told = ("event_name", "event_source_url", "user_data.fbp", "user_data.em", "custom_data.value")
    assert {name: origins[name] for name in told} == {
        "event_name": "rule r0",
        "event_source_url": "hit dl",
        "user_data.fbp": "hit fbp",
        "user_data.em": "crm",
        "custom_data.value": "hit cd[value]",
    }
    assert (origins["custom_data.colour"], origins["custom_data.size"]) == ("rule r0", "rule r1")


@pytest.mark.parametrize("when", [None, "has(profile.n)"])
def test_a_limit_that_a_rule_could_not_lift_is_not_said_to_be_the_rule_s(when):
    rule = {"when": when, "then": {"server_event": {"limited_data_use": False, "opt_out": True}}}
    profiles = {"crm": {"A-1": Profile(facts={"n": 1})}}
    query = hit_query("Lead", cd_order_id="A-1", fbp=FBP, dpo="LDU", dpoco="0", dpost="0")
    done = dry_run(request(query), policy(rule, **LINE), profiles)
    origins = done.origins()
    assert (done.event["data_processing_options"], origins["opt_out"]) == (["LDU"], "rule r0")
    assert origins["data_processing_options"] == "hit dpo"


@pytest.mark.parametrize(("profiles", "not_held"), [(None, {}), ({"crm": {}}, {"r0": "when"})])
def test_a_late_rule_did_not_hold_only_once_its_customer_was_looked_up(profiles, not_held):
    assert ran({"when": "has(profile.n)", "then": {"drop": "twin"}}, profiles=profiles, **LINE).not_held == not_held


def test_a_rule_whose_expression_fails_did_not_hold_for_that():
    rule = {"when": "double(event.custom_data.order_id) > 3.0", "then": {"drop": "twin"}}
    assert ran(rule).not_held == {"r0": "when failed"}


def test_without_a_config_any_pixel_is_ours():
    anything = any_pixel(request(hit_query(id="42")), Policy(pixels={"": PixelPolicy()}))
    assert list(anything.pixels) == ["42"]
    assert dry_run(request(hit_query(id="42")), anything).event


def test_a_request_that_is_no_hit_has_no_twin_and_no_origins():
    done = dry_run(request("x=1"), policy())
    assert (done.skip, done.origins(), done.as_json()["hit"]["pixel_id"]) == (Reason.NO_PIXEL_ID, {}, None)
