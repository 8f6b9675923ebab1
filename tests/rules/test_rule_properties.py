"""What holds whatever rules do, and whatever a hit says."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixeltwin import kinds
from pixeltwin.capi.event import HASHED, HASHED_PARTS, ServerEvent, UserData
from pixeltwin.capi.hashes import as_hash
from pixeltwin.consent.verdict import Treatment
from pixeltwin.mirror import Admission, Draft, Policy, Sealed, Unsent, seal
from pixeltwin.mirror.limits import is_limited
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.rules.matcher import MATCHERS
from tests.factories import NOW, PIXEL, form, hit_query, multipart, request

from .factories import AGENCY, FBP, PIXELS, admitted, policy

OWN = "5555555555555555"
ELEMENTS = {
    "x": {"query": "x"},
    "cookie": {"cookie": "px"},
    "order": {"custom_data": "order_id"},
    "sum": {"cel": "event.custom_data.contents.map(c, c.item_price * c.quantity).sum()"},
}
CONDITIONS = [
    "true",
    "event.custom_data.value > 10.0",
    "event.custom_data.contents[0].id == 'a'",
    "hit.x == '1'",
    "hit.x.matches('[0-9]+')",
    "double(hit.x) > 1.0",
    "int(hit.x) / int(hit.v) > 1",
    "el.sum != '' && el.cookie.startsWith(hit.x)",
    "http.cookies.px == page.query.px",
    "consent.granted || geo.country == 'US'",
    "timestamp(hit.x) > timestamp('2026-01-01T00:00:00Z')",
    "hit.x.split(',').size() > 1",
    "string(hit.x)",
]
READ = st.sampled_from(
    [
        *("{{ x }}", "{{ x }}", "{{ cookie }}-{{ order }}", "{{ sum }}"),
        *({"cel": text} for text in ("hit.x", "event.custom_data", "1.0 / 0.0", "b'x'", "event.event_time - 5.0")),
        *({"cel": text} for text in ("[hit.x]", "event.custom_data.value * 2.0", "double(hit.x)", "{1: hit.x}")),
    ]
)
LITERALS = st.sampled_from(["a", "", 0, 1.5, True, "jane@mail.example", ["a", {"b": None}]])
KEYS = [name for name in UserData.model_fields if not name.startswith("partner")]
PROPERTIES = st.sampled_from(["value", "currency", "contents", "note", "content_ids"])
COUNTRY, STATE = (st.sampled_from(["{{ x }}", known, 0, {"cel": "hit.x"}]) for known in ("US", "CA"))
LIMITED = st.booleans() | st.fixed_dictionaries({"on": st.booleans()}, optional={"country": COUNTRY, "state": STATE})


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


ACTIONS = st.one_of(
    st.sampled_from([{"drop": "twin"}, {"drop": "both"}]),
    some(
        rename=st.sampled_from(["Lead", "Purchase", "a b&c=d\r\n--"]),
        pixels=st.lists(READ | st.sampled_from(["shop", AGENCY]), min_size=1, max_size=2),
        sample=st.sampled_from([0.5, "10%"]),
        server_event=some(
            event_name=READ | st.just("Lead"),
            event_time=READ | st.just(1795461000),
            event_id=READ | st.just("own"),
            event_source_url=READ | st.just("https://www.shop.example/?email=jane@mail.example"),
            action_source=READ | st.just("physical_store"),
            opt_out=READ | st.booleans(),
            customer_segmentation=READ | st.just("customer_in_loyalty_program"),
            original_event_data=some(event_time=READ, order_id=READ | st.just(7)),
            limited_data_use=LIMITED,
        ),
        user_data=st.dictionaries(st.sampled_from(KEYS), READ, max_size=3),
        custom_data=some(
            json=st.dictionaries(PROPERTIES, READ | LITERALS)
            | st.sampled_from(["{{ x }}", {"cel": "event.custom_data"}]),
            remove=st.sampled_from([["value"], ["contents"]]),
        ),
        test_event=st.fixed_dictionaries(
            {"code": READ | st.just("TEST1")}, optional={"when": st.sampled_from(CONDITIONS)}
        ),
    ),
    st.just({"pixel": {"id": OWN, "access_token": "t"}}),
).filter(bool)
MATCHES = st.one_of(
    st.just({}),
    st.sampled_from(
        [
            {module.__name__.rpartition(".")[2].rstrip("_"): example.written}
            for module in kinds.modules(MATCHERS)
            for example in module.EXAMPLES
        ]
    ),
)
RULE = st.fixed_dictionaries({"match": MATCHES, "then": ACTIONS}, optional={"when": st.sampled_from(CONDITIONS)})
CONSENT = st.sampled_from(
    [
        {},
        {"all": {"read": ["gpc"], "unknown": "allow", "denied": "limit"}},
        {"all": {"read": ["gpc"], "unknown": {"relay": "allow", "twin": "limit"}}},
        {"all": {"read": ["gpc"], "unknown": "hold 1h"}},
        {"all": {"read": ["gpc"], "unknown": {"relay": "limit", "twin": "hold 1h"}}},
    ]
)


def load(rules: list[dict[str, Any]], consent: dict[str, Any]) -> Policy:
    return policy(*rules, elements=ELEMENTS, consent=consent)


load([{"when": "el.sum != ''", "then": {"drop": "twin"}}], {})  # what it imports draws numbers, which no strategy may
POLICIES = st.builds(load, st.lists(RULE, min_size=1, max_size=4), CONSENT)

TEXTS = st.text(max_size=20) | st.sampled_from(
    [*("1", "shop", AGENCY, OWN, "../x", "US", "CA", "nan", "1e999", "\0", "jane@mail.example", "[" * 300, "9" * 400)]
)
JSON = st.sampled_from(
    ['[{"id":"a","quantity":1,"item_price":2}]', '[{"id":"a"}]', "[[[[[[[[[[1]]]]]]]]]]", '{"a":1e999}']
)
DPO = st.sampled_from(
    [{}, {"dpo": ""}, {"dpo": "LDU", "dpoco": "1", "dpost": "1000"}, {"dpo": "LDU"}, {"dpo": "LDU,x"}]
)


@st.composite
def hits(draw: st.DrawFn) -> Any:
    """A Purchase, or another event, in one of the three encodings, with whatever a client may put into it."""
    parameters = {
        "x": draw(TEXTS),
        "v": draw(TEXTS),
        "cd[value]": draw(st.sampled_from(["12.5", "0", "x", "-1", "1e308"])),
        "cd[currency]": draw(st.sampled_from(["EUR", "usd", ""])),
        "cd[contents]": draw(JSON),
        "cd[order_id]": draw(TEXTS),
        "ud[em]": draw(st.sampled_from(["a" * 64, "jane@mail.example", ""])),
        **({"fbp": FBP} if draw(st.booleans()) else {}),
        **draw(DPO),
    }
    headers = {"cookie": f"px={draw(TEXTS)}", **({"sec-gpc": "1"} if draw(st.booleans()) else {})}
    query = hit_query(draw(st.sampled_from(["Purchase", "PageView", "Lead"])), **parameters)
    sent = draw(st.sampled_from([request, form, lambda text: multipart(list(PixelHit.of(parsed(text)).parameters))]))
    arrived = sent(query)
    return request(
        arrived.query,
        body=arrived.body,
        content_type=arrived.header("content-type"),
        headers={**arrived.headers, **{name: text for name, text in headers.items() if text.isprintable()}},
    )


def parsed(query: str) -> Any:
    hit = parse_hit(request(query), Limits())
    assert isinstance(hit, PixelHit)
    return hit.parameters


many = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def decided(decided_by: Policy, hit: Any) -> Admission:
    admission = admitted(decided_by, hit)
    assert (admission.skip is None) is bool(admission.drafts)
    return admission


def is_limited_copy(hit: Any) -> bool:
    sent = parse_hit(hit, Limits())
    return isinstance(sent, PixelHit) and "LDU" in sent.get("dpo").split(",")


@many
@given(POLICIES, hits())
def test_nothing_that_a_hit_holds_makes_any_rule_raise(decided_by, hit):
    for draft in decided(decided_by, hit).drafts:
        assert Draft.from_bytes(draft.as_bytes()) == draft
        assert isinstance(seal(draft, {}, decided_by, NOW), Sealed | Unsent)


@many
@given(POLICIES, hits())
def test_an_event_that_nobody_has_validated_is_as_one_that_was(decided_by, hit):
    for twin in decided(decided_by, hit).twins:
        validated = ServerEvent.model_validate(twin.draft.event).as_json()
        assert json.dumps(validated, sort_keys=True) == json.dumps(twin.event, sort_keys=True)
        assert [*twin.event].index("user_data") < [*twin.event, "custom_data"].index("custom_data")


@many
@given(POLICIES, hits())
def test_a_twin_is_never_less_limited_than_the_browser_s_copy_or_than_consent_wants(decided_by, hit):
    admission = decided(decided_by, hit)
    for draft in admission.drafts:
        sealed = seal(draft, {}, decided_by, NOW)
        events = [draft.event, *([sealed.event] if isinstance(sealed, Sealed) else [])]
        if is_limited_copy(hit) or (admission.relay and is_limited_copy(admission.relay)):
            assert all(is_limited(event) for event in events)
        if admission.verdict.twin is Treatment.LIMIT or admission.verdict.limits:
            assert all(is_limited(event) for event in events)


@many
@given(POLICIES, hits())
def test_a_twin_goes_to_a_configured_pixel_or_to_one_that_a_rule_names_with_its_token(decided_by, hit):
    for draft in decided(decided_by, hit).drafts:
        assert draft.pixel_id == OWN if draft.credential else draft.pixel_id in PIXELS


@many
@given(POLICIES, hits())
def test_a_hit_gets_one_twin_a_pixel(decided_by, hit):
    drafts = decided(decided_by, hit).drafts
    assert len({draft.pixel_id for draft in drafts}) == len({draft.record_id for draft in drafts}) == len(drafts)


@many
@given(POLICIES, hits())
def test_user_data_never_holds_anything_but_hashes_where_meta_hashes(decided_by, hit):
    for draft in decided(decided_by, hit).drafts:
        given_data = draft.event["user_data"]
        for key in (*HASHED, *HASHED_PARTS):
            values = given_data.get(key, [])
            values = values if isinstance(values, list) else [values]
            assert all(as_hash(value) == value for value in values)
            assert key not in given_data or values


@many
@given(POLICIES, hits())
def test_both_copies_carry_one_id_and_one_name_unless_the_twin_was_given_its_own(decided_by, hit):
    admission = decided(decided_by, hit)
    if admission.relay and admission.draft:
        copy = parse_hit(admission.relay, Limits())
        assert isinstance(copy, PixelHit)
        notes = admission.draft.notes
        assert copy.event_id == admission.draft.event["event_id"] or "event_id_of_twin_alone" in notes
        assert copy.event_name == admission.draft.event["event_name"] or "event_name_of_twin_alone" in notes


@many
@given(POLICIES, hits())
def test_what_is_withheld_is_not_relayed_and_what_is_relayed_is_for_the_hit_s_own_pixel(decided_by, hit):
    admission = decided(decided_by, hit)
    assert admission.withheld is (admission.relay is None)
    if admission.relay:
        copy = parse_hit(admission.relay, Limits())
        assert isinstance(copy, PixelHit)
        assert copy.pixel_id == PIXEL
