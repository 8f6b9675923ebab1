"""config/minimal.yaml and config/full.yaml are what people copy: they load, and nothing is missing."""

import re
from collections.abc import Iterator
from inspect import get_annotations
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from pixeltwin.config import Config, load_config
from pixeltwin.config.model import Element
from pixeltwin.config.shape import places
from pixeltwin.consent.policy import Signal
from pixeltwin.privacy.settings import Filter
from pixeltwin.rules.matcher import Matcher

EXAMPLES = Path(__file__).parents[2] / "config"
NAMES = ("SHOP_TOKEN", "UID_KEY", "INGEST_KEY", "ADMIN_TOKEN", "PARTNER_TOKEN")
ENV = dict.fromkeys(NAMES, "a-secret")


@pytest.mark.parametrize("name", ["minimal", "full"])
def test_example_loads(name):
    assert load_config(EXAMPLES / f"{name}.yaml", ENV).pixels[0].id == "1234567890123456"


def test_minimal_example_sets_nothing_that_has_a_default():
    config = load_config(EXAMPLES / "minimal.yaml", ENV)
    assert config.model_fields_set == {"pixels"}
    assert config.pixels[0].model_fields_set == {"id", "access_token"}


@pytest.mark.parametrize("section", ["meta", "outbox", "admin"])
def test_full_example_shows_defaults(section):
    full, minimal = (load_config(EXAMPLES / f"{name}.yaml", ENV) for name in ("full", "minimal"))
    assert getattr(full, section) == getattr(minimal, section)


def test_full_example_shows_the_default_limits_and_paths():
    full, minimal = (load_config(EXAMPLES / f"{name}.yaml", ENV).server for name in ("full", "minimal"))
    assert (full.limits, full.paths, full.listen) == (minimal.limits, minimal.paths, minimal.listen)


def test_full_example_names_every_option():
    named = options_named((EXAMPLES / "full.yaml").read_text())
    assert options() - named == set()


def options() -> set[tuple[type, str]]:
    """Every option of every model, but what nobody writes: the kind of what is named by a key, a matcher's `want`."""
    found = {
        (owner(model, name), it.alias or name)
        for model in models(Config)
        if not issubclass(model, Matcher)
        for name, it in model.model_fields.items()
    }
    return found - {(model, "kind") for written in (Element, Signal, Filter) for model in models(written)}


def owner(model: type, name: str) -> type:
    """The model that declares the option: what all kinds of a folder have needs to be shown once."""
    bases = [base for base in model.__mro__ if name in get_annotations(base)]
    return bases[-1] if bases and name != "kind" else model


def models(annotation: Any) -> set[type[BaseModel]]:
    """The models that the annotation is made of, all the way down."""
    found: set[type[BaseModel]] = set()
    _collect(annotation, found)
    return found


def _collect(annotation: Any, found: set[type[BaseModel]]) -> None:
    inner = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in found:  # elements are made of elements
            return
        found.add(annotation)
        inner = tuple(option.annotation for option in annotation.model_fields.values())
    for part in inner:
        _collect(part, found)


def options_named(text: str) -> set[tuple[type, str]]:
    """The options of the text, and of each commented-out line that is YAML for a section."""
    return {
        (owner(model, name), name)
        for data in documents(text)
        for loc, model in places(Config, data)
        if issubclass(model, BaseModel)
        for name in value_at(data, loc)
    }


def documents(text: str) -> Iterator[dict[str, Any]]:
    yaml = YAML(typ="safe", pure=True)
    yield yaml.load(text)
    for line in re.findall(rf"^# ((?:{'|'.join(Config.model_fields)}): .*)$", text, re.MULTILINE):
        yield yaml.load(line)


def value_at(data: Any, loc: tuple[str | int, ...]) -> Any:
    for step in loc:
        data = data[step]
    return data


def test_option_that_the_example_lacks_is_noticed():
    text = (EXAMPLES / "full.yaml").read_text()
    lacking = [name for name in ("durability", "graph_version", "test_event_code", "# outbox") if name in text]
    for name in lacking:
        assert options() - options_named(text.replace(name, f"{name}_x")), name
