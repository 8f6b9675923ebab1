"""Rules in the config file: mistakes are pointed at, and what works but is hardly meant is a warning."""

import time

import pytest

from pixeltwin.config import Config
from pixeltwin.errors import Problem

from .factories import ENV, load, problems

PIXELS = 'pixels: [{ name: shop, id: "123", access_token: "${SHOP_TOKEN}", events: [Lead] }]\n'  # no money to forge
LEAD = "match: { event: Lead }"
DROP = "then: { drop: twin }"
CRM = """
elements: { uid: { signed_cookie: uid, key: "${UID_KEY}" } }
sources: { crm: { kind: embedded, key: uid, profile: [orders] } }
"""


def text(*rules: str, more: str = "") -> str:
    """A config with these rules, the first of them on line 3."""
    written = "".join(f"  - {{ name: r{number}, {rule} }}\n" for number, rule in enumerate(rules))
    return f"{PIXELS}rules:\n{written}{more}"


def warnings(*rules: str, more: str = "") -> list[tuple[str, str]]:
    return [(warning.key, warning.found) for warning in load(text(*rules, more=more)).warnings]


def problem(*rules: str, more: str = "") -> Problem:
    [found] = problems(text(*rules, more=more))
    return found


# Mistakes.

LDU = "then.server_event.limited_data_use."
ROW = "then.custom_data.rows[1].key"


@pytest.mark.parametrize(
    ("rule", "key", "found", "remedy"),
    [
        (f"match: {{ pixel: shp }}, {DROP}", "match.pixel", "no pixel is named 'shp'", "did you mean 'shop'?"),
        (f"match: {{ not: {{ pixel: shp }} }}, {DROP}", "match.pixel", "no pixel is named 'shp'", "'shop'"),
        ("then: { pixels: [shop, shp] }", "then.pixels", "no pixel is named 'shp'", "'shop'"),
        ("then: { pixel: { id: shp } }", "then.pixel.id", "no pixel is named 'shp'", "add its access_token"),
        ("then: { pixel: { id: '999' } }", "then.pixel.id", "no pixel is named '999'", "add its access_token"),
        (
            f"match: {{ element: {{ ui: x }} }}, {DROP}",
            "match.element.ui",
            "no element is named 'ui'",
            "did you mean 'uid'?",
        ),
        (
            f"match: {{ not: {{ element: {{ ui: x }} }} }}, {DROP}",
            "match.not.element.ui",
            "no element is named 'ui'",
            "'uid'",
        ),
        (f"when: 'el.ui == \"x\"', {DROP}", "when", "no element is named 'ui'", "'uid'"),
        (
            "then: { server_event: { event_id: '{{ ui }}' } }",
            "then.server_event.event_id",
            "no element is named 'ui'",
            "'uid'",
        ),
        ("then: { user_data: { em: ['{{ ui }}'] } }", "then.user_data.em[0]", "no element is named 'ui'", "'uid'"),
        ("then: { user_data: { em: '{{ ui }}' } }", "then.user_data.em", "no element is named 'ui'", "'uid'"),
        (
            "then: { custom_data: { json: { a: { b: '{{ ui }}' } } } }",
            "then.custom_data.json.a.b",
            "named 'ui'",
            "'uid'",
        ),
        (
            "then: { custom_data: { rows: [{ key: a, value: '{{ ui }}' }] } }",
            "then.custom_data.rows[0].value",
            "named 'ui'",
            "'uid'",
        ),
        ("then: { test_event: { code: '{{ ui }}' } }", "then.test_event.code", "no element is named 'ui'", "'uid'"),
        (
            "then: { test_event: { code: T, when: 'el.ui == \"1\"' } }",
            "then.test_event.when",
            "no element is named 'ui'",
            "'uid'",
        ),
    ],
)
def test_a_name_that_nobody_has_given_is_pointed_at(rule, key, found, remedy):
    told = problem(rule, more=CRM)
    assert (told.key, told.line) == (f"rules[0].{key}".rstrip("."), 3)
    assert found in told.found
    assert remedy in told.remedy


@pytest.mark.parametrize(
    ("rule", "key", "column", "remedy"),
    [
        ("mtch: { event: x }, " + DROP, "mtch", 17, "did you mean 'match'?"),
        ("match: { evnt: x }, " + DROP, "match.evnt", 26, "did you mean 'event'?"),
        ("match: { ip: [999] }, " + DROP, "match.ip[0]", 31, "CIDR"),
        ("match: { country: [DE, Germany] }, " + DROP, "match.country[1]", 40, "'DE'"),
        ("match: { custom_data: { value: { over: 3 } } }, " + DROP, "match.custom_data.value.over", 50, "above"),
        ("then: { drop: all }", "then.drop", 31, "'twin' or 'both'"),
        ("then: { server_event: { action_source: web } }", "then.server_event.action_source", 56, "write one of"),
        ("then: { server_event: { event_time: soon } }", "then.server_event.event_time", 53, "unix seconds"),
        ("then: { server_event: { limited_data_use: { country: XX } } }", LDU + "country", 70, "US"),
        ("then: { server_event: { limited_data_use: { state: XX } } }", LDU + "state", 68, "one of CA, CO"),
        ("then: { user_data: { client_ip_address: here } }", "then.user_data.client_ip_address", 57, "public IP"),
        ("then: { user_data: { email: x } }", "then.user_data.email", 38, "did you mean 'em'?"),
        ("then: { user_data: { date_of_birth: x } }", "then.user_data.date_of_birth", 38, "did you mean 'db'?"),
        ("then: { custom_data: { rows: [{ key: a, value: 1 }, { key: 'b..c', value: 1 }] } }", ROW, 76, "order_id"),
        ("then: { custom_data: { rows: [{ key: a, value: 1 }, { key: a, value: 1 }] } }", ROW, 76, "twice"),
        ("then: { custom_data: { rows: [{ key: 'a[0]', value: 1 }, { key: 'a[2]', value: 1 }] } }", ROW, 81, "gap"),
        ("then: { pixel: { id: x, access_token: '${SHOP_TOKEN}' } }", "then.pixel.id", 38, "the pixel's digits"),
        ("then: { drop: twin, sample: 10% }", "then.drop", 31, "drop alone"),
        ("then: { server_event: { event_tme: 1 } }", "then.server_event.event_tme", 41, "'event_time'"),
        ("then: { sample: 200% }", "then.sample", 33, "less than 1"),
        ("then: { custom_data: { json: '[1]' } }", "then.custom_data.json", 46, "a JSON object"),
        ("then: { test_event: { code: T, until: soon } }", "then.test_event.until", 55, "the last day"),
        ("when: 'profile.x > 1.0', then: { drop: both }", "then.drop", 56, "it is late"),
    ],
)
def test_a_mistake_is_pointed_at_by_line_and_column(rule, key, column, remedy):
    found = problems(text(rule))
    told = next(it for it in found if remedy in it.remedy)
    assert (told.key, told.line, told.column) == (f"rules[0].{key}".rstrip("."), 3, column)


@pytest.mark.parametrize(
    ("match", "remedy"),
    [
        ("host: 'https://www.shop.example'", "write the host alone"),
        ("host: [a.example, 'www.shop.example:8443']", "without scheme, port and path"),
        ("host: www.shop.example/cart", "or * for any"),
        ("host: 'www.*'", "*.shop.example"),
        ("path: checkout/*", "begin with a slash"),
        ("not: { path: checkout }", "*/checkout/*"),
        ("path: ['/#/cart']", "no part of the path"),
    ],
)
def test_a_pattern_that_no_page_can_match_is_a_mistake(match, remedy):
    told = problem(f"match: {{ {match} }}, {DROP}")
    assert (told.key.startswith("rules[0].match"), told.line) == (True, 3)
    assert remedy in told.remedy


@pytest.mark.parametrize("match", ["host: ['*', '*.shop.example', 192.0.2.1, '::1']", "path: [/, '*', '?a', '*.html']"])
def test_a_pattern_that_some_page_matches_is_none(match):
    assert warnings(f"match: {{ {match} }}, {DROP}") == []


@pytest.mark.parametrize(
    ("then", "key", "remedy"),
    [
        ("user_data: { lead_id: l-525645896321548 }", "user_data.lead_id", "write the id's digits, in quotes"),
        ("user_data: { fb_login_id: jane }", "user_data.fb_login_id", "write the id's digits, in quotes"),
        ("test_event: { code: ' ' }", "test_event.code", "write what Events Manager shows"),
        ("test_event: { code: '' }", "test_event.code", "write what Events Manager shows"),
    ],
)
def test_a_literal_that_meta_has_no_use_for_is_a_mistake(then, key, remedy):
    told = problem(f"then: {{ {then} }}")
    assert told.key == f"rules[0].then.{key}"
    assert remedy in told.remedy


def test_a_blank_test_code_of_a_pixel_is_a_mistake_and_an_empty_one_is_none():
    [told] = problems(PIXELS.replace("events:", "test_event_code: ' ', events:"))
    assert (told.key, "or nothing" in told.remedy) == ("pixels[0].test_event_code", True)
    assert load(PIXELS.replace("events:", "test_event_code: '${EMPTY:-}', events:")).pixels[0].test_event_code is None


def ago(days: float) -> int:
    return int(time.time() - days * 86_400)


def test_a_time_that_meta_refuses_for_its_age_is_doubtful_and_a_restart_reads_it_all_the_same():
    [told] = warnings(f"then: {{ server_event: {{ event_time: {ago(8)} }} }}")
    assert told == ("rules[0].then.server_event.event_time", "a time of more than 7 days ago, which Meta refuses")
    assert warnings(f"then: {{ server_event: {{ event_time: {ago(6)} }} }}") == []


def test_what_happens_in_a_store_may_be_two_months_old():
    store = "action_source: physical_store"
    assert warnings(f"then: {{ server_event: {{ event_time: {ago(60)}, {store} }} }}") == []
    [(_, found)] = warnings(f"then: {{ server_event: {{ event_time: {ago(63)}, {store} }} }}")
    assert "62 days" in found


def test_a_rule_s_own_token_must_not_stand_in_the_file_and_shows_in_no_error():
    found = problems(text("then: { pixel: { id: '999', access_token: EAAliteral0canary1token } }"))
    assert [it.key for it in found] == ["rules[0].then.pixel.access_token"]
    assert "canary" not in "".join(map(str, found))


def test_a_value_that_is_refused_is_not_repeated_where_it_may_be_a_secret():
    found = problems(text("then: { pixel: { id: shop, access_token: '${SHOP_TOKEN}' } }"))
    assert ENV["SHOP_TOKEN"] not in "".join(map(str, found))
    assert "the pixel's digits" in found[0].remedy


@pytest.mark.parametrize("element", ["{ query: id }", "{ cookie: px }", "{ custom_data: px }", "{ request: host }"])
def test_no_request_decides_where_a_token_goes(element):
    rule = "then: { pixel: { id: '{{ px }}', access_token: '${SHOP_TOKEN}' } }"
    told = problems(text(rule, more=f"elements: {{ px: {element} }}\n"))
    assert ("rules[0].then.pixel.id", "a request must not decide where twins go") in [
        (it.key, it.remedy.partition(": ")[2]) for it in told
    ]


@pytest.mark.parametrize("element", ["{ env: PARTNER_ID }", "{ constant: '999' }"])
def test_the_file_and_its_environment_may(element):
    rule = "then: { pixel: { id: '{{ px }}', access_token: '${SHOP_TOKEN}' } }"
    config = load(text(rule, more=f"elements: {{ px: {element} }}\n"), {**ENV, "PARTNER_ID": "999"})
    assert str(config.rules[0].then.pixel.id.value) == "999"


def test_a_pixel_of_ours_may_be_named_by_whatever_a_hit_holds():
    rule = "then: { pixel: { id: '{{ px }}' } }"
    assert warnings(rule, more="elements: { px: { query: id } }\n") == []


def test_two_rules_of_one_name_are_told_apart_by_nobody():
    found = problems(text(f"{LEAD}, {DROP}").replace("r0", "same") + "  - { name: same, then: { rename: x } }\n")
    assert [(it.key, it.found) for it in found] == [("rules[1].name", "rules[0] has the same name")]


def test_a_rule_that_bears_a_pixel_s_id_is_refused_as_tokens_are_found_by_both():
    found = problems(text(DROP).replace("r0", "'123'"))
    assert [(it.key, it.found) for it in found] == [("rules[0].name", "pixels[0] has it as its id")]


# Warnings: rules that can never hold.

BEHIND = ("rules[1].name", "'r0' drops its events first")


@pytest.mark.parametrize(
    ("rules", "key", "why"),
    [
        ([f"{LEAD}, {DROP}", f"{LEAD}, then: {{ rename: x }}"], "rules[1].name", "'r0' drops its events first"),
        ([f"match: {{ ip: 10.0.0.0/8 }}, {DROP}", f"match: {{ ip: [10.1.0.0/16, 10.2.3.4] }}, {DROP}"], *BEHIND),
        ([f"match: {{ ip: '2001:db8::/32' }}, {DROP}", f"match: {{ ip: '2001:db8:1::/48' }}, {DROP}"], *BEHIND),
        ([f"match: {{ pixel: shop }}, {DROP}", f"match: {{ pixel: '123' }}, {DROP}"], *BEHIND),
        ([f"match: {{ pixel: '123' }}, {DROP}", f"match: {{ pixel: shop, event: x }}, {DROP}"], *BEHIND),
        ([f"match: {{ host: '*' }}, {DROP}", f"match: {{ host: '*.shop.example' }}, {DROP}"], *BEHIND),
        ([f"match: {{ pixel: shop, not: {{ pixel: '123' }} }}, {DROP}"], "rules[0].name", "its `not` excludes"),
        ([f"when: 'false', {DROP}"], "rules[0].name", "its `when` is false for every hit"),
        ([f"match: {{ event: Lead, not: {{ event: Lead }} }}, {DROP}"], "rules[0].name", "its `not` excludes"),
        ([f"match: {{ consent: granted }}, {DROP}"], "rules[0].match.consent", "nobody is asked for consent"),
        ([f"match: {{ country: [DE, US-CA] }}, {DROP}"], "rules[0].match.country", "nobody says where visitors are"),
    ],
)
def test_a_rule_that_can_never_hold_is_a_warning(rules, key, why):
    [(told, found)] = warnings(*rules)
    assert told == key
    assert found.startswith("it can never hold: ")
    assert why in found


@pytest.mark.parametrize(
    "rules",
    [
        [f"match: {{ consent: [granted, unknown] }}, {DROP}"],
        [f"match: {{ country: [DE, unknown] }}, {DROP}"],
        [f"{LEAD}, {DROP}", "match: { event: PageView }, then: { rename: x }"],
        [f"match: {{ ip: 10.1.0.0/16 }}, {DROP}", f"match: {{ ip: 10.0.0.0/8 }}, {DROP}"],
        [f"match: {{ ip: 10.0.0.0/8 }}, {DROP}", f"match: {{ ip: [10.1.0.0/16, '2001:db8::/32'] }}, {DROP}"],
        [f"match: {{ host: '*' }}, {DROP}", f"match: {{ pixel: shop }}, {DROP}"],
    ],
)
def test_a_rule_that_some_hits_reach_is_none(rules):
    assert warnings(*rules) == []


def test_where_somebody_says_so_it_can_hold():
    more = "geo: { country: { header: x-country } }\nconsent: { all: { read: [gpc] } }\n"
    assert warnings(f"match: {{ consent: denied, country: DE }}, {DROP}", more=more) == []


def test_a_fact_that_no_source_has_is_a_warning():
    assert warnings(f"when: 'profile.oders > 1.0', {DROP}", more=CRM) == [
        ("rules[0].when", "no source says profile.oders")
    ]
    assert warnings(f"when: 'profile.orders > 1.0', {DROP}", more=CRM) == []


# Warnings: what Meta will not take, or not as it was meant.


@pytest.mark.parametrize(
    ("section", "found"),
    [("action_source: app", "no_app_data"), ("action_source: business_messaging", "no_messaging_channel")],
)
def test_an_event_that_meta_will_refuse_for_what_it_lacks_is_a_warning(section, found):
    [(key, told)] = warnings(f"then: {{ server_event: {{ {section} }} }}")
    assert (key, found in told) == ("rules[0].then.server_event.action_source", True)


def test_a_conversation_with_its_channel_is_none():
    assert warnings("then: { server_event: { action_source: business_messaging, messaging_channel: whatsapp } }") == []
    channel = "then: { server_event: { messaging_channel: '{{ uid }}' } }"
    assert warnings("then: { server_event: { action_source: business_messaging } }", channel, more=CRM) == []


NO_ADDRESS = "privacy: { client_ip: drop }\n"
CONSENT = "consent: { us: { read: [gpc], unknown: allow, denied: limit } }\n"
GEO = "geo: { country: { header: x-country }, region: { header: x-region } }\n"


@pytest.mark.parametrize(
    ("limits", "more", "key"),
    [
        ("true", "", "rules[0].then.server_event.limited_data_use"),
        ("{ on: true, country: 0 }", "", "rules[0].then.server_event.limited_data_use"),
        ("false", CONSENT, "consent.us.denied"),
    ],
)
def test_a_limit_for_which_meta_needs_the_address_that_it_does_not_get_is_a_warning(limits, more, key):
    rule = f"then: {{ server_event: {{ limited_data_use: {limits} }} }}"
    [(told, found)] = warnings(rule, more=more + NO_ADDRESS)
    assert (told, "leaves it no address" in found) == (key, True)
    assert warnings(rule, more=more) == warnings(rule, more=more + NO_ADDRESS.replace("drop", "mask")) == []


@pytest.mark.parametrize(
    ("limits", "more"),
    [("false", ""), ("{ on: true, country: US, state: CA }", ""), ("{ on: false }", ""), ("false", CONSENT + GEO)],
)
def test_a_limit_that_says_where_it_is_for_needs_no_address(limits, more):
    assert warnings(f"then: {{ server_event: {{ limited_data_use: {limits} }} }}", more=more + NO_ADDRESS) == []


# Warnings: test events, names, money.


@pytest.mark.parametrize(
    ("test_event", "key", "found"),
    [
        ("{ code: T }", "then.test_event", "a test event code without `when` and `until`"),
        ("{ code: T, until: 2020-01-01 }", "then.test_event.until", "its time is over"),
        ("{ code: T, until: 2020-01-01T10:00:00Z }", "then.test_event.until", "its time is over"),
    ],
)
def test_a_test_event_code_that_is_left_in_production_is_a_warning(test_event, key, found):
    assert warnings(f"{LEAD}, then: {{ test_event: {test_event} }}") == [(f"rules[0].{key}", found)]


@pytest.mark.parametrize(
    "test_event",
    ["{ code: T, until: 2099-12-31 }", "{ code: T, when: 'hit.x == \"1\"' }", "{ code: T, until: 9999-12-31 }"],
)
def test_a_code_for_some_events_or_some_time_is_none(test_event):
    assert warnings(f"{LEAD}, then: {{ test_event: {test_event} }}") == []


def test_a_pixel_s_own_code_is_a_warning():
    config = load(PIXELS.replace("events:", "test_event_code: T1, events:"))
    assert [(it.key, it.found) for it in config.warnings] == [
        ("pixels[0].test_event_code", "every event is marked as a test event")
    ]


def test_a_name_of_the_twin_alone_is_a_warning():
    [(key, found)] = warnings("then: { server_event: { event_name: Contact } }")
    assert (key, "Meta counts it beside" in found) == ("rules[0].then.server_event.event_name", True)
    assert warnings(f"{LEAD}, then: {{ server_event: {{ event_name: Lead }} }}") == []


def test_renaming_where_the_browser_sends_its_own_copy_is_a_warning():
    config = load(text(f"{LEAD}, then: {{ rename: Contact }}").replace("events:", "relay: browser, events:"))
    assert [it.key for it in config.warnings] == ["rules[0].then.rename"]


def config(pixel: str, source: str = "custom_data: { value: v, currency: c }, cache: null") -> Config:
    return load(
        f'pixels: [{{ name: shop, id: "123", access_token: "${{SHOP_TOKEN}}", {pixel} }}]\n'
        f"elements: {{ order: {{ custom_data: order_id }} }}\n"
        f"sources: {{ orders: {{ kind: embedded, key: order, map: {{}}, {source} }} }}\n"
    )


def test_purchases_that_are_not_verified_are_a_warning():
    [warning] = config("events: [Purchase]").warnings
    assert warning.found == "shop: anyone can forge a Purchase"
    assert "verify: { Purchase: <a source of your orders> }" in warning.remedy
    assert config("verify: { Purchase: orders }").warnings == ()
    assert config("events: [Lead]").warnings == ()


def test_a_verifier_that_says_nothing_of_the_worth_is_a_warning():
    [warning] = config("verify: { Purchase: orders }", "custom_data: { value: v }, cache: null").warnings
    assert (warning.key, "says nothing of currency" in warning.found) == ("sources.orders", True)


def test_a_verifier_that_remembers_too_long_that_an_order_was_missing_is_a_warning():
    slow = "custom_data: { value: v, currency: c }, cache: { negative_ttl: 5m }"
    assert [it.key for it in config("verify: { Purchase: orders }", slow).warnings] == ["sources.orders.cache"]


def test_an_unknown_verifier_is_a_mistake():
    found = problems(PIXELS.replace("events: [Lead]", "verify: { Purchase: ordrs }") + CRM)
    assert [(it.key, it.found) for it in found] == [("pixels[0].verify.Purchase", "no source is named 'ordrs'")]
