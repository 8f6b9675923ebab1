"""Conditions and values in CEL: what is wrong with one is said when the file is read, and no hit makes one raise."""

import time
import traceback
from collections import Counter
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pixeltwin.expressions import (
    AT_ADMISSION,
    Expression,
    FaultError,
    MissingError,
    Scope,
    by_name,
    expression_type,
    plain,
)
from tests.config.factories import SHOP, problems

CANARY = "a-visitor-s-data"
EVENT = {
    "custom_data": {"value": 12.0, "num_items": 2.0, "contents": [{"id": "a", "quantity": 2.0}]},
    "event_name": "X",
}
ALL = ((),)  # the path to all of a variable
SEEN = {"event": EVENT, "hit": {"x": "1"}, "el": {"plan": "vip"}, "page": {"query": {"a": "b"}}}


def scope(**more: Any) -> Scope:
    seen = {**SEEN, **more}
    return Scope(seen.__getitem__, dict.fromkeys(seen, ALL))


def expression(source: str) -> Expression:
    return Expression(source, AT_ADMISSION)


def of_anything(source: str) -> Expression:
    """An expression about data of whatever shape."""
    return Expression(source, AT_ADMISSION, {})


def refused(source: str) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        expression(source)
    return str(error.value)


# What they give.


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("event.custom_data.value * 0.25", 3.0),
        ("event.custom_data.value", 12.0),
        ("event.custom_data.contents.map(c, c.quantity).sum()", 2.0),
        ('event.custom_data.contents.filter(c, c.id == "a").size()', 1),
        ('hit.x + "2"', "12"),
        ('el["plan"]', "vip"),
        ("has(event.custom_data.coupon)", False),
        ('hit.x == "1" ? "yes" : "no"', "yes"),
        ("math.abs(-3)", 3),
        ('"a,b".split(",")', ["a", "b"]),
        ("null", None),
    ],
)
def test_an_expression_has_a_plain_value(source, value):
    assert expression(source).evaluate(scope()) == value


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ("event.custom_data.value > 10.0", True),
        ("event.custom_data.value > 10", True),
        ("event.custom_data.num_items == 2.0", True),
        ("event.custom_data.value < 10.0", False),
        ('hit.x.matches("[0-9]+")', True),
        ('"a" in page.query', True),
        ("event.custom_data.coupon == 'x' || true", True),
    ],
)
def test_a_condition_holds_or_not(source, holds):
    assert expression(source).holds(scope()) is holds


@pytest.mark.parametrize(
    "source",
    ["event.custom_data.coupon == 'x'", "hit.nothing == '1'", "event.custom_data.contents[7].id == 'a'", "el.x == ''"],
)
def test_what_is_not_there_is_missing_and_holds_of_nothing(source):
    with pytest.raises(MissingError):
        expression(source).evaluate(scope())
    assert expression(source).holds(scope()) is False


@pytest.mark.parametrize(
    "source", ["double(hit.x) > 1.0", "int(hit.x + 'a') == 1", "event.custom_data.value * 2 == 24.0", "hit.x"]
)
def test_any_other_failure_is_a_fault_that_repeats_nothing_of_the_hit(source):
    with pytest.raises(FaultError) as fault:
        expression(source).holds(scope(hit={"x": CANARY}))
    assert not isinstance(fault.value, MissingError)
    assert CANARY not in "".join(traceback.format_exception(fault.value))


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (1, 1.0),
        (True, True),
        ("1", "1"),
        (None, None),
        ({"a": [1, {"b": 2}]}, {"a": [1.0, {"b": 2.0}]}),
        ((1, 2), [1.0, 2.0]),
    ],
)
def test_numbers_are_doubles_throughout(value, seen):
    made = plain(value)
    assert (made, type(made)) == (seen, type(seen))


# One context per hit.


def test_a_variable_is_read_once_for_all_expressions_of_a_hit_and_again_when_it_was_set():
    read = Counter[str]()

    def see(name: str) -> Any:
        read[name] += 1
        return SEEN[name]

    seen = Scope(see, {"event": ALL, "hit": ALL})
    for source in ("event.event_name == 'X'", "hit.x == '1'", "event.custom_data.value > 1.0", "math.abs(1) == 1"):
        assert expression(source).holds(seen)
    assert read == {"event": 1, "hit": 1}
    seen.changed("event", "page")
    seen.changed("event")
    assert read == {"event": 1, "hit": 1}
    assert expression("event.event_name == 'X'").holds(seen)
    assert read == {"event": 2, "hit": 1}


def test_what_no_expression_asks_for_is_not_read():
    seen = Scope(lambda name: {"x": "1"}, {"hit": ALL})
    assert expression("hit.x == '1'").holds(seen)


# What is wrong with the text.


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("event.", "write an expression in CEL; at character"),
        ("event.x ==", "write an expression in CEL; at character"),
        ("(1", "write an expression in CEL"),
        ("evnt.event_name == 'a'", "there is no 'evnt' here"),
        ("profile.x > 1.0", "there is no 'profile' here"),
        ("lenght(hit.x) > 1", "use a function of CEL (https://cel.dev): there is no function 'lenght'"),
        ("hit.x.startWith('a')", "did you mean startsWith?"),
        ("hit.x.matches('(')", "regular expression of RE2"),
        ("matches(hit.x, '[')", "regular expression of RE2"),
        ("hit.x.matches(r'(?=a)')", "regular expression of RE2"),
        ("'a' in el", "name the data element"),
        ("el[hit.x] == 'a'", "name the data element"),
        ("1 / 0 == 1", "ZeroDivisionError"),
        ("'a' + 1.0 == 'a'", "TypeError"),
        ("x" * 2001, "2000 characters at most"),
        ("(" * 500 + "1" + ")" * 500, "write an expression in CEL"),
    ],
)
def test_what_can_never_work_is_said_when_the_file_is_read(source, remedy):
    assert remedy in refused(source)


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("event.custm_data.value > 1.0", "did you mean event.custom_data? There is no event.custm_data"),
        ("event['custm_data']['value'] > 1.0", "did you mean event.custom_data?"),
        ("!has(event.custm_data)", "did you mean event.custom_data?"),
        ("event.user_data.external_ids.size() > 0", "did you mean event.user_data.external_id?"),
        ("consent.grnted", "did you mean consent.granted?"),
        ("geo.contry == 'DE'", "did you mean geo.country?"),
        ("page.qery.a == 'b'", "did you mean page.query?"),
        ("http.cokies['a'] == 'b'", "did you mean http.cookies?"),
        ("pixel.zzz == '1'", "write one of id, name. There is no pixel.zzz"),
        ("hit.x == '1' && geo . city == 'Rome'", "write one of country, region. There is no geo.city"),
    ],
)
def test_a_mistyped_field_is_a_mistake_and_no_rule_that_never_holds(source, remedy):
    assert remedy in refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "event.custom_data.margn > 1.0 && event.custom_data['my key'].deep.er == 'x'",
        "event.original_event_data.anything == 'x'",
        "page.query.utm == http.cookies.utm || http.headers['x-a'] == hit.cokies",
        "'event.custm_data' == hit.x && r'consent.grnted\\' == hit.x && '\\'geo.x' == hit.x",
        "hit.event.custm_data == 'x' || event.custom_data.geo.city == 'x'",
        "event.custom_data.contents.exists(geo, geo.city == 'x')",
        "event.custom_data.value > 1.0 // event.custm_data",
        "event.event_name.size() > 5",
    ],
)
def test_fields_that_a_page_names_are_free_and_texts_are_no_code(source):
    assert expression(source).source == source


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("event.event_name > 5.0", "event.event_name is a text, what it is compared with a number"),
        ("5.0 < event.event_name", "event.event_name is a text"),
        ("hit.sw > 1000.0", "hit.sw is a text"),
        ("consent.granted && el.age >= 18.0", "el.age is a text"),
        ("page.query['a'] == 1", "page.query['a'] is a text"),
        ("event.custom_data.value == '5'", "event.custom_data.value is a number, what it is compared with a text"),
        ("event.custom_data.currency == event.event_time", "is a text, what it is compared with a number"),
        ("consent.granted == 'yes'", "consent.granted is true or false"),
        ("event.user_data.em == 'a'", "event.user_data.em is a list"),
    ],
)
def test_what_is_never_alike_is_not_compared(source, remedy):
    assert "compare what is alike" in refused(source)
    assert remedy in refused(source)


@pytest.mark.parametrize(
    "source",
    [
        "double(hit.sw) > 1000.0",
        "event.event_name.size() > 5 && 5 < event.event_name.size()",
        "event.event_time > 5.0 == true",
        "event.custom_data.contents[0].id == 'a'",
        "event.custom_data.anything == '5' || event.custom_data.anything == 5.0",
        "event.user_data.lead_id == '5' || event.user_data.lead_id == 5.0",
        "hit.x == '5' ? 1.0 > 0.0 : 'a' in hit == true",
    ],
)
def test_what_may_be_alike_is_compared(source):
    assert expression(source).source == source


@pytest.mark.parametrize("written", [None, "", " ", 1, True, ["true"], {"cel": "true"}])
def test_an_expression_is_a_text(written):
    adapter = TypeAdapter(Annotated[Expression, *expression_type(AT_ADMISSION)])
    with pytest.raises(ValidationError, match="write an expression in quotes"):
        adapter.validate_python(written)


@pytest.mark.parametrize(
    "written",
    ["1.0", "'a'", "null", "event.custom_data.value", " event.event_name", "el.plan", "event.custom_data", "page"],
)
def test_a_condition_is_true_or_false(written):
    condition = TypeAdapter(Annotated[Expression, *expression_type(AT_ADMISSION, condition=True)])
    with pytest.raises(ValidationError, match="write a condition"):
        condition.validate_python(written)
    assert condition.validate_python("hit.x == '1'").holds(scope())
    assert condition.validate_python("consent.granted").holds(scope(consent={"granted": True}))
    assert condition.validate_python("event.custom_data.gift").holds(scope(event={"custom_data": {"gift": True}}))


@pytest.mark.parametrize(
    ("when", "column", "remedy"),
    [
        ('"evnt.x == 1.0"', 44, "there is no 'evnt' here"),
        ("\"hit.x.matchs('a')\"", 44, "did you mean matches?"),
        ("\"hit.x.matches('(')\"", 44, "regular expression"),
        ('"1.0 >"', 44, "at character"),
        ("1.5", 44, "in quotes"),
    ],
)
def test_a_mistake_is_pointed_at_in_the_file(when, column, remedy):
    text = f"{SHOP}rules:\n  - {{ name: a, then: {{ drop: twin }}, when: {when} }}\n"
    [problem] = problems(text)
    assert (problem.line, problem.column, problem.key) == (3, column, "rules[0].when")
    assert remedy in problem.remedy


def test_a_mistake_in_a_value_is_pointed_at_too():
    text = f"{SHOP}rules:\n  - name: a\n    then: {{ server_event: {{ event_id: {{ cel: 'evnt.x' }} }} }}\n"
    [problem] = problems(text)
    assert (problem.line, problem.key) == (4, "rules[0].then.server_event.event_id")
    assert "there is no 'evnt' here" in problem.remedy


# What they ask for.


@pytest.mark.parametrize(
    ("source", "variables", "elements"),
    [
        ("hit.x == '1'", {"hit"}, set()),
        ("event.custom_data.contents.exists(c, c.id == hit.x)", {"event", "hit"}, set()),
        (
            'el.plan == "a" && el["customer-id"] == "b" && el[ \'x\' ] == "" && has(el.y)',
            {"el"},
            {"plan", "customer-id", "x", "y"},
        ),
        ("math.abs(1.0) > 0.0", set(), set()),
        ("hit.el.x == '1' || 'tunnel.x' == ''", {"hit"}, {"x"}),
    ],
)
def test_an_expression_knows_what_it_asks_for(source, variables, elements):
    assert expression(source).variables == variables
    assert expression(source).elements == elements


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("event.custom_data.value > 1.0 && event.event_name == 'X'", {"event.custom_data.value", "event.event_name"}),
        ("event.event_id.startsWith('X') && event.custom_data.size () > 0", {"event.event_id", "event.custom_data"}),
        ("event.custom_data.contents[0].id == 'a'", {"event.custom_data.contents"}),
        ("""event["custom_data"]['my-key'] == hit["cd[value]"]""", {"event.custom_data.my-key", "hit.cd[value]"}),
        ("has(event.custom_data.value) && page . query . a == 'b'", {"event.custom_data.value", "page.query.a"}),
        ("event.custom_data.contents.exists(c, c.id == hit.x)", {"event.custom_data.contents", "hit.x"}),
        ("event.custom_data.size // of them\n () > 0", {"event", "event.custom_data.size"}),
        ("'value' in event.custom_data && 'x' in hit", {"event.custom_data", "hit"}),
        ("event[hit.x] == '1'", {"event", "hit.x"}),
        ("""\"event[\" + event.event_id + \"]\" == ''""", {"event", "event.event_id"}),
    ],
)
def test_an_expression_knows_which_parts_of_them(source, paths):
    assert {".".join(path) for path in expression(source).paths} == paths


VALUES = st.integers(-9, 9) | st.floats(allow_nan=False) | st.sampled_from(["", "a", "X", True])
OBJECTS = st.dictionaries(st.sampled_from(["value", "a", "id", "size"]), VALUES | st.lists(VALUES, max_size=2))
EVENTS = st.fixed_dictionaries({"custom_data": OBJECTS}, optional={"event_name": VALUES, "a": OBJECTS})
ASKING = (
    *("event.custom_data.value", "event.custom_data.size()", "event.custom_data.size", "event.event_name + 'a'"),
    *("event.a.value", "event['a']['id']", "event == {}", "has(event.a)", "has(event.a.id)", "event.custom_data"),
    *("event.event_name.size", "event.a.value[0]", "'a' in event", "event.custom_data.all(key, key > 'a')"),
    *("[event].map(it, it.custom_data)", "event.custom_data.exists(key, key == event.event_name)"),
)


@given(st.sampled_from(ASKING), st.sampled_from(ASKING), EVENTS)
def test_a_part_of_an_event_gives_what_the_whole_event_does(first, second, event):
    asked = by_name(of_anything(first).paths | of_anything(second).paths)
    part, whole = (Scope(lambda name: event, paths) for paths in (asked, {"event": ALL}))
    for source in (first, second):
        assert outcome(source, part) == outcome(source, whole)


def outcome(source: str, seen: Scope) -> Any:
    try:
        return of_anything(source).evaluate(seen)
    except FaultError as fault:
        return type(fault)


# Hostile data.

TEXTS = st.text() | st.sampled_from(["\ud800", "\0", "9" * 400, "nan", "inf", "(", "-1", "2026-11-25T12:00:00Z", "1h"])
NUMBERS = st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from([2**63 - 1, -(2**63), 10**30])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)
SOURCES = (
    "hit.x > 1.0",
    "hit.x == hit.y",
    "hit.x + hit.y",
    "hit.x - hit.y",
    "hit.x * hit.y",
    "hit.x / hit.y",
    "hit.x % hit.y",
    "-hit.x",
    "!hit.x",
    "hit.x < hit.y",
    "hit.x in hit.y",
    "hit.x[hit.y]",
    "hit.x.a.b",
    "int(hit.x) / int(hit.y)",
    "int(hit.x) % int(hit.y)",
    "uint(hit.x) - uint(hit.y)",
    "double(hit.x)",
    "string(hit.x)",
    "bytes(hit.x)",
    "timestamp(hit.x) - duration(hit.y)",
    "timestamp(hit.x).getFullYear()",
    "duration(hit.x) + duration(hit.y)",
    "size(hit.x)",
    "string(hit.x).matches(string(hit.y))",
    "string(hit.x).split(',')",
    "string(hit.x).replace('a', 'b')",
    "hit.x.map(a, a + 1.0)",
    "hit.x.exists(a, a == hit.y)",
    "hit.x.sum()",
    "math.abs(int(hit.x))",
    "type(hit.x)",
)


def known(source: str) -> Expression | None:
    try:
        return of_anything(source)
    except ValueError:  # not every version of the library has every function
        return None


EXPRESSIONS = tuple(filter(None, map(known, SOURCES)))


def test_hostile_data_meets_nearly_all_functions():
    assert len(EXPRESSIONS) > len(SOURCES) - 3


@given(st.fixed_dictionaries({"x": JSON, "y": JSON}))
def test_no_data_makes_one_raise_anything_but_a_fault(hit):
    seen = scope(hit=hit)
    for one in EXPRESSIONS:
        for ask in (one.evaluate, one.holds):
            with suppress(FaultError):
                ask(seen)


@pytest.mark.parametrize("depth", [10, 100, 1000])
def test_deep_json_is_a_value_or_a_fault(depth):
    node: Any = 1.0
    for _ in range(depth):
        node = {"a": [node]}
    with suppress(FaultError):
        expression("hit.x.a[0].a[0].a.size() > 0").holds(scope(hit={"x": node}))


def test_a_pattern_of_the_hit_s_takes_no_time_to_speak_of():
    matches = expression("string(hit.x).matches(hit.y)")
    began = time.perf_counter()
    for pattern in ("(a*)*b", "(a|a)*c", "a{1000}{1000}", "(x+x+)+y"):
        with suppress(FaultError):
            matches.holds(scope(hit={"x": "a" * 20_000, "y": pattern}))
    assert time.perf_counter() - began < 1
