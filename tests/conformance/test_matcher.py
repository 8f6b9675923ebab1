"""What every matcher promises, run over each that is found."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.factories import PIXEL, request

from pixeltwin import kinds
from pixeltwin.consent.verdict import Answer, Treatment, Verdict
from pixeltwin.mapping.server_event import server_event
from pixeltwin.pixel.browser_id import BrowserIds
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.visit import Place, Visit
from pixeltwin.rules.matcher import MATCHERS, Example, Match, Matcher, match_type
from pixeltwin.rules.moment import Arrival

EXAMPLES = [(module, example) for module in kinds.modules(MATCHERS) for example in module.EXAMPLES]
ids = [f"{module.__name__.rpartition('.')[2]}-{example.written}-{example.holds}" for module, example in EXAMPLES]

every_example = pytest.mark.parametrize(("module", "example"), EXAMPLES, ids=ids)
every_kind = pytest.mark.parametrize("module", kinds.modules(MATCHERS), ids=kinds.names(MATCHERS))


def key_of(module: Any) -> str:
    name: str = module.__name__
    return name.rpartition(".")[2].rstrip("_")


def match(**written: Any) -> Match:
    return match_type().model_validate(written)


def arrival(example: Example, hit: Mapping[str, str], headers: Mapping[str, str]) -> Arrival:
    """The example's hit with these parameters and headers."""
    parameters = {"id": PIXEL, "ev": "PageView", "dl": "https://www.shop.example/", **hit}
    seen = PixelHit.of(tuple(parameters.items()))
    came = request(headers=headers)
    event = server_event(seen, came, event_id="1", ids=BrowserIds(fbp=None, fbc=None), client_ip=example.client_ip)
    visit = Visit(
        request=came, hit=seen, client_ip=example.client_ip, place=example.place, element=example.elements.get
    )
    verdict = Verdict(relay=Treatment.ALLOW, twin=Treatment.ALLOW, answer=example.answer)
    return Arrival(visit, event, verdict, "shop")


def holds(module: Any, example: Example) -> bool:
    return match(**{key_of(module): example.written}).holds(arrival(example, example.hit, example.headers))


@every_example
def test_it_holds_as_its_example_says(module, example):
    assert holds(module, example) is example.holds


@every_kind
def test_examples_show_a_hit_for_which_it_holds_and_one_for_which_not(module):
    assert {example.holds for example in module.EXAMPLES} == {True, False}


@every_kind
def test_a_matcher_is_written_by_the_name_of_its_file(module):
    for example in module.EXAMPLES:
        assert type(getattr(match(**{key_of(module): example.written}), key_of(module))) is module.Settings
    assert issubclass(module.Settings, Matcher)
    assert set(module.Settings.model_fields) == {"want"}


@every_example
def test_it_covers_itself(module, example):
    """For the warning about rules that nothing reaches."""
    wish = match(**{key_of(module): example.written})
    assert wish.covers(wish)


@every_example
def test_settings_are_frozen_and_keep_what_they_hide_out_of_errors(module, example):
    wish = getattr(match(**{key_of(module): example.written}), key_of(module))
    with pytest.raises(ValidationError, match="frozen"):
        wish.want = None
    with pytest.raises(ValidationError) as refused:
        match(**{key_of(module): object()})
    assert "input_value" not in str(refused.value)


@pytest.mark.parametrize("key", ["consent", "country", "event", "host", "ip", "path", "pixel"])
def test_a_list_names_at_least_one(key):
    with pytest.raises(ValidationError, match="at least one"):
        match(**{key: []})


@pytest.mark.parametrize("key", ["custom_data", "element"])
def test_comparisons_name_at_least_one(key):
    with pytest.raises(ValidationError, match="at least 1"):
        match(**{key: {}})


# All of a rule's wishes.


def test_no_wish_holds_for_every_hit():
    assert match().holds(arrival(Example(written=None, holds=True), {}, {}))


@pytest.mark.parametrize(
    ("event", "path", "holds"), [("Lead", "/p/1", True), ("Lead", "/", False), ("X", "/p/1", False)]
)
def test_all_of_the_wishes_have_to_hold(event, path, holds):
    seen = arrival(Example(written=None, holds=True), {"ev": event, "dl": f"https://shop.example{path}"}, {})
    assert match(event="Lead", path="/p/*").holds(seen) is holds


# What covers what, for warnings.


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({}, {"event": "Lead"}),
        ({"event": ["Lead", "Purchase"]}, {"event": "Lead"}),
        ({"event": "Lead"}, {"event": "Lead", "path": "/p/*"}),
        ({"path": "*"}, {"path": "/p/*"}),
        ({"country": "EU"}, {"country": ["DE", "FR"]}),
        ({"host": "A.example"}, {"host": "a.example"}),
        ({"not": {"event": "Lead", "path": "/p/*"}}, {"not": {"event": "Lead"}}),
        ({"consent": ["granted", "unknown"]}, {"consent": "granted"}),
        ({"custom_data": {"value": {"above": 1}}}, {"custom_data": {"value": {"above": 1}}}),
    ],
)
def test_a_wider_wish_covers_a_narrower_one_and_not_the_other_way_round(wide, narrow):
    assert match(**wide).covers(match(**narrow))
    assert match(**wide) == match(**narrow) or not match(**narrow).covers(match(**wide))


wishes = st.dictionaries(
    st.sampled_from([key_of(module) for module in kinds.modules(MATCHERS)]), st.none(), max_size=2
).flatmap(
    lambda keys: st.fixed_dictionaries(
        {
            key_of(module): st.sampled_from([example.written for example in module.EXAMPLES])
            for module in kinds.modules(MATCHERS)
            if key_of(module) in keys
        }
    )
)


@given(one=wishes, other=wishes, seen=st.sampled_from([example for _, example in EXAMPLES]))
def test_what_covers_another_holds_wherever_that_one_does(one, other, seen):
    wide, narrow = match(**one), match(**other)
    moment = arrival(seen, seen.hit, seen.headers)
    if wide.covers(narrow) and narrow.holds(moment):
        assert wide.holds(moment)


# Hostile requests.

ODD = (
    "\0",
    "\ud800",
    "%ff",
    "[" * 400,
    "https://[",
    "http://",
    "nan",
    "inf",
    "1_000",
    "9" * 5000,
    "//" * 2000,
    "*" * 99,
)
TEXT = (
    st.text(max_size=100) | st.sampled_from(ODD) | st.sampled_from(ODD).map(lambda odd: f"https://shop.example/{odd}")
)
PARAMETERS = st.dictionaries(
    st.sampled_from(["ev", "dl", "cd[value]", "cd[currency]", "cd[contents]", "cd[gift]", "cd[coupon]"]), TEXT
)


@given(
    example=st.sampled_from([example for _, example in EXAMPLES]),
    hit=PARAMETERS,
    agent=TEXT,
    elements=st.dictionaries(st.sampled_from(["plan", "customer_id", "age"]), TEXT),
    place=st.builds(Place, TEXT, TEXT),
    client_ip=st.none() | st.ip_addresses().map(str),
    answer=st.sampled_from(Answer),
)
def test_no_request_breaks_it(example, hit, agent, elements, place, client_ip, answer):
    seen = Example(written=None, elements=elements, place=place, client_ip=client_ip, answer=answer, holds=False)
    moment = arrival(seen, hit, {"user-agent": agent})
    for module in kinds.modules(MATCHERS):
        for it in module.EXAMPLES:
            assert match(**{key_of(module): it.written}).holds(moment) in (True, False)


@pytest.mark.parametrize("pattern", ["/*a*b*c*d*e*f", "*" * 20 + "x", "/a*?*?*?*?b"])
def test_the_longest_path_takes_no_time_to_speak_of(pattern):
    seen = Example(written=None, holds=False)
    moment = arrival(seen, {"dl": "https://shop.example/" + "abcde" * 8000}, {})
    wish = match(path=pattern)
    began = time.perf_counter()
    wish.holds(moment)
    assert time.perf_counter() - began < 0.1
