"""What the journal is told about a decision."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixeltwin.config import Config
from pixeltwin.delivery.journal import Record, State
from pixeltwin.gateway.dry_run import decide
from pixeltwin.gateway.entries import entries_of
from pixeltwin.gateway.policy import policy_of
from tests.factories import PIXEL, hit_query, request

POLICY = policy_of(
    Config.from_text(
        f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]
rules: [{{ name: no-contacts, match: {{ event: Contact }}, then: {{ drop: both }} }}]
consent:
  twins: {{ where: [US], read: [gpc], unknown: {{ relay: allow, twin: hold 1h }} }}
  eu: {{ read: [{{ cookie: ads, granted: [yes], denied: [no] }}], unknown: hold 1h }}
geo: {{ country: {{ header: x-country }} }}
""",
        base=Path(),
        env={"T": "t"},
    )
)
FBP = "fb.1.1795461138686.39550"


def record(query: str, relay: str = "background", **headers: str) -> Record:
    asked = request(query, headers={name.replace("_", "-"): value for name, value in headers.items()})
    [found] = entries_of(asked, decide(asked, POLICY), "a-1", relay, [State.QUEUED], "")
    return found.record()


@pytest.mark.parametrize(
    ("event", "relay", "headers", "expected"),
    [
        ("Lead", "background", {"cookie": "ads=yes"}, "background"),
        ("Lead", "none", {"cookie": "ads=yes"}, "none"),
        ("Lead", "none", {"cookie": "ads=no"}, "withheld"),
        ("Contact", "none", {"cookie": "ads=yes"}, "withheld"),
        ("Lead", "background", {}, "held"),
        ("Lead", "browser", {}, "browser"),
        ("Lead", "background", {"x_country": "US"}, "background"),
    ],
)
def test_what_becomes_of_the_browser_s_copy_is_told(event, relay, headers, expected):
    assert record(hit_query(event, fbp=FBP), relay, **headers).relay == expected


@pytest.mark.parametrize("event", ["PageView", "SubscribedButtonClick"])
def test_the_page_of_an_image_hit_is_told_without_the_personal_data_in_it(event):
    page = "https://www.shop.example/thanks"
    found = record(f"id={PIXEL}&ev={event}&noscript=1", cookie="ads=yes", referer=f"{page}?email=a.person@example.com")
    assert found.source_url == page


def test_rules_and_consent_are_told_of_a_hit_without_twin():
    found = record(hit_query("Contact", fbp=FBP), cookie="ads=yes")
    assert (found.rules, found.consent, found.origins) == (("no-contacts",), "granted (eu)", {})


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ("cd%5Bvalue%5D=1&ud%5Bem%5D=", [("cd[value]", "1"), ("ud[em]", "")]),
        ("b=1&a=2&b=3", [("b", "1"), ("a", "2"), ("b", "3")]),
        ("ud%5Bem%5D=a.person&x=%C3%A9", [("ud[em]", "(not hashed, not shown)"), ("x", "é")]),
        ("ud%5Bem=a.person", [("ud[em", "(not hashed, not shown)")]),
        ("dl=https://a.example/?email=a.person@b.example&x=1", [("dl", "https://a.example/"), ("x", "1")]),
    ],
)
def test_parameters_are_told_in_their_order_repeats_kept_and_what_is_not_hashed_hidden(more, shown):
    assert record(f"id={PIXEL}&ev=Lead&{more}").hit == [("id", PIXEL), ("ev", "Lead"), *shown]


@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.text('ab&=+%[]{}?"\\2F', max_size=20))
def test_parameters_are_told_as_they_were_read(more):
    asked = request(f"id={PIXEL}&ev=Lead&{more}")
    [found] = entries_of(asked, admission := decide(asked, POLICY), "a-1", "none", [State.SKIPPED], "")
    assert found.record().hit == list(admission.hit.shown())
