"""What every kind of data element and every transform promises, run over each that is found."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from tests.factories import NOW, PIXEL

from pixeltwin import kinds
from pixeltwin.mapping import element, transform
from pixeltwin.mapping.element import ELEMENTS, MAX_VALUE, ElementSettings, element_type
from pixeltwin.mapping.elements import session
from pixeltwin.mapping.transform import TRANSFORMS, TransformSettings, transform_type
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest

FULL = Path(__file__).parents[2] / "config/full.yaml"
BARE = {"id": PIXEL, "ev": "PageView"}
SECRETS = ("key", "keys")

EXAMPLES = [(module, example) for module in kinds.modules(ELEMENTS) for example in module.EXAMPLES]
TRANSFORM_EXAMPLES = [example for module in kinds.modules(TRANSFORMS) for example in module.EXAMPLES]
ids = [f"{module.__name__.rpartition('.')[2]}-{example.gives}" for module, example in EXAMPLES]

every_example = pytest.mark.parametrize(("module", "example"), EXAMPLES, ids=ids)
every_kind = pytest.mark.parametrize("module", kinds.modules(ELEMENTS), ids=kinds.names(ELEMENTS))
every_transform = pytest.mark.parametrize("module", kinds.modules(TRANSFORMS), ids=kinds.names(TRANSFORMS))


def load(written: Any, env: Mapping[str, str] | None = None) -> ElementSettings:
    loaded: ElementSettings = TypeAdapter(element_type()).validate_python(written, context={"env": env or {}})
    return loaded


def load_transform(written: Any) -> TransformSettings:
    loaded: TransformSettings = TypeAdapter(transform_type()).validate_python(written)
    return loaded


def hit_request(query: Mapping[str, str], headers: Mapping[str, str], received_at: float = NOW) -> HitRequest:
    return HitRequest(
        method="GET",
        host="",
        path="/tr/",
        query=urlencode(query, errors="replace").encode(),
        headers=headers,
        body=b"",
        peer="",
        received_at=received_at,
        first_party=True,
    )


def read(settings: ElementSettings, query: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    request = hit_request({**BARE, **query}, headers)
    hit = parse_hit(request, Limits(url=1 << 20, params=10_000))
    assert isinstance(hit, PixelHit)
    return settings.read(request, hit)


# Elements.


@every_example
def test_it_reads_what_it_should_from_a_request_that_has_it(module, example):
    assert read(load(example.written, example.env), example.hit, example.headers) == example.gives


@every_example
def test_it_reads_nothing_but_its_default_from_one_that_has_not(module, example):
    assert read(load(example.written, example.env), {}, {}) == example.else_gives


@every_kind
def test_a_kind_is_written_by_its_name_and_has_an_example(module):
    kind = module.__name__.rpartition(".")[2]
    assert module.EXAMPLES
    assert all(kind in example.written for example in module.EXAMPLES)
    assert all(type(load(example.written, example.env)) is module.Settings for example in module.EXAMPLES)


@every_example
def test_settings_are_frozen_and_refuse_what_they_do_not_know(module, example):
    settings = load(example.written, example.env)
    with pytest.raises(ValidationError, match="frozen"):
        settings.trust = "unsafe"
    with pytest.raises(ValidationError, match="surprise"):
        load({**example.written, "surprise": 1}, example.env)


@every_example
def test_secrets_show_in_no_rendering(module, example):
    settings = load(example.written, example.env)
    read(settings, example.hit, example.headers)  # a key that was prepared must not show either
    shown = f"{settings!r}{settings}{settings.model_dump()}{settings.model_dump_json()}"
    assert all(str(example.written[name]) not in shown for name in SECRETS if name in example.written)


@every_example
def test_a_default_is_the_last_resort(module, example):
    pattern = {"pattern": "(never)matched|by|any|of|them"}
    assert read(load({**example.written, **pattern, "default": "d"}, example.env), example.hit, example.headers) == "d"


@every_example
def test_transforms_come_after_the_pattern(module, example):
    written = {"transforms": [], **example.written}
    longer = {**written, "transforms": [*written["transforms"], {"prefix": "x-"}]}
    given = read(load(longer, example.env), example.hit, example.headers)
    assert given in {load(written, example.env).sealed(f"x-{unsealed(example)}"), example.else_gives}


def unsealed(example: element.Example) -> str:
    """What the example gives before a kind of credentials seals it."""
    settings = load(example.written, example.env)
    opened = settings.opened(example.gives) if isinstance(settings, session.Settings) else example.gives
    assert opened is not None
    return str(opened)


@pytest.mark.parametrize("bad", ["\0", "\ud800", "x" * (MAX_VALUE + 1), ""], ids=["NUL", "surrogate", "huge", "blank"])
@pytest.mark.parametrize("written", [{"cookie": "v"}, {"header": "v"}, {"first_of": [{"cookie": "v"}]}], ids=str)
def test_a_value_that_would_spoil_a_query_is_none(written, bad):
    assert read(load(written), {}, {"cookie": f"v={bad}", "v": bad}) is None


TEXTS = st.text() | st.sampled_from(["\0", "\ud800", "9" * 5000, "[" * 9000, "https://[", "?a&" * 600, "=;=;", "%ff"])
NAMES = st.text(max_size=5) | st.sampled_from(["dl", "sw", "cd[order_id]", "cd[cents]", "cd[lead_id]"])
HEADERS = st.text(max_size=5) | st.sampled_from(["cookie", "x-country", "user-agent", "referer", "session"])
COOKIES = st.dictionaries(st.sampled_from(["uid", "session", "plan", "lead", "store", "connect.sid"]), TEXTS).map(
    lambda cookies: {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
)


@given(
    example=st.sampled_from([example for _, example in EXAMPLES]),
    query=st.dictionaries(NAMES, TEXTS, max_size=4),
    headers=st.dictionaries(HEADERS, TEXTS, max_size=4),
    cookies=COOKIES,
    received_at=st.floats(allow_nan=False),
)
def test_no_request_breaks_it(example, query, headers, cookies, received_at):
    request = hit_request(query, {**headers, **cookies}, received_at)
    value = load(example.written, example.env).read(request, PixelHit.of(tuple(query.items())))
    assert value is None or (value.encode() and "\0" not in value)


# Transforms, as elements use them.


@pytest.mark.parametrize("example", TRANSFORM_EXAMPLES, ids=lambda example: f"{example.written}-{example.given}")
def test_a_transform_makes_of_a_text_what_it_says(example):
    assert read(load({"header": "v", "transforms": [example.written]}), {}, {"v": example.given}) == example.gives


@every_transform
def test_a_transform_is_written_by_its_name_and_has_an_example(module):
    kind = module.__name__.rpartition(".")[2]
    assert module.EXAMPLES
    for example in module.EXAMPLES:
        assert kind == example.written or kind in example.written
        assert type(load_transform(example.written)) is module.Settings


@every_transform
def test_a_transform_is_frozen_and_refuses_what_it_does_not_know(module):
    written = kinds.named_form(module.EXAMPLES[0].written, TRANSFORMS, "unknown_transform")
    with pytest.raises(ValidationError, match="frozen"):
        load_transform(written).kind = "other"
    with pytest.raises(ValidationError, match="surprise"):
        load_transform({**written, "surprise": 1})


@given(example=st.sampled_from(TRANSFORM_EXAMPLES), text=TEXTS.filter(str.strip))
def test_no_text_breaks_a_transform(example, text):
    value = read(load({"header": "v", "transforms": [example.written]}), {}, {"v": text})
    assert value is None or value.encode()


# config/full.yaml, from which people copy.


def documents() -> list[dict[str, Any]]:
    yaml, text = YAML(typ="safe", pure=True), FULL.read_text()
    return [yaml.load(text), *map(yaml.load, re.findall(r"^# (elements: .*)$", text, re.MULTILINE))]


SHOWN = [written for document in documents() for written in document["elements"].values()]


def covers(written: Any, example: Any) -> bool:
    """Whether `written` says all that the example says, keys apart."""
    return all(written.get(name) == value for name, value in example.items() if name not in SECRETS)


@every_kind
def test_the_full_example_shows_a_kind(module):
    kind = module.__name__.rpartition(".")[2]
    assert any(kind in written for written in SHOWN)


@every_transform
def test_the_full_example_shows_a_transform(module):
    kind = module.__name__.rpartition(".")[2]
    shown = [step for written in SHOWN for step in written.get("transforms", ())]
    assert any(kind == step or (isinstance(step, dict) and kind in step) for step in shown)


def test_the_full_example_shows_what_the_suite_runs():
    run = [example.written for _, example in EXAMPLES]
    shown_and_run = [example for example in run if any(covers(written, example) for written in SHOWN)]
    assert {next(iter(example)) for example in shown_and_run} == set(kinds.names(ELEMENTS))


def test_the_contract_is_what_the_kinds_are():
    assert all(issubclass(settings, element.ElementSettings) for settings in kinds.settings(ELEMENTS))
    assert all(issubclass(settings, transform.TransformSettings) for settings in kinds.settings(TRANSFORMS))
