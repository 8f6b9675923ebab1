"""Rules in their order: what each does to a hit's two copies, and what the next one sees of it."""

from collections import Counter
from dataclasses import replace

import pytest
from pydantic import ValidationError

from pixeltwin.mirror import PixelPolicy, Policy, SourcePolicy
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.skip import Reason
from pixeltwin.rules.ruleset import never_holding
from tests.factories import PIXEL, form, hit_query, multipart, parsed, request

from .factories import AGENCY, FBP, PIXELS, admitted, policy, rules

NAMED = {"event": "Purchase"}
COLOUR = {"custom_data": {"json": {"colour": "red"}}}
SOURCES = {
    "elements": {"order": {"custom_data": "order_id"}},
    "sources": {"crm": SourcePolicy(key="order"), "orders": SourcePolicy(key="order")},
}
OWN = {"id": "5555555555555555", "access_token": "partner-token"}


def set_to(**properties):
    return {"custom_data": {"json": properties}}


def properties(admission):
    return admission.draft.event["custom_data"]


def relayed(admission) -> PixelHit:
    assert admission.relay
    return parsed(admission.relay)


# In order.


def test_the_first_drop_wins_and_nothing_after_it_is_done():
    admission = admitted(policy({"then": {"drop": "twin"}}, {"then": {"drop": "both"}}, {"then": {"rename": "Lead"}}))
    assert (admission.skip, admission.because) == (Reason.DROPPED_BY_RULE, "r0")
    assert admission.ruled.names == ["r0"]
    assert relayed(admission).event_name == "Purchase"


def test_what_rules_set_adds_up():
    admission = admitted(
        policy({"then": set_to(a="1")}, {"then": set_to(b="2")}, {"then": {"user_data": {"em": "a@b.example"}}})
    )
    assert properties(admission) | {"a": "1", "b": "2"} == properties(admission)
    assert admission.draft.event["user_data"]["em"]
    assert admission.draft.rules == ("r0", "r1", "r2")


def test_of_two_rules_that_set_one_field_the_later_counts_and_is_named():
    admission = admitted(policy({"then": set_to(a="1")}, {"then": set_to(a="2")}))
    assert properties(admission)["a"] == "2"
    assert admission.ruled.origins == {"custom_data.a": "r1"}


@pytest.mark.parametrize(
    "second",
    [
        {"match": {"custom_data": {"colour": "red"}}},
        {"when": "event.custom_data.colour == 'red'"},
        {"match": {"custom_data": {"colour": {"exists": True}}}, "when": "has(event.custom_data.colour)"},
    ],
    ids=["match", "when", "both"],
)
def test_a_later_rule_sees_what_an_earlier_one_has_set(second):
    assert admitted(policy({"then": COLOUR}, {**second, "then": {"drop": "twin"}})).because == "r1"
    assert admitted(policy({**second, "then": {"drop": "twin"}}, {"then": COLOUR})).draft


def test_a_later_rule_s_expression_sees_it_though_one_was_evaluated_before():
    """The context that expressions share is brought up to date."""
    admission = admitted(
        policy(
            {"when": "event.custom_data.value == 12.5", "then": set_to(value=20)},
            {"when": "event.custom_data.value == 20.0 && page.path == '/p/1'", "then": {"drop": "twin"}},
        )
    )
    assert admission.because == "r1"


def test_a_later_rule_goes_by_the_name_that_an_earlier_one_gave():
    renamed = policy({"then": {"rename": "Lead"}}, {"match": {"event": "Lead"}, "then": COLOUR})
    assert properties(admitted(renamed))["colour"] == "red"


def test_a_rule_that_does_not_match_does_nothing():
    admission = admitted(policy({"match": {"event": "Lead"}, "then": {"drop": "both"}}))
    assert (admission.draft.rules, admission.ruled.names) == ((), [])


# Drop.


def test_drop_twin_lets_the_browser_s_copy_go_as_it_came():
    arrived = request(hit_query("Purchase"))
    admission = admitted(policy({"then": {"drop": "twin"}}), arrived)
    assert (admission.skip, admission.relay, admission.withheld) == (Reason.DROPPED_BY_RULE, arrived, False)


def test_drop_both_withholds_the_browser_s_copy():
    admission = admitted(policy({"then": {"drop": "both"}}))
    assert (admission.skip, admission.relay, admission.withheld) == (Reason.DROPPED_BY_RULE, None, True)


def test_a_browser_s_copy_is_withheld_of_an_event_that_gets_no_twin_anyway():
    automatic = request(hit_query("SubscribedButtonClick"))
    admission = admitted(policy({"match": {"event": "SubscribedButtonClick"}, "then": {"drop": "both"}}), automatic)
    assert (admission.skip, admission.relay) == (Reason.AUTOMATIC_EVENT, None)


def test_a_browser_whose_hit_is_dropped_gets_no_cookies():
    assert admitted(policy({"then": {"drop": "twin"}}), request(hit_query())).cookies == ()


def test_drop_stands_alone():
    with pytest.raises(ValidationError, match="write drop alone"):
        rules({"then": {"drop": "twin", "rename": "Lead"}})


# Rename.


@pytest.mark.parametrize(
    "arrived",
    [
        request(hit_query("Purchase", eid="e-1")),
        form(hit_query("Purchase", eid="e-1")),
        multipart([("id", PIXEL), ("ev", "Purchase"), ("dl", "https://www.shop.example/"), ("eid", "e-1")]),
    ],
    ids=["GET", "form", "multipart"],
)
def test_rename_renames_both_copies_in_all_encodings(arrived):
    admission = admitted(policy({"then": {"rename": "Größe & Co=1"}}), arrived)
    assert admission.draft.event["event_name"] == relayed(admission).event_name == "Größe & Co=1"
    assert parsed(arrived).parameters[0] == relayed(admission).parameters[0]


def test_both_copies_of_a_renamed_event_carry_one_id():
    admission = admitted(policy({"then": {"rename": "Lead"}}), request(hit_query("Purchase")))
    assert relayed(admission).event_id == admission.draft.event["event_id"] != ""
    assert "event_name_of_twin_alone" not in admission.draft.notes


def test_a_name_of_the_twin_alone_is_remarked_since_meta_counts_both():
    admission = admitted(policy({"then": {"server_event": {"event_name": "Lead"}}}))
    assert relayed(admission).event_name == "Purchase"
    assert "event_name_of_twin_alone" in admission.draft.notes


def test_an_id_of_the_twin_alone_is_remarked_too():
    own = policy({"then": {"server_event": {"event_id": "other"}}})
    assert "event_id_of_twin_alone" in admitted(own).draft.notes
    assert "event_id_of_twin_alone" not in admitted(own, request(hit_query("Purchase"))).draft.notes


def test_a_page_that_gave_no_id_gets_the_rule_s_on_both_copies():
    admission = admitted(policy({"then": {"server_event": {"event_id": "other"}}}), request(hit_query("Purchase")))
    assert relayed(admission).event_id == admission.draft.event["event_id"] == "other"


# Pixels.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("agency", [AGENCY]),
        ([PIXEL, "agency"], [PIXEL, AGENCY]),
        (["shop", int(AGENCY)], [PIXEL, AGENCY]),
        (["shop", PIXEL, "shop"], [PIXEL]),
        ("{{ target }}", [AGENCY]),
        (["shop", "{{ target }}"], [PIXEL, AGENCY]),
        ({"cel": "hit['cd[target]']"}, [AGENCY]),
        ({"cel": f"{AGENCY}.0"}, [AGENCY]),
    ],
)
def test_one_hit_goes_to_several_pixels_by_name_id_or_data_element(given, expected):
    admission = admitted(
        policy({"then": {"pixels": given}}, elements={"target": {"custom_data": "target"}}), cd_target="agency"
    )
    assert [draft.pixel_id for draft in admission.drafts] == expected
    assert [draft.event for draft in admission.drafts] == [admission.draft.event] * len(expected)
    assert {draft.credential for draft in admission.drafts} == {""}


def test_each_twin_of_a_hit_has_a_record_of_its_own():
    admission = admitted(policy({"then": {"pixels": ["shop", "agency"]}}))
    assert [draft.record_id for draft in admission.drafts] == ["r", "r.1"]


def test_pixels_of_several_rules_add_up():
    admission = admitted(policy({"then": {"pixels": "shop"}}, {"then": {"pixels": "agency"}}))
    assert [draft.pixel_id for draft in admission.drafts] == [PIXEL, AGENCY]


@pytest.mark.parametrize("named", ["1111111111111111", "other", "../me", f"{AGENCY}/events?x=", "", "１２３"])
@pytest.mark.parametrize(
    "then", [{"pixels": "{{ target }}"}, {"pixel": {"id": "{{ target }}"}}], ids=["pixels", "pixel"]
)
def test_no_request_decides_a_destination(then, named):
    """What names none of our pixels goes nowhere; what names nothing leaves the hit's own."""
    admission = admitted(policy({"then": then}, elements={"target": {"custom_data": "target"}}), cd_target=named)
    assert {draft.pixel_id for draft in admission.drafts} <= ({PIXEL} if named == "" else set())
    assert admission.skip is (None if named == "" else Reason.UNKNOWN_PIXEL)


def test_each_pixel_s_twin_is_enriched_as_that_pixel_says():
    pixels = {PIXEL: replace(PIXELS[PIXEL], enrich=()), AGENCY: replace(PIXELS[AGENCY], enrich=("crm",))}
    decided_by = policy({"then": {"pixels": ["shop", "agency"]}}, pixels=pixels, **SOURCES)
    assert [dict(draft.keys) for draft in admitted(decided_by).drafts] == [{}, {"crm": "A-1"}]


# A pixel with a token of its own.


def test_a_rule_s_own_pixel_gets_the_twin_under_the_rule_s_token():
    admission = admitted(policy({"then": {"pixel": OWN}}))
    assert [(draft.pixel_id, draft.credential) for draft in admission.drafts] == [(OWN["id"], "r0")]


def test_a_pixel_without_a_token_has_to_be_one_of_ours():
    assert admitted(policy({"then": {"pixel": {"id": "agency"}}})).draft.pixel_id == AGENCY
    assert admitted(policy({"then": {"pixel": {"id": OWN["id"]}}})).skip is Reason.UNKNOWN_PIXEL


@pytest.mark.parametrize("given", ["{{ target }}", {"cel": "hit.id"}, "shop", "12/34", "", "１２３", True])
def test_a_token_of_a_rule_s_own_goes_to_a_pixel_that_the_file_names(given):
    with pytest.raises(ValidationError, match="write the pixel's digits"):
        rules({"then": {"pixel": {**OWN, "id": given}}})


def test_a_rule_s_own_pixel_gets_no_customer_s_data_but_verified_orders_alone():
    """Whoever forges a purchase must not reach the partner either."""
    pixels = {PIXEL: PixelPolicy(name="shop", enrich=("crm",), verify={"Purchase": "orders"})}
    decided_by = policy({"then": {"pixel": OWN}}, pixels=pixels, **SOURCES)
    draft = admitted(decided_by).draft
    assert (draft.verifier, dict(draft.keys)) == ("orders", {"orders": "A-1"})


def test_tokens_show_in_no_rendering():
    ruled = rules({"then": {"pixel": OWN}})
    assert OWN["access_token"] not in f"{ruled!r}{ruled.rules[0].model_dump_json()}"


# Sample.


def sampled(event_id: str, share: float | str = 0.1) -> bool:
    return bool(admitted(policy({"then": {"sample": share}}), eid=event_id).draft)


def test_a_sample_is_decided_by_the_event_s_id():
    for number in range(50):
        assert len({sampled(f"order-{number}") for _ in range(3)}) == 1


def test_a_retransmission_without_id_is_decided_alike():
    arrived = request(hit_query("Purchase", fbp=FBP))
    decided_by = policy({"then": {"sample": "50%"}})
    assert len({admitted(decided_by, arrived).skip for _ in range(5)}) == 1


@pytest.mark.parametrize(("share", "expected"), [("10%", 0.1), (0.5, 0.5), ("95%", 0.95)])
def test_a_share_of_the_events_gets_a_twin(share, expected):
    """Within four standard deviations of what chance would give, and nothing here is left to chance."""
    decided_by = policy({"then": {"sample": share}})
    count = sum(bool(admitted(decided_by, eid=f"event-{number}").draft) for number in range(1000))
    assert abs(count / 1000 - expected) < 4 * (expected * (1 - expected) / 1000) ** 0.5


def test_a_hit_that_is_sampled_out_is_a_skip_with_the_rule_s_name():
    out = next(f"e-{number}" for number in range(100) if not sampled(f"e-{number}"))
    admission = admitted(policy({"then": {"sample": 0.1}}), eid=out)
    assert (admission.skip, admission.because, admission.withheld) == (Reason.SAMPLED_OUT, "r0", False)


@pytest.mark.parametrize(
    "then", [{"rename": "Lead", "sample": 0.5}, {"sample": 0.5}], ids=["same rule", "earlier rule"]
)
def test_the_browser_s_copies_are_renamed_alike_whether_sampled_out_or_not(then):
    decided_by = policy({"then": then}, {"then": {"rename": "Lead"}})
    names = Counter(relayed(admitted(decided_by, eid=f"e-{number}")).event_name for number in range(20))
    assert names == {"Lead": 20}


def test_the_browser_s_copy_is_withheld_though_the_twin_was_sampled_out_before():
    decided_by = policy({"then": {"sample": 0.5}}, {"then": {"drop": "both"}})
    assert all(admitted(decided_by, eid=f"e-{number}").withheld for number in range(20))


@pytest.mark.parametrize("share", [0, 1, "0%", "100%", "x%", "nan%", -0.1, "some"])
def test_a_share_is_between_nothing_and_everything(share):
    with pytest.raises(ValidationError):
        rules({"then": {"sample": share}})


# Expressions that fail.


@pytest.mark.parametrize(
    "when",
    ["event.custom_data.order_id > 1.0", "event.custom_data.order_id", "int(event.custom_data.order_id) == 1"],
)
def test_a_rule_whose_expression_fails_does_not_hold_and_is_named(when):
    admission = admitted(policy({"when": when, "then": {"drop": "both"}}, {"then": COLOUR}))
    assert admission.ruled.faults == ["r0"]
    assert "rule_fault: r0" in admission.draft.notes
    assert properties(admission)["colour"] == "red"


@pytest.mark.parametrize(
    "when",
    [
        "event.custom_data.coupon == 'x'",
        "hit.nothing == 'x'",
        "http.cookies.nothing == 'x'",
        "http.headers.nothing == 'x'",
        "page.query.nothing == 'x'",
        "event.custom_data.contents[3].id == 'x'",
        "event.user_data.em[0] == 'x'",
        "el.nothing == 'x'",
    ],
)
def test_what_is_not_there_holds_of_nothing_and_is_no_fault(when):
    admission = admitted(policy({"when": when, "then": {"drop": "both"}}), cd_contents='[{"id":"a","quantity":1}]')
    assert (admission.ruled.names, admission.ruled.faults) == ([], [])


def test_a_failing_pixel_is_a_fault_and_the_hit_keeps_its_own():
    admission = admitted(policy({"then": {"pixels": {"cel": "event.custom_data.order_id + 1.0"}}}))
    assert (admission.ruled.faults, admission.draft.pixel_id) == (["r0"], PIXEL)


# What travels with the draft.


def test_the_rules_names_and_the_config_s_hash_travel_with_the_draft():
    draft = admitted(policy({"then": COLOUR})).draft
    assert (draft.rules, draft.config) == (("r0",), "c0ffee")


def test_a_policy_without_rules_costs_nothing_and_changes_nothing():
    admission = admitted(Policy(pixels=PIXELS))
    assert admission.draft.event == admitted(policy()).draft.event


# Rules that can never hold.


def never(*written):
    return list(never_holding(rules(*written).rules))


def test_a_rule_behind_one_that_drops_all_of_its_events_can_never_hold():
    dropped = "'r0' drops its events first"
    assert never({"match": NAMED, "then": {"drop": "twin"}}, {"match": {**NAMED, "path": "/p/*"}, "then": COLOUR}) == [
        (1, dropped)
    ]
    assert never(
        {"then": {"drop": "both"}}, {"then": COLOUR}, {"when": "profile.x > 1.0", "then": {"drop": "twin"}}
    ) == [
        (1, dropped),
        (2, dropped),
    ]


@pytest.mark.parametrize(
    "first",
    [
        {"match": {**NAMED, "path": "/p/*"}, "then": {"drop": "twin"}},
        {"match": NAMED, "when": "hit.x == '1'", "then": {"drop": "twin"}},
        {"match": NAMED, "then": {"sample": 0.5}},
        {"match": NAMED, "then": COLOUR},
        {"when": "profile.x > 1.0", "then": {"drop": "twin"}},
    ],
    ids=["narrower", "only sometimes", "a sample", "no drop", "later"],
)
def test_a_rule_that_some_hits_reach_is_left_in_peace(first):
    assert never(first, {"match": NAMED, "then": {"rename": "Lead"}}) == []


def test_a_name_that_is_given_in_between_makes_a_rule_reachable_again():
    drops, renames = (
        {"match": NAMED, "then": {"drop": "twin"}},
        {"match": {"event": "Order"}, "then": {"rename": "Purchase"}},
    )
    assert never(drops, renames, drops) == []
    assert admitted(policy(drops, renames, drops), request(hit_query("Order"))).because == "r2"


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"when": "false"}, "its `when` is false for every hit"),
        ({"when": "1.0 > 2.0"}, "its `when` is false for every hit"),
        ({"match": {"not": {}}}, "its `not` excludes all that it matches"),
        ({"match": {**NAMED, "path": "/p/*", "not": NAMED}}, "its `not` excludes all that it matches"),
    ],
)
def test_a_rule_that_contradicts_itself_can_never_hold(rule, why):
    assert never({**rule, "then": COLOUR}) == [(0, why)]


@pytest.mark.parametrize("rule", [{"when": "true"}, {"match": {**NAMED, "not": {**NAMED, "path": "/p/*"}}}])
def test_a_rule_that_does_not_is_left_in_peace(rule):
    assert never({**rule, "then": COLOUR}) == []
