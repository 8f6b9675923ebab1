"""Where in a rule something is asked for: the very field that names a data element or a fact."""

from collections.abc import Iterator, Mapping
from typing import Any

from pixeltwin.config.document import Loc
from pixeltwin.expressions import Expression
from pixeltwin.rules.matcher import Match
from pixeltwin.rules.rule import Rule
from pixeltwin.rules.sections import Section
from pixeltwin.rules.values import Tree, Value
from pixeltwin.units import KEY


def asking_fields(rule: Rule) -> Iterator[tuple[Loc, Value | Expression]]:
    """Every field of the rule that is read from an event, by its path in the rule."""
    if rule.when:
        yield ("when",), rule.when
    yield from _within(rule.then, ("then",))


def wished_elements(match: Match, loc: Loc = ("match",)) -> Iterator[tuple[Loc, str]]:
    """The data elements that it compares, in its `not` as well; their names are keys."""
    if wished := getattr(match, "element", None):
        yield from (((*loc, "element", name, KEY), name) for name in wished.want)
    if negated := getattr(match, "not", None):
        yield from wished_elements(negated.want, (*loc, "not"))


def _within(given: Any, loc: Loc) -> Iterator[tuple[Loc, Value | Expression]]:
    if isinstance(given, Section):
        for name, option in type(given).model_fields.items():
            yield from _within(getattr(given, name), (*loc, option.alias or name))
    elif isinstance(given, tuple):
        for index, item in enumerate(given):
            yield from _within(item, (*loc, index))
    elif isinstance(given, Mapping):
        for key, item in given.items():
            yield from _within(item, (*loc, key))
    elif isinstance(given, Tree):
        yield from _within(given.node, loc)
    elif hasattr(given, "elements"):
        yield loc, given
