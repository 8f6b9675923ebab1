"""The right half of the line: late rules, verified orders, and what a new config can no longer change."""

from dataclasses import replace

import pytest

from pixeltwin.capi.validate import Refusal
from pixeltwin.enrich.source import Profile
from pixeltwin.mirror import Draft, PixelPolicy, Policy, Sealed, SourcePolicy, Unsent, seal, unverified
from pixeltwin.pixel.skip import Reason
from pixeltwin.privacy.settings import Privacy
from tests.factories import NOW, PIXEL, hit_query, request
from tests.rules.factories import AGENCY, FBP, admitted, policy

HASH = "1" * 64
NEW = {"when": "profile.orders_count < 2.0", "then": {"custom_data": {"json": {"customer_type": "new"}}}}
ELEMENTS = {"order": {"custom_data": "order_id"}, "plan": {"cookie": "plan"}}
SOURCES = {"crm": SourcePolicy(key="order"), "orders": SourcePolicy(key="order")}
VERIFIED = {PIXEL: PixelPolicy(name="shop", enrich=("crm",), verify={"Purchase": "orders"})}
MONEY = {"orders": Profile(custom_data={"value": 80.0, "currency": "CHF"})}


def line(*rules, **more) -> Policy:
    pixels = {PIXEL: PixelPolicy(name="shop", enrich=("crm",)), AGENCY: PixelPolicy(name="agency")}
    return policy(*rules, **{"pixels": pixels, "elements": ELEMENTS, "sources": SOURCES, **more})


def sealed(decided_by: Policy, facts=None, *, sealed_by: Policy | None = None, **hit: str) -> Sealed | Unsent:
    """A Purchase that is decided by one policy and sealed by it, or by another, with these facts of its customer."""
    draft = admitted(decided_by, **hit).draft
    assert draft
    stored = Draft.from_bytes(draft.as_bytes())
    return seal(stored, {"crm": Profile(facts=facts)} if facts is not None else {}, sealed_by or decided_by, NOW)


def properties(done: Sealed | Unsent):
    assert isinstance(done, Sealed), done
    return done.event["custom_data"]


# Late rules.


def test_a_rule_that_asks_about_the_customer_runs_when_the_twin_is_sealed():
    done = sealed(line(NEW), {"orders_count": 1})
    assert properties(done)["customer_type"] == "new"
    assert (done.rules, done.origins) == (("r0",), {"custom_data.customer_type": "rule r0"})


@pytest.mark.parametrize("facts", [{"orders_count": 5}, {}, None])
def test_it_does_not_hold_of_another_customer_or_of_one_whom_nobody_knows(facts):
    assert "customer_type" not in properties(sealed(line(NEW), facts))


@pytest.mark.parametrize("facts", [{"orders_count": 1}, {"orders_count": 1.0}])
def test_what_a_source_says_in_numbers_is_doubles_as_everywhere(facts):
    tenth = {"then": {"custom_data": {"json": {"tenth": {"cel": "profile.orders_count * 0.1"}}}}}
    assert properties(sealed(line(tenth), facts))["tenth"] == 0.1


def test_late_rules_run_after_all_others_and_see_what_those_have_set():
    early = {"then": {"custom_data": {"json": {"a": "1"}}}}
    late = {"when": "profile.n > 0.0 && event.custom_data.a == '1'", "then": {"custom_data": {"json": {"b": "2"}}}}
    done = sealed(line(late, early), {"n": 1})
    assert properties(done)["b"] == "2"
    assert done.rules == ("r1", "r0")


def test_a_late_rule_sees_what_an_earlier_late_one_has_set():
    first = {"when": "profile.n > 0.0", "then": {"custom_data": {"json": {"a": "1"}}}}
    second = {"when": "has(profile.n) && event.custom_data.a == '1'", "then": {"drop": "twin"}}
    assert sealed(line(first, second), {"n": 1}).ruled.because == "r1"


def test_a_late_rule_may_drop_the_twin_with_its_name_as_the_reason():
    done = sealed(line({"when": "profile.is_staff", "then": {"drop": "twin"}}), {"is_staff": True})
    assert isinstance(done, Unsent)
    assert (done.reason, str(done)) == (Reason.DROPPED_BY_RULE, "dropped_by_rule: r0")


def test_the_match_of_a_late_rule_is_decided_when_the_hit_arrives():
    late = {**NEW, "match": {"event": "Lead"}}
    assert admitted(line(late)).draft.late == ()
    assert admitted(line({**NEW, "match": {"event": "Purchase"}})).draft.late == ("r0",)


def test_a_late_rule_after_a_drop_is_never_asked():
    assert admitted(line({"then": {"drop": "twin"}}, NEW)).ruled.late == []


def test_data_elements_that_late_rules_ask_for_travel_with_the_draft():
    late = {
        "when": "has(profile.n) && el.order == 'A-1' && el.plan == ''",
        "then": {"server_event": {"event_id": "{{ order }}-late"}},
    }
    draft = admitted(line(late)).draft
    assert draft.elements == {"order": "A-1"}
    assert sealed(line(late), {"n": 1}).event["event_id"] == "A-1-late"


def test_personal_data_is_not_kept_for_a_late_rule():
    late = {"when": "has(profile.n)", "then": {"server_event": {"event_id": "{{ plan }}"}}}
    arrived = request(hit_query("Purchase"), headers={"cookie": "plan=jane@mail.example"})
    draft = admitted(line(late), arrived).draft
    assert draft.elements == {}
    assert b"jane" not in draft.as_bytes()


def test_an_expression_that_fails_late_is_named_and_the_twin_goes():
    done = sealed(line({"when": "profile.n > 'a'", "then": {"drop": "twin"}}), {"n": 1})
    assert done.ruled.faults == ["r0"]
    assert "rule_fault: r0" in done.notes


def test_what_late_rules_set_is_cleaned_of_personal_data():
    late = {"when": "has(profile.note)", "then": {"custom_data": {"json": {"note": {"cel": "profile.note"}}}}}
    done = sealed(line(late), {"note": "call jane@mail.example"})
    assert properties(done)["note"] == "call _removed_"
    assert "personal_data_removed: custom_data.note" in done.notes


def test_a_late_time_that_meta_would_refuse_leaves_that_of_the_hit():
    late = {"then": {"server_event": {"event_time": {"cel": "profile.at"}}}}
    before = sealed(line(late), {}).event["event_time"]
    assert sealed(line(late), {"at": int(NOW) - 3600}).event["event_time"] == int(NOW) - 3600
    assert sealed(line(late), {"at": int(NOW) - 8 * 86400}).event["event_time"] == before


def test_no_late_rule_lifts_limited_data_use():
    late = {"when": "has(profile.n)", "then": {"server_event": {"limited_data_use": False}}}
    assert sealed(line(late), {"n": 1}, dpo="LDU").event["data_processing_options"] == ["LDU"]


def test_a_late_test_event_code_goes_before_an_early_one():
    early = {"then": {"test_event": {"code": "EARLY"}}}
    late = {"then": {"test_event": {"code": "LATE", "when": "profile.is_tester"}}}
    assert sealed(line(late, early), {"is_tester": True}).test_event_code == "LATE"
    assert sealed(line(late, early), {"is_tester": False}).test_event_code == "EARLY"


def test_a_late_rule_knows_the_consent_with_which_the_hit_came():
    late = {"when": "has(profile.n) && consent.granted", "then": {"drop": "twin"}}
    consent = {"eu": {"read": [{"cookie": "ads", "granted": ["yes"]}], "unknown": "allow"}}
    decided_by = line(late, consent=consent)
    for cookie, reason in (("ads=yes", Reason.DROPPED_BY_RULE), ("ads=no", None)):
        query = hit_query("Purchase", cd_value="1", cd_currency="EUR")
        draft = admitted(decided_by, request(query, headers={"cookie": cookie})).draft
        done = seal(draft, {"crm": Profile(facts={"n": 1})}, decided_by, NOW)
        assert getattr(done, "reason", None) is reason


# A config that changes in between.


def test_a_new_config_changes_nothing_of_what_was_decided():
    """Fields, name, destination and code are in the draft; rules that came since are for the hits that come."""
    old = line(
        {"then": {"rename": "Lead", "pixels": ["agency"], "custom_data": {"json": {"a": "1"}}}},
        {"then": {"test_event": {"code": "OLD"}, "server_event": {"limited_data_use": True}}},
    )
    new = line(
        {"then": {"drop": "both"}},
        {"name": "late", "when": "profile.n > 0.0", "then": {"drop": "twin"}},
        consent={"all": {"read": ["gpc"]}},
    )
    draft = Draft.from_bytes(admitted(old).draft.as_bytes())
    done = seal(draft, {"crm": Profile(facts={"n": 1})}, new, NOW)
    assert isinstance(done, Sealed)
    assert (done.event, done.test_event_code) == (draft.event, "OLD")
    assert (draft.pixel_id, draft.rules, draft.config) == (AGENCY, ("r0", "r1"), "c0ffee")


def test_a_late_rule_that_a_new_config_has_no_longer_is_not_asked():
    assert isinstance(
        sealed(line({"when": "has(profile.n)", "then": {"drop": "twin"}}), {"n": 1}, sealed_by=line()), Sealed
    )


def test_a_late_rule_that_became_an_early_one_is_not_asked_again():
    old = line({"when": "has(profile.n)", "then": {"drop": "twin"}})
    assert isinstance(sealed(old, {"n": 1}, sealed_by=line({"then": {"drop": "twin"}})), Sealed)


def test_an_event_that_had_to_be_verified_has_to_be_so_under_a_new_config():
    draft = admitted(line(pixels=VERIFIED)).draft
    assert unverified(draft, {}) == "orders"
    assert unverified(admitted(line()).draft, {}) is None


# Ids that are not hashed.


def test_an_id_that_a_source_knows_goes_with_the_twin_and_not_with_that_of_whoever_refused():
    known, decided_by = {"crm": Profile(ids={"lead_id": "525645896321548"})}, line()
    draft = admitted(decided_by).draft
    done = seal(draft, known, decided_by, NOW)
    assert (done.event["user_data"]["lead_id"], done.origins) == ("525645896321548", {"user_data.lead_id": "crm"})
    refused = draft._replace(consent="denied")
    assert "lead_id" not in seal(refused, known, decided_by, NOW).event["user_data"]


# Properties that may not go, whoever says them.

KNOWN = {"crm": Profile(custom_data={"Segment": "vip", "margin": 3.5}, facts={"n": 1})}
SETTING = {"when": "profile.n > 0.0", "then": {"custom_data": {"json": {"customer_type": "new"}}}}


@pytest.mark.parametrize("lists", [{"deny": ["segment"]}, {"allow": ["margin", "customer_type"]}])
@pytest.mark.parametrize("rules", [[], [SETTING]], ids=["no rule", "a late rule"])
def test_a_property_that_never_goes_does_not_go_when_a_source_says_it_either(lists, rules):
    private = line(*rules, privacy=Privacy.model_validate({"custom_data": lists}))
    done = seal(admitted(private).draft, KNOWN, private, NOW)
    assert "Segment" not in properties(done)
    assert properties(done)["margin"] == 3.5
    assert "custom_data.Segment" not in done.origins
    assert [note for note in done.notes if "removed" in note] == ["personal_data_removed: custom_data.Segment"]


def test_a_verified_amount_that_never_goes_leaves_none_of_the_page_s_behind():
    private = line(pixels=VERIFIED, privacy=Privacy.model_validate({"custom_data": {"deny": ["predicted_ltv"]}}))
    worth = {"orders": Profile(custom_data={**MONEY["orders"].custom_data, "predicted_ltv": 900.0})}
    done = seal(admitted(private, **{"cd[predicted_ltv]": "1"}).draft, worth, private, NOW)
    assert "predicted_ltv" not in properties(done)
    assert properties(done)["value"] == 80.0


# Verified orders.


def test_an_order_that_a_source_knows_is_worth_what_the_source_says():
    decided_by = line(pixels=VERIFIED)
    draft = admitted(decided_by, cd_value="9999", cd_currency="EUR", cd_predicted_ltv="5").draft
    assert unverified(draft, MONEY) is None
    done = seal(draft, MONEY, decided_by, NOW)
    assert properties(done) == {"value": 80.0, "currency": "CHF", "order_id": "A-1"}
    assert {name: done.origins[name] for name in ("custom_data.value", "custom_data.currency")} == {
        "custom_data.value": "orders",
        "custom_data.currency": "orders",
    }


def test_what_a_rule_made_of_the_browser_s_value_does_not_count_either():
    margin = {"then": {"custom_data": {"json": {"value": {"cel": "event.custom_data.value * 2.0"}}}}}
    decided_by = line(margin, pixels=VERIFIED)
    draft = admitted(decided_by, cd_value="9999").draft
    assert properties(seal(draft, MONEY, decided_by, NOW))["value"] == 80.0


def test_without_the_order_the_source_is_named_that_lacks_it():
    assert unverified(admitted(line(pixels=VERIFIED)).draft, {"crm": Profile()}) == "orders"


@pytest.mark.parametrize("ev", ["PageView", "Lead", "purchase"])
def test_other_events_are_not_verified(ev):
    draft = admitted(line(pixels=VERIFIED), request(hit_query(ev, cd_order_id="A-1"))).draft
    assert (draft.verifier, unverified(draft, {})) == ("", None)
    assert "orders" not in draft.keys


def test_an_event_that_a_rule_renames_to_one_of_money_is_verified():
    decided_by = line({"then": {"rename": "Purchase"}}, pixels=VERIFIED)
    assert admitted(decided_by, request(hit_query("Order", cd_order_id="A-1"))).draft.verifier == "orders"


def test_a_verified_order_of_whoever_refused_brings_no_customer_s_data():
    consent = {"us": {"read": ["gpc"], "denied": "limit"}}
    decided_by = line(pixels=VERIFIED, consent=consent)
    query = hit_query("Purchase", cd_order_id="A-1", cd_value="1", cd_currency="EUR", fbp=FBP)
    draft = admitted(decided_by, request(query, headers={"sec-gpc": "1"})).draft
    known = {"orders": Profile({"em": (HASH,)}, MONEY["orders"].custom_data, {"n": 1})}
    done = seal(draft, known, decided_by, NOW)
    assert "em" not in done.event["user_data"]
    assert properties(done)["value"] == 80.0


def test_a_free_order_that_is_verified_is_worth_nothing():
    decided_by = line(pixels=VERIFIED)
    free = {"orders": Profile(custom_data={"value": 0.0, "currency": "EUR"})}
    assert properties(seal(admitted(decided_by).draft, free, decided_by, NOW))["value"] == 0


def test_a_source_that_knows_the_order_but_not_its_worth_ends_in_meta_s_refusal():
    decided_by = line(pixels=VERIFIED)
    done = seal(admitted(decided_by).draft, {"orders": Profile()}, decided_by, NOW)
    assert (done.reason, str(done)) == (Refusal.PURCHASE_WITHOUT_VALUE, "purchase_without_value (100/2804009)")


# What Meta asks for.


@pytest.mark.parametrize(
    ("then", "refusal"),
    [
        ({"custom_data": {"remove": ["value"]}}, Refusal.PURCHASE_WITHOUT_VALUE),
        ({"custom_data": {"remove": ["currency"]}}, Refusal.PURCHASE_WITHOUT_CURRENCY),
        ({"server_event": {"action_source": "business_messaging"}}, Refusal.NO_MESSAGING_CHANNEL),
        ({"server_event": {"action_source": "app"}}, Refusal.NO_APP_DATA),
    ],
)
def test_what_rules_leave_incomplete_is_refused_here_and_not_by_meta(then, refusal):
    assert sealed(line({"then": then})).reason is refusal


def test_a_website_event_needs_its_page_and_is_remarked_without_user_agent_and_address():
    arrived = replace(
        request(hit_query("Purchase", cd_value="1", cd_currency="EUR", fbp=FBP, dpo="LDU"), peer="127.0.0.1"),
        headers={},
    )
    decided_by = line()
    done = seal(admitted(decided_by, arrived).draft, {}, decided_by, NOW)
    assert {"no_user_agent", "no_client_ip", "limited_without_client_ip"} <= set(done.notes)
