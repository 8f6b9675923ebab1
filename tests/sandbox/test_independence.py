"""The sandbox shares no reading of the wire with pixeltwin: a mistake made twice the same way would hide."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixeltwin.sandbox

MODULES = sorted(Path(pixeltwin.sandbox.__file__).parent.glob("*.py"))
ALLOWED = ("pixeltwin.sandbox", "pixeltwin.serving", "pixeltwin.telemetry", "pixeltwin.errors")


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or '.'}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_the_stand_in_for_meta_imports_nothing_of_what_it_judges(module: Path) -> None:
    ours = [name for name in imports(module) if name.partition(".")[0] == "pixeltwin"]
    assert all(name.startswith(ALLOWED) for name in ours)
