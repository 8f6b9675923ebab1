"""Elements and transforms in the config file: how they are written, what is said about mistakes, and trust."""

import pytest

from pixeltwin.config import Config

from .factories import ENV, load, problems

SHOP = 'pixels: [{ id: "123", access_token: "${SHOP_TOKEN}", events: [Lead] }]\n'  # no money to forge

SOURCE = "sources: { crm: { kind: embedded, key: customer_id } }\n"
SIGNED = '{ signed_cookie: uid, key: "${UID_KEY}" }'


def text(element: str, source: str = SOURCE) -> str:
    return f"{SHOP}elements:\n  customer_id: {element}\n{source}"


def loaded(element: str, source: str = SOURCE) -> Config:
    return load(text(element, source))


BAD = [
    # element, column on line 3, what follows elements.customer_id, part of the remedy
    ("{ cokie: uid }", 16, "", "did you mean 'cookie'"),
    ("{ cookie: uid, header: x }", 16, "", "cookie, header; `first_of`"),
    ("{ cookie: uid, patern: x }", 31, ".patern", "did you mean 'pattern'"),
    ("{ cookie: uid, pattern: '(' }", 40, ".pattern", "regular expression"),
    ("{ cookie: uid, trust: safe }", 38, ".trust", "'unsafe'"),
    ("{ cookie: [uid] }", 26, ".cookie", "text, in quotes"),
    ("{ header: Authorization }", 26, ".header", "logs people in"),
    ("{ request: body }", 27, ".request", "'client_ip'"),
    ("{ env: NOT_SET }", 23, ".env", "export that variable"),
    ("{ constant: 1.5 }", 28, ".constant", "text, in quotes"),
    ("{ cookie: uid, transforms: lower }", 43, ".transforms", "a list"),
    ("{ cookie: uid, transforms: [lowr] }", 44, ".transforms[0]", "did you mean 'lower'"),
    ("{ cookie: uid, transforms: [lower, zzz] }", 51, ".transforms[1]", "use one of: int, json"),
    ("{ cookie: uid, transforms: [map] }", 44, ".transforms[0]", "{ map: … }"),
    ("{ cookie: uid, transforms: [{ map: { a: [b] } }] }", 56, ".transforms[0].map.a", "text, in quotes"),
    ("{ cookie: uid, transforms: [{ map: { a: b }, default: [c] }] }", 70, ".transforms[0].default", "text"),
    ("{ cookie: uid, transforms: [{ map: { a: b }, defalt: c }] }", 61, ".transforms[0].defalt", "'default'"),
    ("{ cookie: uid, transforms: [{ json: [a] }] }", 52, ".transforms[0].json", "text, in quotes"),
    ("{ cookie: uid, transforms: [{ json: a, jsn: b }] }", 55, ".transforms[0].jsn", "did you mean 'json'"),
    ("{ cookie: uid, transforms: [{ split: ',', index: x }] }", 65, ".transforms[0].index", "integer"),
    ("{ first_of: cookie }", 28, ".first_of", "a list"),
    ("{ first_of: [] }", 28, ".first_of", "at least one"),
    ("{ first_of: [{ cookie: a }], pattern: '(' }", 54, ".pattern", "regular expression"),
    ("{ first_of: [{ cookie: a }, { cokie: b }] }", 44, ".first_of[1]", "did you mean 'cookie'"),
    ("{ first_of: [{ cookie: a, pattern: '(' }] }", 51, ".first_of[0].pattern", "regular expression"),
    ("{ first_of: [{ cookie: a, transforms: [lowr] }] }", 55, ".first_of[0].transforms[0]", "'lower'"),
    ("{ first_of: [{ first_of: [{ header: Cookie }] }] }", 52, ".first_of[0].first_of[0].header", "logs people in"),
    ("{ cel: 'event.custm_data.value * 2.0' }", 23, ".cel", "did you mean event.custom_data?"),
    ("{ cel: 'event.event_time * 2.0' }", 23, ".cel", "There is no event.event_time"),
    ("{ jwt: session }", 16, ".key", "add `key"),
    ("{ jwt: session, key: '${UID_KEY}' }", 32, ".key", "32 bytes"),
    ("{ jwt: session, key: literal }", 32, ".key", "keep the secret out of the file"),
    ("{ first_of: [{ jwt: session, key: literal }] }", 45, ".first_of[0].key", "keep the secret out"),
    ("{ signed_cookie: uid, keys: ['${UID_KEY}', literal] }", 59, ".keys[1]", "keep the secret out of the file"),
    ("{ signed_cookie: uid, keys: [] }", 16, ".key", "add `key"),
]


@pytest.mark.parametrize(("element", "column", "path", "remedy"), BAD, ids=[f"{bad[0]}" for bad in BAD])
def test_mistake_is_pointed_at_with_what_would_work(element, column, path, remedy):
    found = problems(text(element, ""))
    first = next(problem for problem in found if problem.key == f"elements.customer_id{path}")
    assert (first.file, first.line, first.column) == ("pixeltwin.yaml", 3, column)
    assert remedy in first.remedy
    assert "literal" not in first.source
    assert ENV["UID_KEY"] not in "".join(map(str, found))


def test_one_mistake_in_a_nested_element_is_one_problem():
    assert len(problems(text("{ first_of: [{ cookie: a, pattern: '(' }] }", ""))) == 1


@pytest.mark.parametrize("element", [SIGNED, f"{{ first_of: [{SIGNED}, {{ constant: guest }}] }}", "{ constant: one }"])
def test_an_element_that_clients_cannot_make_up_names_customers(element):
    assert loaded(element).warnings == ()


UNTRUSTED = [
    ("{ cookie: uid }", 16, "", "a cookie"),
    ("{ custom_data: order_id }", 16, "", "a custom_data"),
    ("{ header: X-Uid }", 16, "", "a header"),
    ("{ request: client_ip }", 16, "", "a request"),
    (f"{{ first_of: [{SIGNED}, {{ cookie: uid }}] }}", 72, ".first_of[1]", "a cookie"),
]


@pytest.mark.parametrize(("element", "column", "path", "kind"), UNTRUSTED)
def test_an_element_that_clients_can_make_up_names_no_customer(element, column, path, kind):
    [problem] = problems(text(element))
    assert (problem.key, problem.line, problem.column) == (f"elements.customer_id{path}", 3, column)
    assert f"any client can make up {kind}" in problem.found
    assert "source 'crm' takes 'customer_id' as the customer" in problem.found
    assert "other people's data to their own device" in problem.found
    assert "signed_cookie or a jwt" in problem.remedy
    assert "trust: unsafe" in problem.remedy


@pytest.mark.parametrize("told", ["custom_data: { customer_type: segment }", "profile: [segment]"])
def test_without_keys_to_match_by_a_customer_who_enriches_is_still_named_by_no_client(told):
    source = f"sources: {{ crm: {{ kind: embedded, key: customer_id, map: {{}}, {told} }} }}\n"
    enriched = text("{ cookie: uid }", source).replace("events:", "enrich: [crm], events:")
    [problem] = problems(enriched)
    assert problem.key == "elements.customer_id"
    assert "source 'crm' takes 'customer_id' as the customer" in problem.found
    [warning] = load(enriched.replace("uid }", "uid, trust: unsafe }")).warnings
    assert warning.key == "elements.customer_id.trust"


def test_an_order_that_is_only_verified_may_be_named_by_the_page():
    source = "sources: { crm: { kind: embedded, key: customer_id, map: {}, custom_data: { value: v, currency: c } } }\n"
    verified = text("{ cookie: uid }", source).replace("events: [Lead]", "verify: { Purchase: crm }")
    assert load(verified).warnings == ()


def test_it_is_fine_as_long_as_it_names_nobody():
    assert loaded("{ cookie: uid }", "").warnings == ()


@pytest.mark.parametrize(
    ("element", "key"),
    [
        ("{ cookie: uid, trust: unsafe }", "elements.customer_id.trust"),
        (f"{{ first_of: [{SIGNED}, {{ cookie: uid, trust: unsafe }}] }}", "elements.customer_id.first_of[1].trust"),
    ],
)
def test_one_that_says_unsafe_loads_with_a_warning(element, key):
    [warning] = loaded(element).warnings
    assert (warning.file, warning.line, warning.key) == ("pixeltwin.yaml", 3, key)
    assert "other people's data to their own device" in warning.found
    assert "trust: unsafe" in warning.source


def test_a_mark_on_first_of_is_for_all_its_members():
    warnings = loaded("{ first_of: [{ cookie: a }, { header: b }], trust: unsafe }").warnings
    assert len(warnings) == 2
    assert {warning.line for warning in warnings} == {3}


def test_a_mark_on_one_member_is_not_for_the_others():
    [problem] = problems(text("{ first_of: [{ cookie: a, trust: unsafe }, { cookie: b }] }"))
    assert problem.key == "elements.customer_id.first_of[1]"


@pytest.mark.parametrize("only_when", ["1.0", "event.custom_data.value", "'granted'"])
def test_when_a_source_may_be_asked_is_true_or_false(only_when):
    source = f'sources:\n  crm: {{ kind: embedded, key: customer_id, only_when: "{only_when}" }}\n'
    [problem] = problems(text(SIGNED, source))
    assert (problem.key, problem.line) == ("sources.crm.only_when", 5)
    assert "write a condition, one that is true or false" in problem.remedy


def test_environment_is_the_one_the_config_is_read_with():
    config = load(text("{ env: SHOP_REGION }", ""), {**ENV, "SHOP_REGION": "emea"})
    assert config.elements["customer_id"].read(None, None) == "emea"  # type: ignore[arg-type]  # it looks at neither
