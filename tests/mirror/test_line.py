"""The line: every hit ends as a twin or as a named skip, and both copies carry one event id."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.capi.validate import Refusal
from pixeltwin.enrich.source import Profile
from pixeltwin.mirror import Admission, Draft, PixelPolicy, Policy, Sealed, Unsent, admit, seal
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason
from tests.factories import NOW, PAGE, PIXEL, form, hit_query, multipart, parsed, request

POLICY = Policy(pixels={PIXEL: PixelPolicy()})
OURS, THEIRS = "1" * 64, "2" * 64


def admitted(arrived: HitRequest, policy: Policy = POLICY) -> Admission:
    return admit(arrived, policy, record_id="r", random_below=lambda below: 7)


@pytest.mark.parametrize(
    "arrived", [request(hit_query()), form(hit_query()), multipart([("id", PIXEL), ("ev", "PageView"), ("dl", PAGE)])]
)
def test_both_copies_carry_one_event_id(arrived):
    admission = admitted(arrived)
    assert admission.draft
    assert admission.relay
    assert parsed(admission.relay).event_id == admission.draft.event["event_id"] != ""


def test_a_page_s_own_id_is_kept_and_the_hit_relayed_untouched():
    arrived = request(hit_query(eid="order-42"))
    admission = admitted(arrived)
    assert admission.relay is arrived
    assert admission.draft
    assert admission.draft.event["event_id"] == "order-42"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (hit_query("SubscribedButtonClick"), Reason.AUTOMATIC_EVENT),
        (hit_query("Microdata"), Reason.AUTOMATIC_EVENT),
        (hit_query("Anything", es="automatic", tm="3"), Reason.AUTOMATIC_EVENT),
        (hit_query(rqm="FGET"), Reason.PRIVACY_SANDBOX_COPY),
        (hit_query() + "&bfs[b]=1", Reason.BOT),
        (hit_query(dl="file:///C:/page.html"), Reason.NO_WEB_PAGE),
        (hit_query(dl="about:blank"), Reason.NO_WEB_PAGE),
        (hit_query(dl="javascript:void(0)"), Reason.NO_WEB_PAGE),
        (hit_query(dl="https://[bad"), Reason.NO_WEB_PAGE),
    ],
)
def test_a_hit_without_twin_is_relayed_as_it_is_under_a_named_reason(query, reason):
    arrived = request(query)
    assert (admitted(arrived).skip, admitted(arrived).relay) == (reason, arrived)


@pytest.mark.parametrize(
    ("arrived", "policy", "reason"),
    [
        (request(hit_query(id="9999999999999999")), POLICY, Reason.UNKNOWN_PIXEL),
        (
            request(hit_query(), host="other.example"),
            Policy(pixels={PIXEL: PixelPolicy(hosts=frozenset({"px.shop.example"}))}),
            Reason.FOREIGN_HOST,
        ),
        (
            request(hit_query(), headers={"referer": "https://evil.example/page"}),
            Policy(pixels={PIXEL: PixelPolicy()}, admits_origin=lambda origin: origin == "https://www.shop.example"),
            Reason.FOREIGN_ORIGIN,
        ),
    ],
)
def test_what_is_none_of_ours_is_not_even_relayed(arrived, policy, reason):
    assert (admitted(arrived, policy).skip, admitted(arrived, policy).relay) == (reason, None)


def test_a_draft_survives_the_outbox():
    draft = admitted(
        request(hit_query("Purchase", cd_value="1", cd_contents='[{"id":"a","quantity":1}]', dpo=""))
    ).draft
    assert draft
    assert Draft.from_bytes(draft.as_bytes()) == draft


def test_what_the_browser_hashed_stays_first_and_ours_follows():
    draft = admitted(request(hit_query() + f"&ud[em]={THEIRS}")).draft
    assert draft
    known = {"crm": Profile({"em": (OURS,), "ph": (OURS,)}), "mail": Profile({"em": (THEIRS,)})}
    policy = Policy(pixels={PIXEL: PixelPolicy(enrich=("crm", "mail"))})
    sealed = seal(draft, known, policy, NOW)
    assert isinstance(sealed, Sealed)
    user_data = sealed.event["user_data"]
    assert (user_data["em"], user_data["ph"]) == ([THEIRS, OURS], [OURS])
    assert sealed.origins == {"user_data.em": "crm", "user_data.ph": "crm"}


@pytest.mark.parametrize(
    ("arrived", "refusal"),
    [
        (replace(request(hit_query(), peer="127.0.0.1"), first_party=False), Refusal.INSUFFICIENT_USER_DATA),
        (request(hit_query("Purchase", cd_currency="EUR")), Refusal.PURCHASE_WITHOUT_VALUE),
        (request(hit_query("Purchase", cd_value="0")), Refusal.PURCHASE_WITHOUT_CURRENCY),
    ],
)
def test_what_meta_would_refuse_is_not_sent(arrived, refusal):
    draft = admitted(arrived).draft
    assert draft
    sealed = seal(draft, {}, POLICY, NOW)
    assert isinstance(sealed, Unsent)
    assert sealed.reason is refusal


def test_a_free_purchase_is_a_purchase():
    draft = admitted(request(hit_query("Purchase", cd_value="0", cd_currency="EUR"))).draft
    assert draft
    assert isinstance(seal(draft, {}, POLICY, NOW), Sealed)


@given(st.binary(max_size=200), st.binary(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_whatever_arrives_ends_as_a_twin_or_a_named_skip(query, body, content_type, header):
    noise = request(
        f"id={PIXEL}&ev=X&".encode() + query,
        body=body,
        content_type=content_type,
        headers={"cookie": header, "referer": header, "origin": header, "x-forwarded-for": header},
    )
    admission = admitted(noise)
    assert (admission.draft is None) == (admission.skip is not None)
    if admission.draft:
        assert Draft.from_bytes(admission.draft.as_bytes()) == admission.draft
        assert admission.draft.event == admission.twins[0].event


def test_a_browser_without_fbp_gets_one_and_is_told_to_keep_it():
    admission = admitted(request(hit_query()))
    assert admission.draft
    assert admission.draft.event["user_data"]["fbp"] == "fb.1.1795461800000.7"
    assert [(cookie.name, cookie.value, cookie.domain) for cookie in admission.cookies] == [
        ("_fbp", "fb.1.1795461800000.7", "shop.example")
    ]


def test_a_browser_that_our_cookies_cannot_reach_gets_no_fbp():
    """Through an explicit proxy it asks Meta's host: an id that nobody keeps would be a new browser on every hit."""
    admission = admitted(replace(request(hit_query()), first_party=False))
    assert admission.draft
    assert ("fbp" in admission.draft.event["user_data"], admission.cookies) == (False, ())


@pytest.mark.parametrize(
    ("query", "notes"),
    [
        (hit_query(), ()),
        (hit_query(ts="1794597200000"), ("clock_repaired",)),
        (hit_query(cd_eventID="o-1"), ("event_id_in_custom_data",)),
        (hit_query(cd_eventID="o-1", eid="o-1"), ()),
        (hit_query(cd_value="12,50", cd_currency="Euro"), ("value_ignored", "currency_ignored")),
        (hit_query(cd_contents="[]"), ("contents_ignored",)),
        (
            hit_query() + "&ud[em]=alex.doe%40example.com",
            ("personal_data_removed: ud[em]",),
        ),
        (hit_query(dpo="LDU", dpoco="US", dpost="CA"), ("limited_by_geolocation",)),
    ],
)
def test_what_had_to_be_repaired_or_left_out_is_noted(query, notes):
    draft = admitted(request(query)).draft
    assert draft
    assert draft.notes == notes
