"""What rules decide, up to what Meta gets: pixels, tokens, codes, metrics and the journal's record."""

from types import SimpleNamespace

import httpx
import pytest

from pixeltwin.delivery.journal import State
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.enrich.source import Profile
from pixeltwin.gateway.delivering import tokens_of
from pixeltwin.gateway.keeping import Kept, _count
from pixeltwin.telemetry import REGISTRY
from tests.factories import PIXEL

from .factories import AGENCY, BOTH, ENV, SHOP, Known, Line

PARTNER = "5555555555555555"
OWN = f'{{ pixel: {{ id: "{PARTNER}", access_token: "${{PARTNER}}" }} }}'
CRM = """
elements: { order: { custom_data: order_id, trust: unsafe } }
sources: { crm: { kind: embedded, key: order, profile: [n] } }
"""
ENRICHED = SHOP.replace(" }]", ", enrich: [crm] }]") + CRM


def count(name: str, rule: str) -> float:
    return REGISTRY.get_sample_value(f"{name}_total", {"rule": rule}) or 0.0


async def test_one_hit_goes_to_several_pixels_each_with_its_own_token():
    line = Line(f"{BOTH}rules: [{{ name: all, then: {{ pixels: [shop, agency] }} }}]")
    await line.take(eid="1")
    assert [(pixel, credential) for pixel, credential, *_ in await line.deliver()] == [(PIXEL, ""), (AGENCY, "")]


async def test_a_pixel_gets_each_event_once_however_many_rules_name_it():
    twice = "{ name: a, then: { pixels: [shop, shop] } }, { name: b, then: { pixels: shop } }"
    line = Line(f"{SHOP}rules: [{twice}]")
    admission = await line.take(eid="1")
    assert len(admission.drafts) == len(await line.events()) == 1


async def test_twins_under_a_rule_s_token_and_others_of_that_pixel_never_share_a_batch():
    partner = f'{BOTH[:-2]}, {{ name: partner, id: "{PARTNER}", access_token: "${{T}}" }}]\n'
    line = Line(f"{partner}rules: [{{ name: own, match: {{ event: Lead, pixel: shop }}, then: {OWN} }}]")
    for number in range(4):
        await line.take("Lead", eid=f"{number}")
        await line.take("Lead", eid=f"p{number}", id=PARTNER)
    posts = await line.deliver()
    assert [(pixel, credential, len(events)) for pixel, credential, _, events in posts] == [
        (PARTNER, "", 4),
        (PARTNER, "own", 4),
    ]
    assert {event["event_id"][0] for event in posts[0][3]} == {"p"}


async def test_a_rule_s_token_reaches_meta_and_no_other_does(monkeypatch):
    line = Line(f"{SHOP}rules: [{{ name: own, match: {{ event: Lead }}, then: {OWN} }}]")
    seen: list[tuple[str, str]] = []

    def meta(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path, request.headers["authorization"]))
        return httpx.Response(200, json={"events_received": 1})

    api = ConversionsApi("https://graph.example", "v26.0", tokens_of(line.config))
    await api._client.aclose()
    api._client = httpx.AsyncClient(transport=httpx.MockTransport(meta))
    line.api.send = api.send
    await line.take("Lead", eid="1")
    await line.take("Purchase", eid="2")
    await line.deliver()
    await api.close()
    assert sorted(seen) == [
        (f"/v26.0/{PIXEL}/events", f"Bearer {ENV['T']}"),
        (f"/v26.0/{PARTNER}/events", f"Bearer {ENV['PARTNER']}"),
    ]


async def test_a_rule_s_own_pixel_may_come_from_the_environment():
    elements = "elements: { partner: { env: PARTNER_ID }, token: { env: PARTNER } }\n"
    rule = '{ name: own, then: { pixel: { id: "{{ partner }}", access_token: "{{ token }}" } } }'
    ENV["PARTNER_ID"] = PARTNER
    line = Line(f"{SHOP}{elements}rules: [{rule}]")
    await line.take(eid="1")
    assert [(pixel, credential) for pixel, credential, *_ in await line.deliver()] == [(PARTNER, "own")]


async def test_a_rule_s_test_event_code_travels_with_its_events_alone():
    line = Line(f"{SHOP}rules: [{{ name: t, match: {{ event: Lead }}, then: {{ test_event: {{ code: T1 }} }} }}]")
    await line.take("Lead", eid="1")
    await line.take("Purchase", eid="2")
    assert [(code, len(events)) for _, _, code, events in await line.deliver()] == [("", 1), ("T1", 1)]


async def test_the_pixel_s_own_code_is_used_where_no_rule_gives_one():
    text = SHOP.replace(" }]", ", test_event_code: ALL }]")
    line = Line(f"{text}rules: [{{ name: t, match: {{ event: Lead }}, then: {{ test_event: {{ code: T1 }} }} }}]")
    await line.take("Lead", eid="1")
    await line.take("Purchase", eid="2")
    assert [code for _, _, code, _ in await line.deliver()] == ["ALL", "T1"]


# Counted and told.


async def test_a_late_rule_that_holds_and_one_that_fails_are_counted():
    rules = """
rules:
  - { name: late-new, when: "profile.n < 2.0", then: { custom_data: { json: { customer_type: new } } } }
  - { name: late-broken, when: "profile.n > 'a'", then: { drop: twin } }
"""
    line = Line(ENRICHED + rules, {"crm": Known({"A-1": Profile(facts={"n": 1})})})
    before = count("pixeltwin_rule", "late-new"), count("pixeltwin_rule_errors", "late-broken")
    admission = await line.take(eid="1")
    [event] = await line.events()
    assert event["custom_data"]["customer_type"] == "new"
    after = count("pixeltwin_rule", "late-new"), count("pixeltwin_rule_errors", "late-broken")
    assert after == (before[0] + 1, before[1] + 1)
    record = line.journal.get(admission.draft.record_id)
    assert (record.rules, record.origins) == (("late-new",), {"custom_data.customer_type": "rule late-new"})
    assert "rule_fault: late-broken" in record.notes


@pytest.mark.parametrize(
    ("broken", "place"),
    [
        (
            'elements: { order: { custom_data: order_id, trust: unsafe }, sum: { cel: "double(hit.eid)" } }',
            "elements.sum",
        ),
        ("sources: { crm: { kind: embedded, key: order, only_when: 'double(hit.eid) > 1.0' } }", "sources.crm"),
    ],
    ids=["an element", "a source"],
)
async def test_an_expression_that_fails_outside_of_rules_is_counted_by_its_place_and_the_twin_goes(broken, place):
    section = broken.partition(":")[0]
    kept = "".join(f"{line}\n" for line in CRM.splitlines() if not line.startswith(section))
    rule = '{ name: r, then: { custom_data: { json: { sum: "{{ sum }}" } } } }' if section == "elements" else ""
    text = f"{SHOP.replace(' }]', ', enrich: [crm] }]')}{kept}{broken}\nrules: [{rule}]\n"
    line = Line(text, {"crm": Known({"A-1": Profile(facts={"n": 1})})})
    before = count("pixeltwin_rule_errors", place)
    admission = await line.take(eid="none")
    _count(SimpleNamespace(name_of=str), admission, Kept([State.QUEUED]))  # type: ignore[arg-type]
    assert len(await line.events()) == 1
    assert count("pixeltwin_rule_errors", place) == before + 1
    assert f"rule_fault: {place}" in line.journal.get(admission.draft.record_id).notes


async def test_a_late_drop_is_counted_and_told_with_the_rule_s_name():
    rules = 'rules: [{ name: late-staff, when: "profile.n == 1.0", then: { drop: twin } }]'
    line = Line(ENRICHED + rules, {"crm": Known({"A-1": Profile(facts={"n": 1})})})
    before = count("pixeltwin_rule", "late-staff")
    await line.take(eid="1")
    assert await line.events() == []
    assert [end.reason for end in line.ends] == ["dropped_by_rule: late-staff"]
    assert count("pixeltwin_rule", "late-staff") == before + 1


async def test_the_record_says_who_set_what_when_the_hit_came_and_when_the_twin_was_sealed():
    rules = """
rules:
  - { name: early, then: { custom_data: { json: { colour: red } } } }
  - { name: late, when: "has(profile.n)", then: { custom_data: { json: { size: large } } } }
"""
    known = {"A-1": Profile({"em": ("1" * 64,)}, facts={"n": 1})}
    line = Line(ENRICHED + rules, {"crm": Known(known)})
    admission = await line.take(eid="1")
    await line.events()
    assert line.journal.get(admission.draft.record_id).origins == {
        "custom_data.colour": "rule early",
        "user_data.em": "crm",
        "custom_data.size": "rule late",
    }


@pytest.mark.parametrize("kind", ["{ drop: twin }", "{ drop: both }"])
async def test_what_a_rule_drops_is_kept_nowhere(kind):
    line = Line(f"{SHOP}rules: [{{ name: x, then: {kind} }}]")
    await line.take(eid="1")
    assert await line.events() == []
    assert await line.relayed() == (1 if kind == "{ drop: twin }" else 0)
