"""`pixeltwin explain`: what would happen to a hit, step by step. Nothing is sent, nothing looked up, nothing kept."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from pixeltwin.capi.validate import Refusal
from pixeltwin.cli.hit_lines import read_lines, request_of_url
from pixeltwin.config import load_config
from pixeltwin.gateway.policy import policy_of
from pixeltwin.mirror import Admission, PixelPolicy, Policy, Sealed, admit, admit_openbridge, seal
from pixeltwin.pixel.hit import parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Skip

HITS_FILES: Final = (".txt", ".hits")
BRIDGE: Final = "/events"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A request, what was decided, and the event that Meta would get, or why it gets none."""

    request: HitRequest
    admission: Admission
    end: Sealed | Refusal | None

    @property
    def skip(self) -> str | None:
        return str(self.end) if isinstance(self.end, Refusal) else self.admission.skip

    def as_json(self) -> dict[str, Any]:
        hit = self.admission.hit
        return {
            "hit": {
                "pixel_id": hit.pixel_id if hit else None,
                "event_name": hit.event_name if hit else None,
                "parameters": hit.shown() if hit else [],
            },
            "skip": self.skip,
            "twin": self.end.event.as_json() if isinstance(self.end, Sealed) else None,
            "notes": self.end.notes if isinstance(self.end, Sealed) else [],
        }


def explain_input(source: str, *, config: Path | None, as_json: bool, now: float) -> int:
    """Explain every hit of the input; 1 when there was none. Raises ValueError for what cannot be read."""
    policy = policy_of(load_config(config)) if config else None
    console, count = Console(highlight=False), 0
    for explanation in (explained(request, policy) for request in _requests(source, now)):
        count += 1
        if as_json:
            sys.stdout.buffer.write(orjson.dumps(explanation.as_json(), option=orjson.OPT_APPEND_NEWLINE))
        else:
            _print(explanation, console)
    return 0 if count else 1


def explained(request: HitRequest, policy: Policy | None) -> Explanation:
    """What a gateway with that policy would do; without one, a gateway for whatever pixel the hit names."""
    door = admit_openbridge if request.path.startswith(BRIDGE) else admit
    policy = policy or _policy_for(request)
    admission = door(request, policy, record_id="", random_below=lambda below: 1)  # the same answer every time
    end = seal(admission.draft, [], request.received_at) if admission.draft else None
    return Explanation(request, admission, end)


def _policy_for(request: HitRequest) -> Policy:
    policy = Policy(pixels={})
    if request.path.startswith(BRIDGE):
        probe = admit_openbridge(request, policy, record_id="", random_below=lambda below: 0).hit
    else:
        found = parse_hit(request, policy.limits)
        probe = None if isinstance(found, Skip) else found
    return replace(policy, pixels={probe.pixel_id: PixelPolicy()}) if probe else policy


def _requests(source: str, now: float) -> Iterator[HitRequest]:
    if source == "-":
        return read_lines(sys.stdin, now)
    if source.startswith(("http://", "https://")):
        return iter([request_of_url(source, now)])
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"{source!r} is no URL and no file; a URL, a HAR, a flow file, a hits file or - would work")
    if path.suffix in HITS_FILES:
        return read_lines(path.read_text(encoding="utf-8").split("\n"), now)
    return _hits_of(path)


def _hits_of(path: Path) -> Iterator[HitRequest]:
    """The requests of a recording that look like the pixel's; a HAR holds a whole page."""
    from pixeltwin.proxy.recordings import recorded_requests  # mitmproxy takes a second to import

    return (r for r in recorded_requests(path) if r.path.rstrip("/").endswith("/tr") or r.path.startswith(BRIDGE))


def _print(explanation: Explanation, console: Console) -> None:
    admission = explanation.admission
    hit = admission.hit
    console.print(f"{hit.event_name} of pixel {hit.pixel_id}" if hit else "no hit", style="bold", markup=False)
    for line in _steps(explanation):
        console.print(f"  {line}", markup=False)


def _steps(explanation: Explanation) -> Iterable[str]:
    draft, end = explanation.admission.draft, explanation.end
    if draft is None:
        return [f"no twin: {explanation.skip}"]
    minted = "minted, and written into the browser's copy" if draft.event.event_id.startswith("pt-") else "the page's"
    twin = orjson.dumps(end.event.as_json(), option=orjson.OPT_INDENT_2).decode() if isinstance(end, Sealed) else ""
    return [
        f"event_id {draft.event.event_id}: {minted}",
        *(f"note: {note}" for note in (end.notes if isinstance(end, Sealed) else draft.notes)),
        *([f"no twin: {end}"] if isinstance(end, Refusal) else ["twin:", *(f"  {line}" for line in twin.split("\n"))]),
    ]
