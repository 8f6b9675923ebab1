"""What rules cost: `admit` on one Purchase, without rules, and with one or a hundred of each sort.

    python tests/benchmarks/bench_rules.py

CPU time of one process, medians of rounds taken in turn. Rules that do not hold are what most rules are for most hits:
those of a hundred pixels, pages and campaigns. `when` alone has no `match` before it, so that every expression is run.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from pydantic import TypeAdapter
from tests.factories import PIXEL, UA, hit_query, request

from pixeltwin.mirror import PixelPolicy, Policy, admit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.rules.rule import Rule
from pixeltwin.rules.ruleset import RuleSet

ROUNDS: Final = 15
HITS: Final = 300  # in a round
MANY: Final = 100
RULES: Final[TypeAdapter[tuple[Rule, ...]]] = TypeAdapter(tuple[Rule, ...])

PURCHASE: Final = request(
    hit_query(
        "Purchase",
        cd_value="129.90",
        cd_currency="EUR",
        cd_contents='[{"id":"A-1","quantity":2,"item_price":49.95},{"id":"B-7","quantity":1,"item_price":30}]',
        cd_content_type="product",
        cd_order_id="10492",
        fbp="fb.1.1795461790000.1098115397",
        eid="order-10492",
    ),
    headers={"user-agent": UA, "referer": "https://www.shop.example/", "accept-language": "de"},
)
SET: Final = {"custom_data": {"json": {"channel": "web"}}}


def holding(number: int, **conditions: Any) -> dict[str, Any]:
    return {"name": f"r{number}", "then": SET, **conditions}


SORTS: Final[dict[str, Callable[[int], dict[str, Any]]]] = {
    "match event": lambda n: holding(n, match={"event": "Purchase" if n == 0 else f"Step{n}"}),
    "match path": lambda n: holding(n, match={"path": "/p/*" if n == 0 else f"/landing/{n}/*"}),
    "match event and when": lambda n: holding(
        n, match={"event": "Purchase" if n == 0 else f"Step{n}"}, when=f"event.custom_data.value > {n}.0"
    ),
    "when": lambda n: holding(n, when=f"event.custom_data.value > {0 if n == 0 else 1000 + n}.0"),
}


def policy(written: list[dict[str, Any]]) -> Policy:
    return Policy(pixels={PIXEL: PixelPolicy(name="shop")}, rules=RuleSet(RULES.validate_python(written)))


def microseconds(decided_by: Policy, hit: HitRequest = PURCHASE) -> float:
    """CPU time of one `admit`."""
    began = time.process_time()
    for _ in range(HITS):
        admission = admit(hit, decided_by, record_id="r", random_below=lambda below: 7)
    took = time.process_time() - began
    assert admission.draft
    return took / HITS * 1e6


def main() -> None:
    subjects = {"no rule": policy([])}
    for sort, rule in SORTS.items():
        for count in (1, MANY):
            subjects[f"{count:>3} with {sort}"] = policy([rule(number) for number in range(count)])
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for decided_by in subjects.values():
        microseconds(decided_by)  # compiles what is compiled once
    for _ in range(ROUNDS):
        for name, decided_by in subjects.items():
            found[name].append(microseconds(decided_by))
    medians = {name: statistics.median(took) for name, took in found.items()}
    print(f"µs of CPU for one admit of a Purchase, medians of {ROUNDS} rounds of {HITS} hits; of 100 rules one holds")
    print(f"{'':32}{'µs':>8}{'rules alone':>13}{'of one rule':>13}")
    for name, median in medians.items():
        one = medians.get(f"  1{name[3:]}", median)
        print(f"{name:32}{median:8.0f}{median - medians['no rule']:13.0f}{median / one:13.2f}")


if __name__ == "__main__":
    main()
