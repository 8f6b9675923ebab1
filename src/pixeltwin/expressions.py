"""Conditions and values in CEL, the expression language of Kubernetes and Envoy: no loops, no side effects.

Expressions are compiled when the config is read, and what is wrong with one is said then: its syntax, a name, a field
or a function that does not exist, a broken pattern. What only a hit can show, such as a missing property, is a
`FaultError`.

Numbers are doubles throughout, because CEL does not multiply an int by a double: `event.custom_data.value * 0.2`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from pydantic import PlainSerializer, PlainValidator

from pixeltwin.units import wrong
from pixeltwin.variables import BOOLEAN, SHAPES, STEP, Shapes, check_fields, shape_of

LONGEST: Final = 2000  # characters
# what the language brings; the rest comes from its library of extensions
NATIVE_WORDS: Final = """
bool bytes contains double duration dyn endsWith getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours
getMilliseconds getMinutes getMonth getSeconds int matches optional.none optional.of size startsWith string timestamp
type uint
"""
NATIVE: Final = frozenset(NATIVE_WORDS.split())
NAMESPACES: Final = frozenset({"base64", "lists", "math", "optional", "sets", "strings"})
BOUND: Final = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*([A-Za-z_]\w*)\s*,")
PATTERN: Final = re.compile(r"""matches\s*\(\s*(?:[^()'",]*,\s*)?(r?(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))\s*\)""")

# what may be asked for when a hit arrives, and when its twin is sealed
AT_ADMISSION: Final = frozenset({"consent", "el", "event", "geo", "hit", "http", "page", "pixel"})
AT_SEALING: Final = frozenset({"consent", "el", "event", "page", "pixel", "profile"})
PROFILE: Final = "profile"


type Path = tuple[str, ...]
"""What is asked for: a variable, and the names of up to two steps into it; without any, all of it."""


class FaultError(ValueError):
    """An expression has no value for this hit. Its text says why, and repeats nothing of the hit."""


class MissingError(FaultError):
    """It asks for a property, item, cookie or parameter that is not there: ordinary, so that nobody is told."""


class Expression:
    """A compiled expression. `variables` are the names it asks for, `paths` the parts of them.

    `elements` are those it asks `el` for, `facts` those it asks `profile` for.
    """

    __slots__ = ("_program", "elements", "facts", "functions", "paths", "source", "variables")

    def __init__(self, source: str, known: Collection[str], shapes: Shapes = SHAPES) -> None:
        """Raises a pydantic error for what can never work; `known` are the variables there are, `shapes` theirs."""
        self.source = source
        self._program = _compiled(source)
        names = self._program.references()
        named = frozenset(names["variables"])
        self.variables = named - frozenset(BOUND.findall(source)) - NAMESPACES
        self.functions = frozenset(_full(name, named) for name in names["functions"] if name[0].isalpha())
        self.paths = frozenset(path for name in self.variables for path in _paths(name, source))
        self.elements = _members("el", source)
        self.facts = _members(PROFILE, source)
        _check_names(self.variables, known, "write one of {known}: there is no {name} here")
        _check_names(self.functions, NATIVE | _extensions().keys(), "did you mean {close}? There is no function {name}")
        _check_patterns(source)
        if "el" in self.variables and not self.elements:
            raise wrong('name the data element: el.plan, or el["customer-id"]')
        if not self.variables:
            self._check_constant()
        check_fields(source, {name: shapes.get(name) for name in self.variables})

    def _check_constant(self) -> None:
        """What asks for nothing fails for every hit or for none."""
        try:
            self.evaluate(nothing())
        except FaultError as fault:
            raise wrong(f"write an expression that has a value; this one ends in {fault or 'nothing'}") from None

    def evaluate(self, scope: "Scope") -> Any:
        """The value, of plain Python types. Raises `FaultError`."""
        try:
            return self._program.execute(scope.context(self.functions))
        except LookupError:
            raise MissingError from None
        except Exception as error:  # the library raises whatever fits; its texts may hold a visitor's data
            raise FaultError(type(error).__name__) from None

    def holds(self, scope: "Scope") -> bool:
        """Whether a condition holds; about what is not there none does. Raises `FaultError` for any other failure."""
        try:
            value = self.evaluate(scope)
        except MissingError:
            return False
        if not isinstance(value, bool):
            raise FaultError("neither true nor false")
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"


class Scope:
    """What one hit's expressions see: of each variable, which `read` answers once at most, what is at its `paths`."""

    def __init__(self, read: Callable[[str], Any], paths: Mapping[str, Collection[Path]]) -> None:
        """`paths` are those into each variable that any of the expressions asks for (see `by_name`)."""
        self._read = read
        self._paths = paths
        self._unread = frozenset(paths)
        self._functions = NATIVE
        self._context = _library().Context()

    def context(self, functions: frozenset[str]) -> Any:
        """The library's context; what the variables are is read for the first expression.

        Nothing costs more than to hand a value to the library, so it gets no more than is asked for.
        """
        if not self._unread and functions <= self._functions:
            return self._context
        for name in self._unread:
            self._context.add_variable(name, parts(self._read(name), self._paths[name]))
        for name in functions - self._functions:
            self._context.add_function(name, _extensions()[name])
        self._unread, self._functions = frozenset(), self._functions | functions
        return self._context

    def changed(self, *names: str) -> None:
        """These variables have been set: the next expression that is evaluated reads them again."""
        self._unread |= self._paths.keys() & names


def nothing() -> Scope:
    """A scope without variables."""
    return Scope(lambda name: None, {})


def expression_type(known: Collection[str], *, condition: bool = False, shapes: Shapes = SHAPES) -> Any:
    """A type for pydantic: an expression over these variables; a `condition` is one that is true or false."""

    def read(written: Any) -> Expression:
        expression = written if isinstance(written, Expression) else _expression(written, known, shapes)
        if condition and not _may_be_condition(expression, shapes):
            raise wrong("write a condition, one that is true or false, such as 'event.custom_data.value > 100.0'")
        return expression

    return PlainValidator(read, json_schema_input_type=str), PlainSerializer(lambda it: it.source)


def plain(value: Any) -> Any:
    """A JSON value as expressions see it: numbers are doubles."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return float(value) if type(value) is int else value  # a bool is an int as well


def parts(value: Any, paths: Collection[Path]) -> Any:
    """What is at these paths of a JSON value, as expressions see it."""
    if () in paths or not isinstance(value, dict):
        return plain(value)
    return {name: parts(value[name], rest) for name, rest in by_name(paths).items() if name in value}


def by_name(paths: Iterable[Path]) -> Mapping[str, Collection[Path]]:
    """What follows in these paths on each name that they begin with."""
    found: dict[str, set[Path]] = {}
    for name, *rest in paths:
        found.setdefault(name, set()).add(tuple(rest))
    return found


def _may_be_condition(expression: Expression, shapes: Shapes) -> bool:
    """Whether it may be true or false, as far as that can be told without a hit."""
    if expression.variables:
        return shape_of(expression.source, shapes) in (None, BOOLEAN)
    return isinstance(expression.evaluate(nothing()), bool)


def _expression(written: Any, known: Collection[str], shapes: Shapes) -> Expression:
    if not isinstance(written, str) or not written.strip():
        raise wrong("write an expression in quotes, such as 'event.custom_data.value > 100.0'")
    return Expression(written, known, shapes)


def _compiled(source: str) -> Any:
    if len(source) > LONGEST:
        raise wrong(f"write {LONGEST} characters at most")
    try:
        return _library().compile(source)
    except ValueError as error:
        found = re.search(r"<input>:(\d+):(\d+): (.{1,120})", str(error))
        where = f"at character {found[2]}: {found[3]}" if found else "see https://cel.dev for the language"
        raise wrong(f"write an expression in CEL; {where}") from None


def _paths(variable: str, source: str) -> Iterator[Path]:
    """Where an expression looks into a variable. A comment may stand anywhere between, so that it is asked for all."""
    if "//" in source:
        yield (variable,)
    for found in re.finditer(rf"\b{variable}\b(?:{STEP}(?:{STEP})?)?", source):
        yield (variable, *filter(None, found.groups()))


def _members(variable: str, source: str) -> frozenset[str]:
    """What an expression asks a variable for: `plan` of `el.plan`, `customer-id` of `el["customer-id"]`."""
    asked = re.findall(rf"""\b{variable}(?:\s*\.\s*(\w+)|\s*\[\s*['"]([^'"]+)['"]\s*\])""", source)
    return frozenset(plain or quoted for plain, quoted in asked)


def _full(function: str, named: Collection[str]) -> str:
    """The function's name with its namespace, which the library takes for a variable: `math.abs`."""
    spaces = (f"{space}.{function}" for space in NAMESPACES & set(named))
    return next((name for name in spaces if name in _extensions()), function)


def _check_names(names: Collection[str], known: Collection[str], remedy: str) -> None:
    if strange := next((name for name in sorted(names) if name not in known), None):
        close = get_close_matches(strange, known, 1)
        if "{close}" in remedy and not close:
            raise wrong(f"use a function of CEL (https://cel.dev): there is no function {strange!r}")
        raise wrong(remedy.format(name=repr(strange), known=", ".join(sorted(known)), close="".join(close)))


def _check_patterns(source: str) -> None:
    for pattern in PATTERN.findall(source):
        try:
            _library().evaluate(f"''.matches({pattern})")
        except Exception:
            raise wrong("write a regular expression of RE2 in matches(…)") from None


@cache
def _library() -> Any:
    import cel  # takes a second: only for configs that have expressions

    return cel


@cache
def _extensions() -> dict[str, Callable[..., Any]]:
    from cel import Context, stdlib

    context = Context()
    stdlib.add_stdlib_to_context(context)
    return context.functions
