"""What every filter of personal data promises, run over each that is found."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from tests.privacy.leaks import HOSTILE, KIB_64

from pixeltwin import kinds
from pixeltwin.privacy.detector import REMOVED, Detector
from pixeltwin.privacy.filter import FILTERS, FilterSettings, filter_type

MODULES = kinds.modules(FILTERS)
EXAMPLES = [(module, example) for module in MODULES for example in module.EXAMPLES]

every_kind = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
every_example = pytest.mark.parametrize(("module", "example"), EXAMPLES, ids=lambda it: getattr(it, "given", ""))

# what looks like personal data, and has to survive
SURVIVES = [
    *("1234567890", "0012345678", "4006381333931", "04006381333931", "00012345600012", "99.90", "1.234,56", "1,299.00"),
    *("550e8400-e29b-41d4-a716-446655440000", "9780000000001", "2026-11-23T19:23:20+01:00", "1795461084980"),
    *(
        "fb.1.1795461138686.395509956232435040",
        "IwAR0fAkE-cLiCk_1dAaBb",
        "EAIaIQobChMI8qjW0pqt_QIVFMLVCh0VWwnZEAAYASAAEgJ3xPD",
    ),
    *("/@shop", "@shop.example", "logo@2x.png", "lodash@4.17.21", "a@b", "C++ 11", "1+1 is 2", "shoes+4006381333931"),
    *("+20 %", "+1000000 views", "DE89370400440532013000", "sku-0049-123456", "12345678901234567890", "00-12-34"),
    "5ac3cbb303be9ca0f0ca5bdd9dde9f2d74309d33022cf5fa9bc90bbdbe9ea428",
    "EAA3CBB303BE9CA0F0CA5BDD9DDE9F2D74309D33022CF5FA9BC90BBDBE9EA428",
]


def load(written: Any) -> FilterSettings:
    loaded: FilterSettings = TypeAdapter(filter_type()).validate_python(written)
    return loaded


def default(module: Any) -> FilterSettings:
    return load(module.EXAMPLES[0].written)


@every_example
def test_it_finds_what_its_examples_say(module, example):
    detector = Detector([load(example.written)], removes=False)
    assert detector.masked(example.given, example.name) == example.gives
    assert detector.clean(example.given, example.name) == example.gives


@every_example
def test_what_holds_personal_data_can_go_as_a_whole(module, example):
    detector = Detector([load(example.written)], removes=True)
    assert detector.clean(example.given, example.name) == (None if REMOVED in example.gives else example.given)


@every_kind
def test_a_kind_is_written_by_its_name_and_shows_what_it_spares(module):
    kind = module.__name__.rpartition(".")[2]
    assert all(kind == it.written or kind in it.written for it in module.EXAMPLES)
    assert type(default(module)) is module.Settings
    assert {it.given == it.gives for it in module.EXAMPLES} == {True, False}


@every_kind
def test_settings_are_frozen_and_refuse_what_they_do_not_know(module):
    with pytest.raises(ValidationError, match="frozen"):
        default(module).kind = "other"
    with pytest.raises(ValidationError, match="surprise"):
        load({"kind": default(module).kind, "surprise": 1})


@every_kind
@pytest.mark.parametrize("text", SURVIVES)
def test_ids_prices_and_hashes_survive(module, text):
    assert Detector([default(module)], removes=False).masked(text, "order_id") == text


PIECES = st.sampled_from([*HOSTILE, *SURVIVES, *(example.given for _, example in EXAMPLES)])
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=8).map("".join)


@given(st.sampled_from(MODULES), TEXTS, st.booleans())
def test_it_finds_pieces_of_the_text_and_stops_at_none(module, text, named):
    for start, end in default(module).spans(text, named=named):
        assert 0 <= start < end <= len(text)


@given(st.sampled_from(MODULES), TEXTS)
def test_nothing_is_found_in_what_it_does_not_suspect(module, text):
    settings = default(module)
    assert settings.suspects(text) or list(settings.spans(text, named=False)) == []


@given(st.sampled_from(MODULES), TEXTS, st.sampled_from(["", "phone", "token"]))
def test_nothing_is_found_in_what_was_masked(module, text, name):
    detector = Detector([default(module)], removes=False)
    masked = detector.masked(text, name)
    assert detector.masked(masked, name) == masked


@every_kind
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_time_grows_with_the_text_and_no_faster(module, named, piece):
    text = (piece * KIB_64)[:KIB_64]
    began = time.perf_counter()
    list(default(module).spans(text, named=named))
    assert time.perf_counter() - began < 1  # a millisecond or some; what is quadratic takes minutes


@every_kind
def test_names_are_the_words_that_names_are_taken_apart_into(module):
    assert all(re.fullmatch("[a-z]+", name) for name in default(module).NAMES)
