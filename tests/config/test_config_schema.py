"""`pixeltwin schema`: an editor that knows it takes what loads, and marks what does not."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ruamel.yaml import YAML
from typer.testing import CliRunner

from pixeltwin import kinds
from pixeltwin.cli import app
from pixeltwin.config import Config
from pixeltwin.config.schema import config_schema
from pixeltwin.config.shape import places
from pixeltwin.consent.signal import SIGNALS
from pixeltwin.errors import ConfigError
from pixeltwin.mapping.element import ELEMENTS
from pixeltwin.mapping.transform import TRANSFORMS
from pixeltwin.privacy.filter import FILTERS

from .factories import ENV, SHOP, load
from .test_config_examples import ENV as EXAMPLES_ENV
from .test_config_examples import EXAMPLES, documents

SCHEMA = config_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
PIXEL = {"id": "123", "access_token": "${SHOP_TOKEN}"}
README = (EXAMPLES.parent / "README.md").read_text()


def as_editors_read(data: Any) -> Any:
    """YAML's data as JSON: keys and days are text."""
    return json.loads(json.dumps(data, default=str))


def read(text: str) -> Any:
    return as_editors_read(YAML(typ="safe", pure=True).load(text))


def refusals(data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(data)]


def loads(text: str, env: dict[str, str] = ENV) -> bool:
    try:
        load(text, env)
    except ConfigError:
        return False
    return True


def test_command_prints_a_schema_that_is_one():
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    Draft202012Validator.check_schema(json.loads(result.output))
    assert json.loads(result.output) == SCHEMA


def test_schema_says_what_it_is_of():
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "pixeltwin" in SCHEMA["title"]


def test_options_come_in_the_order_of_their_declaration():
    assert list(SCHEMA["properties"]) == list(Config.model_fields)


FULL = [as_editors_read(data) for data in documents((EXAMPLES / "full.yaml").read_text())]
WHOLE = [{**FULL[0], **data} for data in FULL]
FILES = [path for path in sorted(EXAMPLES.rglob("*.yaml")) if "pixels:" in path.read_text()]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_example_passes(path: Path):
    assert refusals(read(path.read_text())) == []


@pytest.mark.parametrize("data", WHOLE, ids=["full", *(" ".join(data) for data in FULL[1:])])
def test_full_example_passes_with_each_alternative(data: Any):
    assert refusals(data) == []


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
def test_config_in_the_readme_passes(text: str):
    pixels = {"pixels": [{"id": "1", "access_token": "${T}"}]}  # sections that stand alone are shown without them
    assert refusals({**pixels, **read(text)}) == []


def without_secrets(example: Any) -> Any:
    return {**example, "key": "${KEY}"} if isinstance(example, dict) and "key" in example else example


def written(folder: str) -> list[Any]:
    """Every way of writing that a folder's examples show; their keys are secrets, which stand in no file."""
    return [
        pytest.param(without_secrets(as_editors_read(example.written)), id=name)
        for name, module in zip(kinds.names(folder), kinds.modules(folder), strict=True)
        for example in module.EXAMPLES
    ]


@pytest.mark.parametrize("element", written(ELEMENTS))
def test_written_element_passes(element: Any):
    assert refusals({"pixels": [PIXEL], "elements": {"x": element}}) == []


@pytest.mark.parametrize("transform", written(TRANSFORMS))
def test_written_transform_passes(transform: Any):
    element = {"cookie": "x", "transforms": [transform]}
    assert refusals({"pixels": [PIXEL], "elements": {"x": element}}) == []


@pytest.mark.parametrize("signal", written(SIGNALS))
def test_written_signal_passes(signal: Any):
    assert refusals({"pixels": [PIXEL], "consent": {"x": {"read": [signal]}}}) == []


@pytest.mark.parametrize("filter_", written(FILTERS))
def test_written_filter_passes(filter_: Any):
    assert refusals({"pixels": [PIXEL], "privacy": {"detect": [filter_]}}) == []


RULE = "rules: [{{ name: a, {} }}]"
RULES = [
    "match: { event: Purchase }, then: { drop: both }",
    "match: { event: [Purchase, Lead], not: { path: /x/*, not: { ip: 192.0.2.0/24 } } }, then: { drop: twin }",
    "match: { consent: granted, country: [DE, US-CA], bot: false, pixel: '123' }, then: { rename: Buy }",
    "match: { custom_data: { a: 1, b: [EUR, 2], c: true, d: { above: 1, at_most: 2.5 } } }, then: { sample: 10% }",
    "match: { element: { x: { exists: true }, token: { is: [1] } } }, then: { sample: 0.1 }",
    "match: { host: '*.shop.example' }, when: 'event.event_name == \"Lead\"', then: { pixels: '123' }",
    "then: { pixels: ['123', '{{ x }}'] }",
    "then: { pixel: { id: '9', access_token: '${SHOP_TOKEN}' } }",
    "then: { pixel: { id: 77, access_token: '{{ token }}' } }",
    "then: { server_event: { event_name: '{{ x }}', event_time: 4000000000, opt_out: true } }",
    "then: { server_event: { action_source: website, event_id: { cel: 'event.event_id' } } }",
    "then: { server_event: { action_source: '{{ x }}', messaging_channel: { cel: 'el.x' } } }",
    "then: { server_event: { limited_data_use: true } }",
    "then: { server_event: { limited_data_use: { country: US, state: '{{ x }}' } } }",
    "then: { server_event: { original_event_data: { event_name: Purchase, order_id: '9' } } }",
    "then: { user_data: { em: ['{{ x }}', jane@shop.example], fbp: '{{ x }}', lead_id: 5 } }",
    'then: { custom_data: { json: \'{"a": "{{ x }}"}\' } }',
    "then: { custom_data: { json: { a: [1, { b: null }] }, remove: [c] } }",
    "then: { custom_data: { rows: [{ key: 'contents[0].id', value: '{{ x }}' }] } }",
    "then: { test_event: { code: TEST1, until: 2026-12-24 } }",
    "then: { test_event: { code: '{{ x }}', when: 'http.cookies.a == \"1\"', until: 2026-12-24T12:00:00 } }",
]
FINE = [
    *map(RULE.format, RULES),
    "consent: { eu: { where: [EEA, de, US-CA, unknown], read: [gpc], unknown: hold 30m, denied: limit } }",
    "consent: { eu: { read: [{ kind: gpc }], unknown: { relay: allow, twin: hold 48h } } }",
    "elements: { a: { kind: cookie, cookie: b, default: 1 }, b: { first_of: [{ first_of: [{ query: sw }] }] } }",
    "server: { listen: '[::1]:8080', trusted_proxies: ['::1', 10.0.0.0/8], allowed_origins: ['http://a.b:80'] }",
    "server: { listen: '${LISTEN:-127.0.0.1:1}', limits: { params: '${N:-7}', body: '${N:-7}KiB' } }",
    "identity: { set_cookies: '${ON:-yes}', remember: '${FOR:-90d}' }",
    "privacy: { found: '${FOUND:-remove}', parameters: [a, a] }",
    "meta: { graph: 'http://127.0.0.1:9100/' }",
    "admin: null",
    "version: 1",
]
TOKEN_ELEMENTS = "elements: { x: { query: sw }, token: { env: SHOP_TOKEN } }\n"
GOOD = [SHOP + ("" if "elements:" in text else TOKEN_ELEMENTS) + text for text in FINE]


@pytest.mark.parametrize("text", GOOD)
def test_what_is_fine_loads_and_passes(text: str):
    assert loads(text)
    assert refusals(read(text)) == []


BROKEN = [
    "version: 2",
    "version: '1'",
    "vesion: 1",
    "server: []",
    "server: { listen: 8080 }",
    "server: { listen: '8080' }",
    "server: { allowed_origins: ['*'] }",
    "server: { trusted_proxies: 10.0.0.0/8 }",
    "server: { trusted_proxies: [proxy.shop.example] }",
    "server: { public_hosts: ['https://px.shop.example'] }",
    "server: { public_hosts: ['px.shop.example:443'] }",
    "server: { limits: { body: 256 } }",
    "server: { limits: { body: 256KiBs } }",
    "server: { limits: { params: 0 } }",
    "server: { limits: { params: many } }",
    "server: { limits: { read_timeout: 10 } }",
    "server: { limits: { read_timeout: 10 s } }",
    "server: { limits: { read_timeout: 0s } }",
    "server: { limits: { read_timeout: ten seconds } }",
    "server: { paths: { hits: [] } }",
    "server: { paths: { hits: [tr] } }",
    "meta: { graph: https://graph.facebook.com/v26.0 }",
    "meta: { graph_version: 26 }",
    "identity: { remember: forever }",
    "identity: { fbi_cookie: maybe }",
    "identity: { store: { kind: postgres } }",
    "outbox: { kind: postgresql }",
    "outbox: { path: x }",
    "outbox: { kind: memory, path: x }",
    "outbox: { kind: sqlite, durability: none }",
    "admin: { listen: localhost }",
    "admin: { token: literal }",
    "elements: { 'a b': { cookie: x } }",
    "elements: { a: x }",
    "elements: { a: {} }",
    "elements: { a: { session: x } }",
    "elements: { a: { cookie: x, header: y } }",
    "elements: { a: { kind: cookie } }",
    "elements: { a: { kind: cookie, header: y } }",
    "elements: { a: { cookie: 1 } }",
    "elements: { a: { cookie: x, pattern: 1 } }",
    "elements: { a: { cookie: x, default: 1.5 } }",
    "elements: { a: { cookie: x, trust: safe } }",
    "elements: { a: { cookie: x, transforms: lower } }",
    "elements: { a: { cookie: x, transforms: [lowr] } }",
    "elements: { a: { cookie: x, transforms: [map] } }",
    "elements: { a: { cookie: x, transforms: [{ lower: null }] } }",
    "elements: { a: { cookie: x, transforms: [{ split: ',', index: x }] } }",
    "elements: { a: { cookie: x, transforms: [{ split: ',', prefix: x }] } }",
    "elements: { a: { first_of: [] } }",
    "elements: { a: { first_of: [{ cookei: x }] } }",
    "elements: { a: { request: body } }",
    "elements: { a: { signed_cookie: x, key: literal } }",
    "geo: { country: DE }",
    "consent: { eu: { read: [] } }",
    "consent: { eu: { read: [gcp] } }",
    "consent: { eu: { read: [tcf] } }",
    "consent: { eu: { read: [{ gpc: null }] } }",
    "consent: { eu: { read: [{ tcf: a, purposes: [0] }] } }",
    "consent: { eu: { read: [{ tcf: a, purposes: [1], cookie: b }] } }",
    "consent: { eu: { read: [gpc], where: EU } }",
    "consent: { eu: { read: [gpc], where: [Germany] } }",
    "consent: { eu: { read: [gpc], unknown: wait } }",
    "consent: { eu: { read: [gpc], unknown: hold } }",
    "consent: { eu: { read: [gpc], unknown: hold 30 } }",
    "consent: { eu: { read: [gpc], unknown: { relay: allow } } }",
    "privacy: { detect: [iban] }",
    "privacy: { detect: email }",
    "privacy: { found: delete }",
    "privacy: { client_ip: hash }",
    "sources: { crm: { key: a } }",
    "sources: { crm: { kind: ldap, key: a } }",
    "sources: { crm: { kind: embedded, key: 1 } }",
    "sources: { crm: { kind: embedded, key: a, url: x } }",
    "sources: { crm: { kind: embedded, key: a, map: { emial: email } } }",
    "sources: { crm: { kind: embedded, key: a, timeout: 1 } }",
    "sources: { crm: { kind: redis, key: a, url: 'redis://localhost' } }",
    "rules: { name: a, then: { drop: twin } }",
    "rules: [{ name: a b, then: { drop: twin } }]",
    "rules: [{ name: a }]",
    *map(
        RULE.format,
        [
            "then: {}",
            "then: { drop: all }",
            "then: { drop: true }",
            "then: { rename: 1 }",
            "then: { sample: 10 }",
            "then: { sample: ten }",
            "then: { send: x }",
            "then: { pixel: { access_token: '${SHOP_TOKEN}' } }",
            "then: { pixel: { id: '1', access_token: literal } }",
            "then: { pixels: [null] }",
            "then: { server_event: { action_source: web } }",
            "then: { server_event: { messaging_channel: 1 } }",
            "then: { server_event: { event_name: [Purchase] } }",
            "then: { server_event: { event_name: { cel: a, b: c } } }",
            "then: { server_event: { currency: EUR } }",
            "then: { server_event: { limited_data_use: US } }",
            "then: { user_data: { email: x } }",
            "then: { user_data: { em: { plain: x } } }",
            "then: { custom_data: { json: [] } }",
            "then: { custom_data: { json: null } }",
            "then: { custom_data: { rows: { a: b } } }",
            "then: { custom_data: { rows: [{ key: a }] } }",
            "then: { test_event: TEST1 }",
            "then: { test_event: { code: TEST1, until: tomorrow } }",
            "when: true, then: { drop: twin }",
            "match: null, then: { drop: twin }",
            "match: { evnt: Purchase }, then: { drop: twin }",
            "match: { event: 1 }, then: { drop: twin }",
            "match: { event: { is: Purchase } }, then: { drop: twin }",
            "match: { consent: yes please }, then: { drop: twin }",
            "match: { bot: perhaps }, then: { drop: twin }",
            "match: { not: Purchase }, then: { drop: twin }",
            "match: { not: { not: { evnt: Purchase } } }, then: { drop: twin }",
            "match: { custom_data: { a: {} } }, then: { drop: twin }",
            "match: { custom_data: {} }, then: { drop: twin }",
            "match: { custom_data: { a: { more: 1 } } }, then: { drop: twin }",
            "match: { custom_data: { a: { above: much } } }, then: { drop: twin }",
            "match: { custom_data: { a: null } }, then: { drop: twin }",
        ],
    ),
]


@pytest.mark.parametrize("text", BROKEN)
def test_what_has_the_wrong_shape_is_refused_by_both(text: str):
    assert not loads(SHOP + text)
    assert refusals(read(SHOP + text))


PIXELS = [
    "{}",
    "pixels: []",
    "pixels: [123]",
    'pixels: [{ id: "123" }]',
    "pixels: [{ access_token: '${SHOP_TOKEN}' }]",
    "pixels: [{ id: shop, access_token: '${SHOP_TOKEN}' }]",
    "pixels: [{ id: 1.5, access_token: '${SHOP_TOKEN}' }]",
    "pixels: [{ id: 1, access_token: EAAliteral }]",
    "pixels: [{ id: 1, access_token: '$${SHOP_TOKEN}' }]",
    "pixels: [{ id: 1, access_token: '${1X}' }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', relay: both }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', name: a b }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', enrich: [3] }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', default_country: Germany }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', ingest_keys: [literal] }]",
    "pixels: [{ id: 1, access_token: '${SHOP_TOKEN}', automatic_events: some }]",
]


@pytest.mark.parametrize("text", PIXELS)
def test_pixel_of_the_wrong_shape_is_refused_by_both(text: str):
    assert not loads(text)
    assert refusals(read(text))


def models_in(data: Any) -> Iterator[tuple[str | int, ...]]:
    return (loc for loc, model in places(Config, data) if issubclass(model, BaseModel))


def at(data: Any, loc: tuple[str | int, ...]) -> Any:
    for step in loc:
        data = data[step]
    return data


def levels() -> Iterator[tuple[Any, tuple[str | int, ...]]]:
    """Every place of a model in the full example and in its alternatives."""
    for whole, part in zip(WHOLE, FULL, strict=True):
        yield from ((whole, loc) for loc in models_in(whole) if not loc or loc[0] in part)


@pytest.mark.parametrize(("data", "loc"), list(levels()), ids=lambda it: str(it) if isinstance(it, tuple) else "")
def test_unknown_key_is_refused_at_every_level(data: Any, loc: tuple[str | int, ...]):
    changed = deepcopy(data)
    at(changed, loc)["unknown_key"] = 1
    assert refusals(changed)


CHANGES = [
    *("x", "", "10s", "1KiB", "DE", "Purchase", "lower", "gpc", "drop", "none", "{{ screen }}", "event.event_name"),
    *("${SHOP_TOKEN}", "${EMPTY:-1}", 3, 0.5, None, [], {}, ["x"], [3], {"x": "y"}, {"cel": "event.event_name"}),
]
ODD = ("cel", "until")  # a number is taken for the text that it prints, or for unix seconds


def steps(data: Any, loc: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every value in the data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in items:
        yield (*loc, step)
        yield from steps(value, (*loc, step))


@given(st.sampled_from([*WHOLE, *map(read, GOOD)]), st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
def test_whatever_loads_passes(config: Any, data: st.DataObject):
    changed = deepcopy(config)
    loc = data.draw(st.sampled_from(list(steps(changed))))
    at(changed, loc[:-1])[loc[-1]] = change = data.draw(st.sampled_from(CHANGES))
    assume(isinstance(change, str) or loc[-1] not in ODD)
    if loads(json.dumps(changed), ENV | EXAMPLES_ENV):
        assert refusals(changed) == []


def test_defaults_are_shown_as_people_write_them():
    definitions = SCHEMA["$defs"]
    assert definitions["CacheSettings"]["properties"]["ttl"]["default"] == "10m"
    assert definitions["Limits"]["properties"]["body"]["default"] == "256KiB"
    assert definitions["Server"]["properties"]["listen"]["default"] == "127.0.0.1:8080"
    assert definitions["ConsentPolicy"]["properties"]["denied"]["default"] == "drop"


def test_every_default_passes():
    for name, definition in SCHEMA["$defs"].items():
        for option, schema in definition.get("properties", {}).items():
            if "default" in schema:
                there = VALIDATOR.evolve(schema={**schema, "$defs": SCHEMA["$defs"]})
                assert there.is_valid(schema["default"]), f"{name}.{option}"


@pytest.mark.parametrize("folder", [ELEMENTS, TRANSFORMS, SIGNALS, FILTERS])
def test_editor_shows_what_a_kind_does(folder: str):
    for name in kinds.names(folder):
        assert SCHEMA["$defs"][f"{folder.removeprefix('pixeltwin.')}.{name}"]["description"]
