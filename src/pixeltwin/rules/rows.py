"""Custom data as rows of path and value, the other notation for JSON: `contents[0].id` is `A-1`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

PATH: Final = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[(?:0|[1-9][0-9]{0,2})\])*")
STEP: Final = re.compile(r"\[([0-9]+)\]|([^.\[\]]+)")
LONGEST: Final = 200  # characters of a path

type Step = str | int
type Path = tuple[Step, ...]


class GapError(ValueError):
    """A list lacks items; `path` is the one behind the gap, or what no item is called."""

    def __init__(self, path: str, node: Mapping[Step, Any]) -> None:
        super().__init__(f"{path}: count its items from [0] without a gap")
        behind = next(key for key in sorted(node, key=str) if not (isinstance(key, int) and key - 1 in {*node, -1}))
        self.path = f"{path}[{behind}]" if isinstance(behind, int) else f"{path}.{behind}"


class RowError(ValueError):
    """A row cannot stand where it does; `row` is its position."""

    def __init__(self, remedy: str, row: int) -> None:
        super().__init__(remedy)
        self.row = row


def steps(path: str) -> Path:
    """The steps of a path: `("contents", 0, "id")`. Raises `ValueError`."""
    if len(path) > LONGEST or not PATH.fullmatch(path):
        raise ValueError("write a path such as order_id or contents[0].id")
    return tuple(int(index) if index else name for index, name in STEP.findall(path))


def from_rows(rows: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these rows. Raises `RowError` for paths that contradict each other or leave a gap in a list."""
    given, tree = [*rows], dict[Step, Any]()
    for number, (path, value) in enumerate(given):
        try:
            _put(tree, path, value)
        except ValueError as error:
            raise RowError(str(error), number) from None
    try:
        return {str(key): _closed(str(key), value) for key, value in tree.items()}
    except GapError as gap:
        row = next(number for number, (path, _) in enumerate(given) if path.startswith(gap.path))
        raise RowError(str(gap), row) from None


def _put(tree: dict[Step, Any], path: str, value: Any) -> None:
    *parents, last = steps(path)
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ValueError(f"{path} goes on below a row that has a value")
    if last in node:
        raise ValueError(f"{path} is there twice, or goes on in another row")
    node[last] = value


def to_rows(value: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The rows of an object. Empty objects and lists have no row, and keys that no path can name are left out."""
    return [row for key, item in value.items() if _is_key(key) for row in _rows(key, item)]


def _closed(path: str, node: Any) -> Any:
    """Objects whose keys are numbers become lists."""
    if not isinstance(node, dict):
        return node
    if not any(isinstance(key, int) for key in node):
        return {key: _closed(f"{path}.{key}", item) for key, item in node.items()}
    if sorted(map(str, node)) != sorted(map(str, range(len(node)))):
        raise GapError(path, node)
    return [_closed(f"{path}[{index}]", node[index]) for index in range(len(node))]


def _rows(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        children = [(f"{path}.{key}", item) for key, item in value.items() if _is_key(key)]
    elif isinstance(value, list | tuple):
        children = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        yield path, value
        return
    for child, item in children:
        yield from _rows(child, item)


def _is_key(key: str) -> bool:
    return key != "" and not any(character in ".[]" for character in key)
