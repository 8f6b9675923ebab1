import pytest

from .factories import SHOP, problems

PUBLIC = "server: { listen: '0.0.0.0:80' }\n"
ELEMENT = 'elements: { customer_id: { signed_cookie: uid, key: "${UID_KEY}" } }\n'
TWO = 'pixels:\n- { id: "1", access_token: "${SHOP_TOKEN}" }\n- { id: "2", access_token: "${SHOP_TOKEN}" }\n'
CRM = f"""{SHOP}{ELEMENT}sources:
  crm:
    kind: sql
    key: customer_id
    url: ${{DSN:-sqlite:///a}}
    query: SELECT WHERE id IN :keys
    map: {{}}
"""
BY_URL = "sources: { crm: { kind: http, url: 'https://a.example/', key: customer_id } }"

BAD = [
    # text, line, column, key, part of the remedy
    ("{}", 1, 1, "pixels", "add a pixel"),
    ("pixels: []", 1, 9, "pixels", "at least one"),
    ("pixels:", 1, 1, "pixels", "write a list"),
    ("pixels: 3", 1, 9, "pixels", "write a list"),
    ("pixels: [shop]", 1, 10, "pixels[0]", "`name: value`"),
    ("- pixels", 1, 1, "the file", "`name: value`"),
    ('pixels: [{ id: "1" }]', 1, 10, "pixels[0].access_token", "${NAME}"),
    ('pixels: [{ access_token: "${SHOP_TOKEN}" }]', 1, 10, "pixels[0].id", "digits"),
    (SHOP + "version: 2", 2, 10, "version", "use 1"),
    (SHOP + "vesion: 1", 2, 1, "vesion", "did you mean 'version'"),
    (SHOP + "zzz: []", 2, 1, "zzz", "known here: version, server"),
    (SHOP + "rulez: []", 2, 1, "rulez", "did you mean 'rules'"),
    (SHOP + "meta: { cdn: https://x }", 2, 9, "meta.cdn", "graph"),
    (SHOP.replace("id:", "zzz: DE, id:"), 1, 12, "pixels[0].zzz", "known here"),
    (SHOP.replace("id:", "verify: { Purchase: crm }, id:"), 1, 32, "pixels[0].verify.Purchase", "under `sources`"),
    (SHOP.replace("id:", "default_country: Germany, id:"), 1, 29, "pixels[0].default_country", "two letters"),
    (SHOP.replace("id:", "relay: both, id:"), 1, 19, "pixels[0].relay", "'native', 'background', 'browser' or 'none'"),
    (SHOP.replace("id:", "name: a b, id:"), 1, 18, "pixels[0].name", "letters, digits"),
    (SHOP.replace("id:", "hosts: px.shop.example, id:"), 1, 19, "pixels[0].hosts", "a list"),
    (SHOP.replace("id:", "hosts: ['a:80'], id:"), 1, 20, "pixels[0].hosts[0]", "no port"),
    (SHOP.replace("id:", "enrich: [crm], id:"), 1, 21, "pixels[0].enrich[0]", "add it under `sources`"),
    (SHOP.replace("id:", "enrich: [3], id:"), 1, 21, "pixels[0].enrich[0]", "text, in quotes"),
    (TWO.replace('"2"', '"1"'), 3, 9, "pixels[1].id", "once"),
    (TWO.replace('"2"', '"2", name: "1"'), 3, 20, "pixels[1].name", "another name"),
    (TWO.replace('"1"', '"1", name: "2"'), 3, 3, "pixels[1].name", "another name"),
    (TWO.replace('id: "2"', "id: 1"), 3, 9, "pixels[1].id", "once"),
    (SHOP + PUBLIC, 2, 19, "server.listen", "public_hosts"),
    (SHOP + "server: { listen: 8080 }", 2, 19, "server.listen", "host:port"),
    (SHOP + "server: { trusted_proxies: ['::/0'] }", 2, 29, "server.trusted_proxies[0]", "anybody"),
    (SHOP + "server: { allowed_origins: ['*'] }", 2, 29, "server.allowed_origins[0]", "https://*.shop.example"),
    (SHOP + "server: { limits: { body: 256 } }", 2, 27, "server.limits.body", "256KiB"),
    (SHOP + "server: { limits: { read_timeout: 0s } }", 2, 35, "server.limits.read_timeout", "zero"),
    (SHOP + "server: { limits: { params: 0 } }", 2, 29, "server.limits.params", "greater than 0"),
    (SHOP + "server: { limits: { params: many } }", 2, 29, "server.limits.params", "integer"),
    (SHOP + "server: { paths: { hits: [] } }", 2, 26, "server.paths.hits", "at least one"),
    (SHOP + "server: { paths: { hits: [tr] } }", 2, 27, "server.paths.hits[0]", "slash"),
    (SHOP + "server:\n  public_host: []", 3, 3, "server.public_host", "did you mean 'public_hosts'"),
    (SHOP + "meta: { graph: http://graph.facebook.com }", 2, 16, "meta.graph", "loopback"),
    (SHOP + "meta: { graph_version: 26 }", 2, 24, "meta.graph_version", "v26.0"),
    (SHOP + "admin: { listen: '0.0.0.0:8090' }", 2, 18, "admin.listen", "no login"),
    (SHOP + "admin: { listen: '127.0.0.1:8080' }", 2, 18, "admin.listen", "another port"),
    (SHOP + "delivery: { lease: 19s }", 2, 20, "delivery.lease", "20s to 10m"),
    (SHOP + "delivery: { lease: 2h }", 2, 20, "delivery.lease", "20s to 10m"),
    (SHOP + "outbox: { kind: kafka }", 2, 17, "outbox.kind", "'sqlite'"),
    (SHOP + "outbox: { path: x }", 2, 9, "outbox", "`kind: sqlite`"),
    (SHOP + "outbox: { kind: sqlite, durability: none }", 2, 37, "outbox.durability", "'full'"),
    (SHOP + "outbox: { kind: sqlite, pth: x }", 2, 25, "outbox.pth", "did you mean 'path'"),
    (SHOP + "elements: { customer_id: { remembered: uid } }", 2, 26, "elements.customer_id", "signed_cookie"),
    (SHOP + ELEMENT.replace("key", "kee"), 2, 26, "elements.customer_id.key", "add `key"),
    (SHOP + ELEMENT.replace("customer_id", "a b"), 2, 13, "elements.a b", "letters, digits"),
    (SHOP + "sources: { crm: { kind: embedded, path: x, key: uid } }", 2, 49, "sources.crm.key", "`elements`"),
    (
        SHOP + ELEMENT + "sources: { crm: { kind: embedded, key: custmer_id } }",
        3,
        40,
        "sources.crm.key",
        "'customer_id'",
    ),
    (SHOP + ELEMENT + "sources: { crm: { key: customer_id } }", 3, 17, "sources.crm", "`kind: embedded`"),
    (CRM.replace("id IN :keys", "1"), 8, 12, "sources.crm.query", "WHERE id IN :keys"),
    (CRM.replace("map: {}", "map: { email: mail }"), 9, 12, "sources.crm.map.email", "first, such as em: mail"),
    (CRM.replace("map: {}", "profile: [orders, a b]"), 9, 23, "sources.crm.profile[1]", "letters, digits"),
    (CRM.replace("map: {}", "custom_data: { em: x }"), 9, 20, "sources.crm.custom_data.em", "under `map`"),
    (CRM.replace("map: {}", "profile: { a: em }"), 9, 19, "sources.crm.profile.a", "must not stay readable"),
    (SHOP + ELEMENT + BY_URL, 3, 36, "sources.crm.url", "write {key} where"),
    (SHOP + "version: 1\nversion: 1", 3, 1, "version", "remove one"),
    (SHOP + "<<: { version: 1 }", 2, 1, "the file", "`name: value`"),
    (SHOP + "version: !x 1", 2, 10, "version", "`!`"),
    (SHOP + "version: [", 2, 11, "the file", "bracket"),
    (SHOP + "admin: { listen: ${LISTEN} }", 2, 19, "the file", '"${NAME}"'),
    (SHOP + "\tversion: 1", 2, 1, "the file", "tab"),
    (SHOP + "server: { listen: '${LISTEN}' }", 2, 19, "server.listen", "export LISTEN="),
]


@pytest.mark.parametrize(("text", "line", "column", "key", "remedy"), BAD, ids=[f"{bad[3]}-{bad[4]}" for bad in BAD])
def test_mistake_is_pointed_at_with_what_would_work(text, line, column, key, remedy):
    first = next(problem for problem in problems(text) if problem.key == key)
    assert (first.file, first.line, first.column) == ("pixeltwin.yaml", line, column)
    assert remedy in first.remedy


ALONE = [bad for bad in BAD if "kee" not in bad[0]]  # a misspelt key is unknown, and the right one missing


@pytest.mark.parametrize(("text", "key"), [(bad[0], bad[3]) for bad in ALONE])
def test_one_mistake_is_one_problem(text, key):
    assert [problem.key for problem in problems(text)] == [key]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = (
        "version: 2\n"
        "pixels:\n"
        "- { id: x, acces_token: '${SHOP_TOKEN}', enrich: [crm] }\n"
        "- { id: '2', access_token: '${NOT_SET}', relay: both }\n"
        "admin: { listen: '0.0.0.0:1' }\n"
        "version: 1\n"
    )
    assert [problem.key for problem in problems(text)] == [
        "version",
        "pixels[0].access_token",
        "pixels[0].id",
        "pixels[0].acces_token",
        "pixels[0].enrich[0]",
        "pixels[1].access_token",
        "pixels[1].relay",
        "admin.listen",
        "version",
    ]


def test_problem_quotes_the_line_with_a_caret_below():
    [problem, _] = problems('pixels:\n- id: "1"\n  acces_token: ${SHOP_TOKEN}\n')[::-1]
    assert str(problem) == (
        "pixeltwin.yaml:3:3: pixels[0].acces_token: unknown key; did you mean 'access_token'?\n"
        "      acces_token: ${SHOP_TOKEN}\n"
        "      ^"
    )


def test_long_line_is_cut():
    [problem] = problems(f"{SHOP}rules: {'x' * 100_000}")
    assert len(str(problem)) < 500


def test_host_of_a_pixel_has_to_be_a_public_one():
    text = SHOP.replace("id:", "hosts: [b.example], id:") + "server: { public_hosts: [a.example] }"
    [problem] = problems(text)
    assert problem.key == "pixels[0].hosts[0]"


def test_quoted_line_covers_what_stands_behind_a_key_and_nothing_else():
    text = SHOP + 'elements: { uid: { jwt: uid, key: "uid,x", pattern: 3 } }'
    assert problems(text)[0].source == "elements: { uid: { jwt: uid, key: *******, pattern: 3 } }"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sources: { crm: { kind: embedded, key: uid, path: 3 } }", "{ crm: { kind: embedded, key: uid, path: 3 } }"),
        (
            'sources: { crm: { kind: embedded, "key": uid, path: 3 } }',
            '{ crm: { kind: embedded, "key": uid, path: 3 } }',
        ),
        ("sources: { crm: { key: uid, kind: http, headers: { key: abcd }, url: 3 } }", "{ key: ****"),
        ("sources: { crm: { key: uid, kind: http, token: abcd } }", "{ key: uid, kind: http, token: ****"),
        ("sources: { crm: { kind: csv, path: [], key: uid,token: abcd } }", "path: [], key: uid,token: ****"),
        (
            "rules: [{ name: a, then: { custom_data: { rows: [{ key: b..c, value: 1 }] } } }]",
            "[{ key: b..c, value: 1 }]",
        ),
    ],
)
def test_a_quoted_line_shows_the_key_that_names_an_element_or_a_row_and_covers_every_other(text, line):
    shown = "\n".join(problem.source for problem in problems(SHOP + text))
    assert line in shown
    assert "abcd" not in shown


def test_who_has_more_names_than_are_shown_is_told_so():
    remedies = {
        problem.key: problem.remedy
        for problem in problems(SHOP + "rules: [{ name: a, zz: 1, then: { user_data: { qq: x } } }]")
    }
    assert remedies["rules[0].then.user_data.qq"].endswith(", …")
    assert remedies["rules[0].zz"] == "known here: name, match, when, then"


def test_control_characters_of_the_file_do_not_reach_the_terminal():
    assert "\x1b" not in "".join(map(str, problems(SHOP + '"\\e[2J": "\\e[31m"\nversion: "\\e[2J"')))
