"""What of a decision is kept: each twin under its key, the browser's copy where it is ours to bring."""

import pytest

from pixeltwin.delivery.outbox import MINOR, MONEY, ORDINARY
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.gateway.items import items_of, subject_of, twin_item
from pixeltwin.mirror import Admission, Draft
from tests.factories import NOW, hit_query, request
from tests.rules.factories import AGENCY, FBP, PIXELS, admitted, policy


def kept(admission: Admission, relay: str = "background") -> list[tuple[str, str]]:
    return [(item.destination, item.pixel_id) for item in items_of(admission, relay, NOW)]


def test_twins_come_first_and_the_browser_s_copy_once_for_its_own_pixel():
    admission = admitted(policy({"then": {"pixels": ["agency", "shop"]}}))
    first, second, copy = kept(admission)
    assert (first, second) == ((conversions_api.NAME, AGENCY), (conversions_api.NAME, admission.hit.pixel_id))
    assert copy == (pixel_relay.NAME, admission.hit.pixel_id)


@pytest.mark.parametrize(("relay", "copies"), [("background", 1), ("native", 0), ("browser", 0), ("none", 0)])
def test_the_browser_s_copy_is_kept_where_we_bring_it_to_meta(relay, copies):
    assert len(kept(admitted(policy()), relay)) == 1 + copies


def test_the_copy_of_a_hit_that_gets_no_twin_is_brought_all_the_same():
    assert kept(admitted(policy({"then": {"drop": "twin"}})))[0][0] == pixel_relay.NAME


def test_of_a_withheld_or_unreadable_hit_nothing_is_kept():
    assert kept(admitted(policy({"then": {"drop": "both"}}))) == []
    assert kept(admitted(policy(), request("x=1"))) == []


def test_an_event_s_key_is_its_name_and_id_as_meta_tells_duplicates_apart():
    draft = admitted(policy()).draft
    assert twin_item(draft).key == twin_item(draft._replace(notes=("x",))).key
    for name in ("event_name", "event_id"):
        other = draft._replace(event={**draft.event, name: "other"})
        assert twin_item(other).key != twin_item(draft).key


@pytest.mark.parametrize(
    ("event", "priority"),
    [("PageView", MINOR), ("SubscribedButtonClick", MINOR), ("AddToCart", ORDINARY), ("MyEvent", ORDINARY)]
    + [(name, MONEY) for name in ("Purchase", "Lead", "CompleteRegistration", "StartTrial", "Schedule", "Donate")],
)
def test_what_money_hangs_on_goes_first_and_page_views_last(event, priority):
    items = items_of(admitted(policy(), request(hit_query(event, eid="e-1"))), "background", NOW)
    assert {item.priority for item in items} == {priority}


def test_a_copy_is_as_important_as_its_most_important_twin():
    admission = admitted(policy({"then": {"rename": "Lead"}}), request(hit_query("PageView", eid="e-1")))
    assert [item.priority for item in items_of(admission, "background", NOW)] == [MONEY, MONEY]


def test_a_renamed_event_is_known_by_its_new_name():
    renamed = admitted(policy({"then": {"rename": "Lead"}})).draft
    lead = admitted(policy(), request(hit_query("Lead", eid="e-1"))).draft
    assert twin_item(renamed).key == twin_item(lead).key


def test_a_draft_comes_back_from_its_item_as_it_was():
    rules = {"then": {"custom_data": {"json": {"a": 1}}, "test_event": {"code": "T1"}}}
    late = {"when": "profile.x > 1.0", "then": {"drop": "twin"}}
    draft = admitted(policy(rules, late, pixels=PIXELS)).draft
    assert Draft.from_bytes(twin_item(draft).payload) == draft


@pytest.mark.parametrize("fbp", [f"{FBP}.AQ", f"{FBP}.AQYCAQMA"])
def test_an_appendix_makes_no_other_browser(fbp):
    assert subject_of(fbp) == subject_of(FBP)
    assert subject_of(FBP[:-1]) != subject_of(FBP)


def test_without_an_id_there_is_no_browser_to_find():
    assert subject_of("") is None
