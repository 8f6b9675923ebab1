"""Sessions in the config file: what has to be there for one, and where none may be used."""

import pytest

from .factories import ENV, load, problems

KEYED = {**ENV, "SESSION_KEY": "session-key-canary-of-32-characters"}
SESSION = '{ session: sid, source: sessions, fact: customer_id, key: "${SESSION_KEY}" }'
SOURCES = """sources:
  sessions: { kind: embedded, key: visitor, profile: [customer_id] }
  customers: { kind: embedded, key: visitor }
"""


def text(element: str = SESSION, sources: str = SOURCES, *, pixel: str = "", more: str = "") -> str:
    options = f'id: "123", access_token: "${{SHOP_TOKEN}}", events: [Lead], enrich: [customers]{pixel}'
    return f"pixels: [{{ {options} }}]\nelements:\n  visitor: {element}\n{sources}{more}"


@pytest.mark.parametrize("element", [SESSION, f"{{ first_of: [{SESSION}, {{ constant: guest }}] }}"])
def test_a_session_names_customers(element):
    assert load(text(element), KEYED).warnings == ()


def test_its_source_may_enrich_as_well():
    assert load(text(pixel="").replace("[customers]", "[sessions, customers]"), KEYED).warnings == ()


def test_two_cookies_may_lead_to_one_source():
    both = f"{{ first_of: [{SESSION}, {SESSION.replace('sid', 'PHPSESSID')}] }}"
    assert load(text(both), KEYED).warnings == ()


FIRST_OF = "{ first_of: [%s] }"
RULE = "rules:\n  - { name: one, %s }\n"
DROP = "then: { drop: twin }"
BAD = [
    # the text, with a mark where the mistake is, its key, part of what was found, part of the remedy
    (text(SESSION.replace("sessions", "¦session")), "elements.visitor.source", "no source", "mean 'sessions'"),
    (text(SESSION.replace("customer_id", "¦customer")), "elements.visitor.fact", "no fact", "mean 'customer_id'"),
    (
        text(SESSION.replace("customer_id", "¦customer_id"), SOURCES.replace(", profile: [customer_id]", "")),
        "elements.visitor.fact",
        "no fact",
        "profile: { customer_id: … }",
    ),
    (
        text(FIRST_OF % f"{{ constant: a }}, {SESSION.replace('sessions', '¦x')}"),
        "elements.visitor.first_of[1].source",
        "no source",
        "known here",
    ),
    (text("¦{ session: sid, source: sessions, fact: customer_id }"), "elements.visitor.key", "missing", "add `key"),
    (text(SESSION.replace("key: ", "¦key: ").replace("SESSION", "UID")), "elements.visitor.key", "", "openssl rand"),
    (
        text(SESSION.replace("key: ", "¦key: ").replace("${SESSION_KEY}", "k" * 40)),
        "elements.visitor.key",
        "plain text",
        "out of the file",
    ),
    (
        text(
            f"{SESSION}\n  other: {{ constant: a }}", SOURCES.replace("key: visitor, profile", "key: ¦other, profile")
        ),
        "sources.sessions.key",
        "'visitor' looks sessions up in it",
        "write key: visitor",
    ),
    (
        text(sources=SOURCES.replace("profile:", "only_when: ¦consent.granted, profile:")),
        "sources.sessions.only_when",
        "whenever a customer",
        "at the sources of these customers",
    ),
    (text((FIRST_OF % SESSION)[:-1] + ", transforms: ¦[lower] }"), "elements.visitor.transforms", "sealed", "elements"),
    (
        text(FIRST_OF % ((FIRST_OF % SESSION)[:-1] + ", pattern: ¦'.+' }")),
        "elements.visitor.first_of[0].pattern",
        "sealed by now",
        "at the elements",
    ),
    (
        text(more=RULE % f"match: {{ element: {{ ¦visitor: x }} }}, {DROP}"),
        "rules[0].match.element.visitor",
        "is a session",
        "profile.",
    ),
    (text(more=RULE % f"when: ¦el.visitor == 'x', {DROP}"), "rules[0].when", "'visitor' is a session", "profile."),
    (text(more=RULE % f"when: ¦profile.a && el.visitor == 'x', {DROP}"), "rules[0].when", "is a session", "profile."),
    (
        text(more=RULE % 'then: { user_data: { external_id: ¦"{{ visitor }}" } }'),
        "rules[0].then.user_data.external_id",
        "'visitor' is a session",
        "profile.",
    ),
    (
        text(more="consent: { eu: { read: ¦[{ element: visitor, granted: [x] }] } }"),
        "consent.eu.read",
        "'visitor' is a session",
        "profile.",
    ),
    (
        text(sources=SOURCES + "  more: { kind: embedded, key: visitor, only_when: ¦el.visitor == 'x' }\n"),
        "sources.more.only_when",
        "'visitor' is a session",
        "profile.",
    ),
    (text(more=f"geo: {{ country: ¦{SESSION} }}"), "geo.country", "is a session", "the front"),
    (
        text(pixel=", verify: { Purchase: ¦customers }"),
        "pixels[0].verify.Purchase",
        "by the visitor's session",
        "order_id",
    ),
]


@pytest.mark.parametrize(("marked", "key", "found", "remedy"), BAD, ids=[bad[1] for bad in BAD])
def test_mistake_is_pointed_at_with_what_would_work(marked, key, found, remedy):
    before, _, after = marked.partition("¦")
    told = problems(before + after, KEYED)
    [problem] = [problem for problem in told if problem.key == key]
    assert (problem.line, problem.column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert found in problem.found
    assert remedy in problem.remedy
    assert KEYED["SESSION_KEY"] not in "".join(map(str, told))


def test_a_source_of_sessions_cannot_be_found_by_another_s_sessions():
    """Neither in a circle nor in a row: whose session it is takes one question."""
    other = SESSION.replace("sessions", "accounts").replace("sid", "account")
    sources = SOURCES.replace("sessions: { kind: embedded, key: visitor", "sessions: { kind: embedded, key: account")
    more = "  accounts: { kind: embedded, key: visitor, profile: [customer_id] }\n"
    written = text(f"{SESSION}\n  account: {other}", sources + more)
    assert [problem.key for problem in problems(written, KEYED)] == ["sources.sessions.key", "sources.accounts.key"]
