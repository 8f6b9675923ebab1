"""`pixeltwin test`: runs a config's cases. They lie beside it, as `shop.cases.yaml` beside `shop.yaml`:

env: { SHOP_TOKEN: any }                      # variables that the config needs
cases:
  - name: a purchase gets the customer's hashes
    hit: { ev: Purchase, cd: { value: 129.9, currency: EUR } }
    with: { elements: { customer_id: "1001" }, sources: { customers: { email: alex@shop.example } } }
    expect: { twin: { user_data: { em: ["sha256:alex@shop.example"] } } }
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text

from pixeltwin.cli.case import Case, run_case
from pixeltwin.cli.case_file import Cases, read_cases
from pixeltwin.cli.differences import Difference, differences
from pixeltwin.config import Config, load_config
from pixeltwin.gateway.policy import policy_of

SUFFIX: Final = ".cases.yaml"


def run_cases(config: Path, files: Sequence[Path], *, as_json: bool) -> int:
    """Run the cases of these files, or of the one beside the config; 1 when one of them fails."""
    console, failed, count = Console(highlight=False, soft_wrap=True), 0, 0
    for file in files or [_beside(config)]:
        cases = read_cases(file)
        loaded = load_config(config, {**os.environ, **cases.env})
        for case, found in _run(cases, loaded, file):
            count += 1
            failed += bool(found)
            _tell(case, found, console, as_json=as_json)
    if not as_json:
        console.print(f"{count} case(s), {failed} failed", style="red" if failed else "green")
    return 1 if failed else 0


def _beside(config: Path) -> Path:
    found = config.with_name(f"{config.stem}{SUFFIX}")
    if not found.is_file():
        raise ValueError(f"there is no {found.name} beside {config}; write one, or name the files of cases")
    return found


def _run(cases: Cases, config: Config, file: Path) -> Iterator[tuple[Case, list[Difference]]]:
    policy = policy_of(config)
    for case in cases.cases:
        try:
            yield case, [*differences(case.expect, run_case(case, config, policy), config)]
        except ValueError as error:
            raise ValueError(f"{file}: {case.name}: {error}") from error


def _tell(case: Case, found: Sequence[Difference], console: Console, *, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = {"name": case.name, "passed": not found}
        told["differences"] = [{"path": it.path, "expected": it.expected, "found": it.found} for it in found]
        print(orjson.dumps(told).decode())  # noqa: T201  what was asked for
        return
    console.print(Text(f"✗ {case.name}", "red") if found else Text(f"✓ {case.name}", "green"))
    for it in found:
        console.print(Text(f"    {it.path}: expected {_shown(it.expected)}, found {_shown(it.found)}"))


def _shown(value: Any) -> str:
    """As it would stand in the file of cases."""
    return orjson.dumps(value).decode()
