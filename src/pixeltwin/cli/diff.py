"""`pixeltwin diff OLD NEW HITS`: what a new config would change over recorded hits. Nothing is sent.

Nobody is asked about customers and orders unless `--look-up` says so. Without it an order counts as found, and what
depends on customers is compared by what the configs say of it: late rules, and what is taken of a source's rows.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text
from ruamel.yaml import YAML

from pixeltwin.cli.asking import Asking
from pixeltwin.cli.differences import relayed
from pixeltwin.cli.explain import requests_of
from pixeltwin.cli.printing import plain
from pixeltwin.config import Config, load_config
from pixeltwin.gateway.dry_run import DryRun, dry_run
from pixeltwin.gateway.policy import policy_of
from pixeltwin.mirror import Policy
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.rules.rows import to_rows

SHOWN: Final = 20  # hits; the counts are of all
PARTS: Final = ("match", "when", "then")  # of a rule
TAKEN: Final = ("key", "map", "custom_data", "profile", "default_country")  # what a source is asked for, and whose
NOT_COMPARED: Final = "{} hits depend on customers: what those add was not compared; --look-up asks for it"
PRESUMED: Final = "{} hits depend on orders: each counts as found, with the browser's value{}"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not what it was: `path` as in `twin.custom_data.value`; None where it is not there."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Side:
    """One of the two configs. `asking` are its sources, None where nobody is to be asked."""

    config: Config
    policy: Policy
    asking: Asking | None = None

    def ran(self, request: HitRequest) -> DryRun:
        return dry_run(request, self.policy, self.asking.profiles(request) if self.asking else None)

    @cached_property
    def late(self) -> Mapping[str, Any]:
        """The late rules as they stand in the file, where a secret has a variable's name."""
        written = YAML(typ="safe", pure=True).load(self.config.text)["rules"] if self.policy.rules.late else []
        return {rule["name"]: rule for rule in written if rule["name"] in self.policy.rules.late}


@dataclass(slots=True)
class Tally:
    """How many hits there were, how many differ and where, and how many of them nobody could compare wholly."""

    total: int = 0
    changed: int = 0
    customers: int = 0
    orders: int = 0
    paths: Counter[str] = field(default_factory=Counter)


def diff_configs(old: Path, new: Path, hits: str, *, as_json: bool, look_up: bool, now: float) -> int:
    """Tell the differences; 1 when there are some, 0 when the two configs treat every hit alike."""
    console, tally = Console(highlight=False, soft_wrap=True), Tally()
    with ExitStack() as open_sides:
        sides = [_side(load_config(path), open_sides, look_up=look_up) for path in (old, new)]
        for request in requests_of(hits, now):
            tally.total += 1
            ran = [side.ran(request) for side in sides]
            changes = list(changes_between(*map(_outcome, ran, sides)))
            _count(tally, ran, changes)
            if changes and (as_json or tally.changed <= SHOWN):
                _tell(tally.total, ran[1], changes, console, as_json=as_json)
        if not tally.total:
            raise ValueError(f"{hits} holds no hits")
        notes = [*_notes(tally, look_up=look_up), *_silent(sides)]
    _summary(tally, notes, console, as_json=as_json)
    return 1 if tally.changed else 0


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What became of one hit, compared: its skip, its relayed copy, its twins."""
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield Change(path, before.get(path), after.get(path))


def _side(config: Config, open_sides: ExitStack, *, look_up: bool) -> Side:
    policy = policy_of(config)
    return Side(config, policy, open_sides.enter_context(Asking(config, policy)) if look_up else None)


def _outcome(ran: DryRun, side: Side) -> dict[str, Any]:
    """Everything that could differ, by path."""
    found: dict[str, Any] = {"skip": ran.skip, "held": ran.is_held or None}
    found |= {f"relay.{name}": value for name, value in _relayed(ran, side.config).items()}
    own = ran.admission.hit.pixel_id if ran.admission.hit else ""
    for draft, sealed in ran.twins:
        place = "twin" if draft.pixel_id == own else f"twin[{draft.pixel_id}]"
        found |= {f"{place}.{path}": value for path, value in to_rows(sealed.event)}
        found[f"{place}.test_event_code"] = sealed.test_event_code or None
        found[f"{place}.verified_by"] = draft.verifier or None
    return found | ({} if side.asking else dict(_unasked(ran, side)))


def _unasked(ran: DryRun, side: Side) -> Iterator[tuple[str, Any]]:
    """By path what decides about the hit once its customer is known."""
    for draft in ran.admission.drafts[:1]:  # all pixels' have the same rules
        yield "late", ", ".join(draft.late) or None
        for name in draft.late:
            yield from ((f"late.{name}.{part}", side.late[name].get(part)) for part in PARTS)
        yield from ((f"late.el.{name}", value) for name, value in draft.elements.items())
    yield "customer", ", ".join(ran.customers) or None
    for name in (*ran.customers, *ran.presumed):
        yield from ((f"source.{name}.{part}", getattr(side.config.sources[name], part) or None) for part in TAKEN)


def _relayed(ran: DryRun, config: Config) -> Mapping[str, Any]:
    if (relay := relayed(ran, config)) is None:
        return {"withheld": True}
    hit = parse_hit(relay, Limits())
    return dict(hit.last) if isinstance(hit, PixelHit) else {}


def _count(tally: Tally, ran: Iterable[DryRun], changes: list[Change]) -> None:
    tally.changed += bool(changes)
    tally.paths.update(change.path for change in changes)
    tally.customers += any(one.customers and one.profiles is None for one in ran)
    tally.orders += any(one.presumed for one in ran)


def _notes(tally: Tally, *, look_up: bool) -> Iterator[str]:
    if tally.customers:
        yield NOT_COMPARED.format(tally.customers)
    if tally.orders:
        yield PRESUMED.format(tally.orders, "" if look_up else "; --look-up asks for them")


def _silent(sides: Iterable[Side]) -> Iterator[str]:
    """The sources that were asked in vain."""
    for which, side in zip(("old", "new"), sides, strict=True):
        for name, why in (side.asking.silent if side.asking else {}).items():
            yield f"{which} config, source {name}: no answer ({plain(why)})"


def _tell(number: int, ran: DryRun, changes: list[Change], console: Console, *, as_json: bool) -> None:
    hit = ran.admission.hit
    name = hit.event_name if hit else "no hit"
    if as_json:
        listed = [{"path": change.path, "old": change.old, "new": change.new} for change in changes]
        _print_json({"hit": number, "event_name": name, "changes": listed})
        return
    console.print(Text(f"{name}, hit {number}", "bold"))
    for change in changes:
        console.print(Text(f"  {change.path}: {_shown(change.old)} → {_shown(change.new)}"))


def _summary(tally: Tally, notes: list[str], console: Console, *, as_json: bool) -> None:
    if as_json:
        for note in notes:
            _print_json({"note": note})
        return
    if tally.changed > SHOWN:
        console.print(f"… and {tally.changed - SHOWN} more hits")
    for path, count in tally.paths.most_common():
        console.print(Text(f"{count:>6}  {path}"))
    for note in notes:
        console.print(note, markup=False)
    style = "yellow" if tally.changed else "green"
    console.print(f"{tally.changed} of {tally.total} hits would be treated differently", style=style)


def _print_json(line: Mapping[str, Any]) -> None:
    print(orjson.dumps(line, default=str).decode())  # noqa: T201  was asked for


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return orjson.dumps(dict(value), default=str).decode()
    return "–" if value is None else str(value)
