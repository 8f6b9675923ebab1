"""What every kind of consent signal promises, run over each that is found."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.consent.factories import signal, visit
from tests.consent.tc_strings import core, encoded, range_section

from pixeltwin import kinds
from pixeltwin.consent.signal import SIGNALS, Example, SignalSettings
from pixeltwin.consent.verdict import Answer

EXAMPLES = [(module, example) for module in kinds.modules(SIGNALS) for example in module.EXAMPLES]
ids = [f"{module.__name__.rpartition('.')[2]}-{example.answer}" for module, example in EXAMPLES]

every_example = pytest.mark.parametrize(("module", "example"), EXAMPLES, ids=ids)
every_kind = pytest.mark.parametrize("module", kinds.modules(SIGNALS), ids=kinds.names(SIGNALS))


def kind_of(module: Any) -> str:
    name: str = module.__name__
    return name.rpartition(".")[2]


def read(example: Example) -> Answer:
    seen = visit(example.headers, hit=example.hit, elements=example.elements)
    return signal(example.written).read(seen)


@every_example
def test_it_reads_the_answer(module, example):
    assert read(example) is example.answer


@every_kind
def test_a_visit_that_says_nothing_is_neither_a_yes_nor_a_no(module):
    assert {signal(example.written).read(visit()) for example in module.EXAMPLES} == {Answer.UNKNOWN}


@every_kind
def test_a_kind_is_written_by_its_name_and_has_examples(module):
    kind = kind_of(module)
    assert all(kind == example.written or kind in example.written for example in module.EXAMPLES)
    assert all(type(signal(example.written)) is module.Settings for example in module.EXAMPLES)
    assert issubclass(module.Settings, SignalSettings)
    assert module.Settings.model_fields["kind"].annotation.__args__ == (kind,)


@every_kind
def test_examples_show_an_answer_and_its_absence(module):
    answers = {example.answer for example in module.EXAMPLES}
    assert Answer.UNKNOWN in answers
    assert len(answers) > 1


@every_kind
def test_settings_are_frozen_and_refuse_what_they_do_not_know(module):
    written = kinds.named_form(module.EXAMPLES[0].written, SIGNALS, "unknown_signal")
    with pytest.raises(ValidationError, match="frozen"):
        signal(written).kind = "other"
    with pytest.raises(ValidationError, match="surprise"):
        signal({**written, "surprise": 1})


@every_kind
def test_every_option_that_has_no_default_is_asked_for(module):
    written = kinds.named_form(module.EXAMPLES[0].written, SIGNALS, "unknown_signal")
    needed = [name for name, option in module.Settings.model_fields.items() if option.is_required() and name != "kind"]
    for name in needed:
        with pytest.raises(ValidationError, match="required"):
            signal({key: value for key, value in written.items() if key != name})


# Hostile requests.

COOKIES = ("euconsent-v2", "OptanonConsent", "CookieConsent", "consent_mode", "gcs", "ads")
ODD = ("\0", "\ud800", "%ff%00%", "{" * 400, "[" * 400, '{"a":' * 400, "groups=" + ":," * 400, "C" * 400, "G1", "=;=;")
VALUE = st.text(max_size=200) | st.sampled_from(ODD) | st.text("{}[]:,&=%'\"01CG", max_size=400)
WIDEST = encoded(core({1}, range_section([(1, 65_535)] * 1400)))
HEAVY = (
    *(
        piece * (8192 // len(piece))
        for piece in ("{", "[", "%", "%7B", ",", ":", "&", "=", "groups=", "C", "a:1,", "é")
    ),
    *('{"a":' * 1600, "groups=" + "C0004%3A1%2C" * 680, "{" + "marketing:tru," * 580 + "}", WIDEST),
)


@given(
    example=st.sampled_from([example for _, example in EXAMPLES]),
    values=st.dictionaries(st.sampled_from(COOKIES), VALUE),
    headers=st.dictionaries(st.sampled_from(["sec-gpc", "cookie", "user-agent"]), VALUE, max_size=2),
    hit=st.dictionaries(st.sampled_from(["v", "it", "noscript", "dpo"]), VALUE),
    element=st.none() | VALUE,
)
def test_no_request_breaks_it(example, values, headers, hit, element):
    header = "; ".join(f"{name}={value}" for name, value in values.items())
    elements = {} if element is None else {"ads": element}
    seen = visit({"cookie": header, **headers}, hit=hit, elements=elements)
    assert signal(example.written).read(seen) in Answer


@every_kind
def test_the_heaviest_cookies_take_no_time_to_speak_of(module):
    signals = [signal(example.written) for example in module.EXAMPLES]
    for value in HEAVY:
        cookies = "; ".join(f"{name}={value}" for name in COOKIES)
        seen = visit({"sec-gpc": value, "cookie": cookies})
        for one in signals:
            started = time.perf_counter()
            one.read(seen)
            assert time.perf_counter() - started < 0.1
