"""What stands in a field of a rule's action: a literal, a text with `{{ data element }}` in it, or `{ cel: … }`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel, Field, PlainSerializer, PlainValidator

from pixeltwin.expressions import AT_ADMISSION, PROFILE, Expression, MissingError, Path
from pixeltwin.kinds import FROZEN
from pixeltwin.rules.moment import Moment
from pixeltwin.units import text_type, wrong

ELEMENT: Final = re.compile(r"\{\{\s*([A-Za-z0-9][A-Za-z0-9_-]{0,63})\s*\}\}")
VARIABLES: Final = AT_ADMISSION | {PROFILE}
CEL: Final = "cel"
MAX_DEPTH: Final = 8


class Value(Protocol):
    """A value of an action's field."""

    @property
    def elements(self) -> frozenset[str]:
        """The data elements it asks for."""

    @property
    def paths(self) -> frozenset[Path]:
        """What its expressions ask for."""

    @property
    def facts(self) -> frozenset[str]:
        """What its expressions ask of the customer's profile."""

    def read(self, moment: Moment) -> Any:
        """The value for this event, None where there is none. Raises `FaultError` for an expression that fails."""


@dataclass(frozen=True, slots=True)
class Literal:
    """The same for every event."""

    value: Any
    elements: frozenset[str] = frozenset()
    paths: frozenset[Path] = frozenset()
    facts: frozenset[str] = frozenset()

    def read(self, moment: Moment) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Template:
    """A text with data elements in it; there is no value while one of them has none."""

    text: str
    paths: frozenset[Path] = frozenset()
    facts: frozenset[str] = frozenset()

    @property
    def elements(self) -> frozenset[str]:
        return frozenset(ELEMENT.findall(self.text))

    def read(self, moment: Moment) -> Any:
        values = {name: moment.element(name) for name in self.elements}
        if None in values.values():
            return None
        return ELEMENT.sub(lambda found: values[found[1]] or "", self.text)


@dataclass(frozen=True, slots=True)
class Computed:
    """What an expression gives."""

    expression: Expression

    @property
    def elements(self) -> frozenset[str]:
        return self.expression.elements

    @property
    def paths(self) -> frozenset[Path]:
        return self.expression.paths

    @property
    def facts(self) -> frozenset[str]:
        return self.expression.facts

    def read(self, moment: Moment) -> Any:
        try:
            return self.expression.evaluate(moment.scope)
        except MissingError:
            return None


@dataclass(frozen=True, slots=True)
class Tree:
    """A JSON object or list whose leaves are values; a leaf without a value is left out."""

    node: Mapping[str, Value] | tuple[Value, ...]

    @property
    def elements(self) -> frozenset[str]:
        return frozenset().union(*(leaf.elements for leaf in self._leaves()))

    @property
    def paths(self) -> frozenset[Path]:
        return frozenset().union(*(leaf.paths for leaf in self._leaves()))

    @property
    def facts(self) -> frozenset[str]:
        return frozenset().union(*(leaf.facts for leaf in self._leaves()))

    def read(self, moment: Moment) -> Any:
        if isinstance(self.node, Mapping):
            return {key: value for key, leaf in self.node.items() if (value := leaf.read(moment)) is not None}
        return [value for leaf in self.node if (value := leaf.read(moment)) is not None]

    def _leaves(self) -> Iterator[Value]:
        yield from self.node.values() if isinstance(self.node, Mapping) else self.node


def scalar(written: Any) -> Value:
    """A value that is neither object nor list. Raises a pydantic error."""
    if isinstance(written, Literal | Template | Computed | Tree):
        return written
    if isinstance(written, Mapping) and set(written) == {CEL}:
        return Computed(Expression(str(written[CEL]), VARIABLES))
    if isinstance(written, str) and "{{" in written:
        return _template(written)
    if written is None or isinstance(written, Mapping | list | tuple):
        raise wrong('write a value, "{{ element }}", or { cel: … }')
    return Literal(written)


def tree(written: Any, depth: int = MAX_DEPTH) -> Value:
    """A value of any JSON shape. Raises a pydantic error."""
    if not depth:
        raise wrong(f"nest lists and objects {MAX_DEPTH} deep at most")
    if isinstance(written, Mapping) and set(written) != {CEL}:
        return Tree({str(key): tree(item, depth - 1) for key, item in written.items()})
    if isinstance(written, list | tuple):
        return Tree(tuple(tree(item, depth - 1) for item in written))
    return Literal(None) if written is None else scalar(written)


def several(written: Any) -> tuple[Value, ...]:
    """One value or a list of them. Raises a pydantic error."""
    return tuple(map(scalar, written)) if isinstance(written, list | tuple) else (scalar(written),)


def _template(text: str) -> Value:
    if ELEMENT.sub("", text).count("{{") or not ELEMENT.search(text):
        raise wrong('write a data element\'s name between the braces: "{{ customer_id }}"')
    return Template(text)


def written(value: Any) -> Any:
    """The value as it stands in the file."""
    match value:
        case Literal(given):
            return given
        case Template(text):
            return text
        case Computed(expression):
            return {CEL: expression.source}
        case Tree(node):
            return {k: written(v) for k, v in node.items()} if isinstance(node, Mapping) else [*map(written, node)]
    return [*map(written, value)] if isinstance(value, tuple) else value


def _field(parse: Callable[[Any], Any], schema: Any) -> Any:
    return PlainValidator(parse, json_schema_input_type=schema), PlainSerializer(written)


class WrittenExpression(BaseModel):
    """A value that is computed: `cel` is an expression such as 'event.custom_data.value * 0.2'."""

    model_config = FROZEN

    cel: str


type Written = str | int | float | bool | WrittenExpression
ScalarValue = Annotated[Value, *_field(scalar, Written)]
SeveralValues = Annotated[tuple[Value, ...], *_field(several, Written | list[Written])]


def one_of(*known: str) -> Any:
    """For a value that is one of these: what it is written as, unless an event gives it."""
    word = Annotated[str, Field(json_schema_extra={"enum": [*known]})]
    return _field(scalar, word | text_type(r".*\{\{.*") | WrittenExpression)
