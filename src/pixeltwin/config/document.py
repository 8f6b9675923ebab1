"""YAML text as plain data that remembers where everything stood.

The YAML is composed, not constructed: no YAML type runs code, and each scalar is known as it was written. Size,
depth and number of values are bounded, so that aliases cannot blow a small file up.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from pixeltwin.config.interpolation import UnresolvedError, interpolate, is_interpolated

MAX_DEPTH: Final = 24  # options nest six deep
MAX_KEY: Final = 200  # characters; the longest name that is taken has 64
MAX_VALUES: Final = 100_000  # ten thousand pixels with every option

type Loc = tuple[str | int, ...]
type Spot = tuple[int, int]  # line and column, from 1

_TAG: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem before it is dressed for the reader: `loc` is the path of the option."""

    loc: Loc
    spot: Spot
    found: str
    remedy: str


@dataclass(slots=True)
class Document:
    """What the file says. `raw` has the scalars as written, `filled` those that came out of a `${…}`."""

    data: Any = None
    keys: dict[Loc, Spot] = field(default_factory=dict)
    values: dict[Loc, Spot] = field(default_factory=dict)
    raw: dict[Loc, str] = field(default_factory=dict)
    filled: dict[Loc, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def key_spot(self, loc: Loc) -> Spot:
        """Where the key stands, or the nearest thing around it."""
        return self.keys.get(loc) or self.value_spot(loc)

    def value_spot(self, loc: Loc) -> Spot:
        """Where the value stands, or the nearest thing around it."""
        while loc and loc not in self.values:
            loc = loc[:-1]
        return self.values.get(loc, (1, 1))

    def at(self, loc: Loc) -> Any:
        """The value there; None where there is none."""
        node = self.data
        for step in loc:
            node = _child(node, step)
        return None if node is _MISSING else node

    def resolve(self, loc: Loc) -> Loc:
        """The part of pydantic's path that is in the file: pydantic also names kinds, and keys that are missing."""
        node = self.data
        path: Loc = ()
        for index, step in enumerate(loc):
            child = _child(node, step)
            if child is not _MISSING and (index == len(loc) - 1 or isinstance(child, dict | list)):
                node, path = child, (*path, step)
        return path


class UnreadableError(Exception):
    """Nothing can be said about the options: the text is no YAML, or too much of it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.found)
        self.fault = fault


class Reader:
    """Builds a document from composed YAML."""

    def __init__(self, env: Mapping[str, str], base: Path) -> None:
        self.document = Document()
        self._env, self._base = env, base
        self._left = MAX_VALUES

    def read(self, root: Node | None) -> Document:
        """The document; what cannot be read is among its `faults`. Raises `UnreadableError`."""
        self.document.data = self._value(root, ()) if root else None
        return self.document

    def _value(self, node: Node, loc: Loc) -> Any:
        self.document.values[loc] = self._spot(node, loc)
        self._left -= 1
        if self._left < 0 or len(loc) > MAX_DEPTH:
            fault = Fault(
                loc, self._spot(node, loc), "too much in one file, or nested too deep", "use fewer YAML aliases"
            )
            raise UnreadableError(fault)
        if isinstance(node, ScalarNode):
            return self._scalar(node, loc)
        if isinstance(node, MappingNode):
            return {key: self._value(value, (*loc, key)) for key, value in self._entries(node, loc)}
        assert isinstance(node, SequenceNode)  # noqa: S101 - YAML has three sorts of nodes
        return [self._value(item, (*loc, index)) for index, item in enumerate(node.value)]

    def _entries(self, node: MappingNode, loc: Loc) -> Iterator[tuple[str, Node]]:
        for key, value in node.value:
            spot = _spot(key)
            if not isinstance(key, ScalarNode) or key.tag == f"{_TAG}merge" or len(key.value) > MAX_KEY:
                self._fault(loc, "a key that is not plain text", "write `name: value`", spot)
            elif (path := (*loc, key.value)) in self.document.keys:
                first = self.document.keys[path][0]
                self._fault(path, f"the key {key.value!r} again, first on line {first}", "remove one of them", spot)
            else:
                self.document.keys[path] = spot
                yield key.value, value

    def _scalar(self, node: ScalarNode, loc: Loc) -> Any:
        self.document.raw[loc] = node.value
        kind = str(node.tag).removeprefix(_TAG)
        if kind == "str":
            return self._filled(node.value, loc)
        if node.tag == kind:
            self._fault(loc, "a YAML tag", "remove the `!`, or put the value in quotes")
            return None
        return SCALARS.get(kind, str)(node.value)

    def _filled(self, text: str, loc: Loc) -> str:
        try:
            value = interpolate(text, self._env, self._base)
        except UnresolvedError as unresolved:
            self._fault(loc, unresolved.found, unresolved.remedy)
            return text
        if is_interpolated(text):
            self.document.filled[loc] = value
        return value

    def _fault(self, loc: Loc, found: str, remedy: str, spot: Spot | None = None) -> None:
        spot = spot or self.document.values[loc]
        self.document.faults.append(Fault(loc, spot, found, remedy))

    def _spot(self, node: Node, loc: Loc) -> Spot:
        is_empty = isinstance(node, ScalarNode) and not node.value and not node.style
        return self.document.keys.get(loc, _spot(node)) if is_empty else _spot(node)


def _spot(node: Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _child(node: Any, step: str | int) -> Any:
    if isinstance(node, dict):
        return node.get(step, _MISSING)
    is_item = isinstance(node, list) and isinstance(step, int) and step < len(node)
    return node[step] if is_item else _MISSING


def _integer(text: str) -> int | str:
    """Plain decimal numbers; `0123` or `0x7b` stay text, for who wrote them may have meant the digits."""
    return int(text) if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,30})", text) else text


def _float(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_MISSING: Final = object()

SCALARS: Final[dict[str, Callable[[str], Any]]] = {
    "int": _integer,
    "float": _float,
    "bool": lambda text: text.lower() in {"true", "yes", "on"},
    "null": lambda text: None,
}
