"""`pixeltwin diff OLD NEW HITS`: what a new config would change over recorded hits. Nothing is sent or looked up."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.text import Text

from pixeltwin.cli.differences import relayed
from pixeltwin.cli.explain import requests_of
from pixeltwin.config import Config, load_config
from pixeltwin.gateway.dry_run import DryRun, dry_run
from pixeltwin.gateway.policy import policy_of
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.rules.rows import to_rows

SHOWN: Final = 20  # hits; the counts are of all


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is not what it was: `path` as in `twin.custom_data.value`; None where it is not there."""

    path: str
    old: Any
    new: Any


def diff_configs(old: Path, new: Path, hits: str, *, as_json: bool, now: float) -> int:
    """Tell the differences; 1 when there are some, 0 when the two configs treat every hit alike."""
    before, after = (load_config(path) for path in (old, new))
    policies = policy_of(before), policy_of(after)
    console, counts, total, changed = Console(highlight=False, soft_wrap=True), Counter[str](), 0, 0
    for request in requests_of(hits, now):
        total += 1
        was, ran = (dry_run(request, policy) for policy in policies)
        if not (changes := list(changes_between(_outcome(was, before), _outcome(ran, after)))):
            continue
        changed += 1
        counts.update(change.path for change in changes)
        if as_json or changed <= SHOWN:
            _tell(total, ran, changes, console, as_json=as_json)
    if not total:
        raise ValueError(f"{hits} holds no hits")
    if not as_json:
        _summary(total, changed, counts, console)
    return 1 if changed else 0


def changes_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """What became of one hit, compared: its skip, its relayed copy, its twins."""
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) != after.get(path):
            yield Change(path, before.get(path), after.get(path))


def _outcome(ran: DryRun, config: Config) -> dict[str, Any]:
    """Everything that could differ, by path."""
    found: dict[str, Any] = {"skip": ran.skip, "held": ran.is_held or None}
    found |= {f"relay.{name}": value for name, value in _relayed(ran, config).items()}
    own = ran.admission.hit.pixel_id if ran.admission.hit else ""
    for draft, sealed in ran.twins:
        place = "twin" if draft.pixel_id == own else f"twin[{draft.pixel_id}]"
        found |= {f"{place}.{path}": value for path, value in to_rows(sealed.event.as_json())}
        found[f"{place}.test_event_code"] = sealed.test_event_code or None
    return found


def _relayed(ran: DryRun, config: Config) -> Mapping[str, Any]:
    if (relay := relayed(ran, config)) is None:
        return {"withheld": True}
    hit = parse_hit(relay, Limits())
    return dict(hit.last) if isinstance(hit, PixelHit) else {}


def _tell(number: int, ran: DryRun, changes: list[Change], console: Console, *, as_json: bool) -> None:
    hit = ran.admission.hit
    name = hit.event_name if hit else "no hit"
    if as_json:
        listed = [{"path": change.path, "old": change.old, "new": change.new} for change in changes]
        print(orjson.dumps({"hit": number, "event_name": name, "changes": listed}).decode())  # noqa: T201  was asked for
        return
    console.print(Text(f"{name}, hit {number}", "bold"))
    for change in changes:
        console.print(Text(f"  {change.path}: {_shown(change.old)} → {_shown(change.new)}"))


def _summary(total: int, changed: int, counts: Counter[str], console: Console) -> None:
    if changed > SHOWN:
        console.print(f"… and {changed - SHOWN} more hits")
    for path, count in counts.most_common():
        console.print(Text(f"{count:>6}  {path}"))
    console.print(f"{changed} of {total} hits would be treated differently", style="yellow" if changed else "green")


def _shown(value: Any) -> str:
    return "–" if value is None else str(value)
