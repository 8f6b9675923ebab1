"""`pixeltwin explain`: what would happen to a hit, step by step. Nothing is sent and nothing kept."""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from pixeltwin.cli.asking import Asking
from pixeltwin.cli.differences import code_of_test_event, relayed
from pixeltwin.cli.hit_lines import read_lines, request_of_url
from pixeltwin.cli.outbox_work import explain_event
from pixeltwin.cli.printing import plain
from pixeltwin.config import Config, load_config
from pixeltwin.errors import UnreachableError
from pixeltwin.gateway.dry_run import BRIDGE, DryRun, any_pixel, dry_run, is_silent
from pixeltwin.gateway.look_ups import Profiles, open_session
from pixeltwin.gateway.policy import policy_of
from pixeltwin.mapping.sessions import sessions_of
from pixeltwin.mirror import PixelPolicy, Policy
from pixeltwin.pixel.request import HitRequest
from pixeltwin.rules.rows import to_rows

ADDRESSES: Final = ("http://", "https://")
UNASKED: Final = "would be looked up"
KNOWN: Final = "known"
UNKNOWN: Final = "not known"
SILENT: Final = "no answer"
ORDERS: Final = {
    UNASKED: "would be verified by {}, whose amount would count",
    KNOWN: "verified by {}",
    UNKNOWN: "{} does not know it",
    SILENT: "would be verified by {}, which gives no answer",
}
FILE_NAME: Final = re.compile(r"/|\.[A-Za-z]\w*$")
HITS_FILES: Final = (".txt", ".hits")

type Silent = Mapping[str, str]  # why a source did not answer, by its name


def explain_input(source: str, *, config: Path | None, as_json: bool, look_up: bool, now: float) -> int:
    """Explain every hit of the input; 1 when there was none. Raises ValueError for what cannot be read.

    With a config, what is no URL and no file is the id of an event in the outbox.
    """
    if config and not _is_input(source):
        return _event(config, source, as_json=as_json)
    loaded = load_config(config) if config else None
    policy = policy_of(loaded) if loaded else None
    console, count = Console(highlight=False, soft_wrap=True), 0
    with Asking(loaded, policy) if loaded and policy and look_up else nullcontext() as asking:
        for request in requests_of(source, now):
            count += 1
            explained = explain(request, policy, asking)
            silent = asking.silent if asking else {}
            if as_json:
                told = _told(explained, loaded, silent)
                sys.stdout.buffer.write(orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE))
            else:
                _print(explained, loaded, silent, console)
    return 0 if count else 1


def explain(request: HitRequest, policy: Policy | None, asking: Asking | None = None) -> DryRun:
    """What a gateway with that policy would do; without one, a gateway for whatever pixel the hit names."""
    if policy is None:
        return dry_run(request, any_pixel(request, Policy(pixels={"": PixelPolicy()})))
    return dry_run(request, policy, asking.profiles(request) if asking else None)


def _is_input(source: str) -> bool:
    return source == "-" or source.startswith(ADDRESSES) or Path(source).is_file()


def _event(config: Path, source: str, *, as_json: bool) -> int:
    """Explain an event of the outbox. What is named like a file was probably meant as one."""
    try:
        return explain_event(config, source, as_json=as_json)
    except UnreachableError:
        if not FILE_NAME.search(source):
            raise
        raise ValueError(_no_input(source)) from None


def _no_input(source: str) -> str:
    return (
        f"{source!r} is no URL and no file; a URL, a HAR, a flow file, a hits file or - would work, "
        "and with a config the id of an event in the outbox"
    )


def requests_of(source: str, now: float) -> Iterator[HitRequest]:
    """The requests of a URL, a HAR, a flow file, a hits file, or of standard input. Raises ValueError for others."""
    if source == "-":
        return read_lines(sys.stdin, now)
    if source.startswith(ADDRESSES):
        return iter([request_of_url(source, now)])
    path = Path(source)
    if not path.is_file():
        raise ValueError(_no_input(source))
    if path.suffix in HITS_FILES:
        return read_lines(path.read_text(encoding="utf-8").split("\n"), now)
    return _hits_of(path)


def _hits_of(path: Path) -> Iterator[HitRequest]:
    """The requests of a recording that look like the pixel's; a HAR holds a whole page."""
    from pixeltwin.proxy.recordings import recorded_requests  # mitmproxy takes a second to import

    return (r for r in recorded_requests(path) if r.path.rstrip("/").endswith("/tr") or r.path.startswith(BRIDGE))


def _told(explained: DryRun, config: Config | None, silent: Silent) -> dict[str, Any]:
    """As `--json` prints it."""
    seen = {"relayed": relayed(explained, config) is not None, "no_answer": silent}
    return explained.as_json() | seen | {"test_event_code": code_of_test_event(explained, config)}


def _print(explained: DryRun, config: Config | None, silent: Silent, console: Console) -> None:
    hit = explained.admission.hit
    console.print(f"{hit.event_name} of pixel {hit.pixel_id}" if hit else "no hit", style="bold", markup=False)
    for line in _steps(explained, config, silent):
        console.print(f"  {line}", markup=False)


def _steps(explained: DryRun, config: Config | None, silent: Silent) -> Iterable[str]:
    admission = explained.admission
    if consent := admission.verdict.told:
        twin, relay = (treatment.name.lower() for treatment in (admission.verdict.twin, admission.verdict.relay))
        yield f"consent   {consent}: twin {twin}, relay {relay}"
    if admission.ruled and admission.ruled.names:
        yield f"rules     {', '.join(admission.ruled.names)}"
    if admission.ruled and admission.ruled.late:
        yield f"rules     when the customer is known: {', '.join(admission.ruled.late)}"
    if not_held := explained.not_held:
        yield f"rules     did not hold: {', '.join(f'{name} ({why})' for name, why in not_held.items())}"
    yield from _sources(explained, silent)
    if admission.hit:
        yield f"browser   {_browsers_copy(explained, config)}"
    for draft, sealed in explained.twins:
        yield f"twin      {'held, ' if explained.is_held else ''}for pixel {draft.pixel_id}"
        yield from _fields(explained, sealed.event)
        yield from (f"note      {note}" for note in sealed.notes)
    if code := code_of_test_event(explained, config):
        yield f"test      shown under Test Events as {code}"
    if explained.skip:
        yield f"no twin: {explained.skip}{f' ({admission.because})' if admission.because else ''}"


def _sources(explained: DryRun, silent: Silent) -> Iterator[str]:
    for draft in explained.admission.drafts[:1]:
        if draft.verifier and draft.verifier not in draft.keys:
            yield f"order     names none that {draft.verifier} could be asked for"
        for name, key in draft.keys.items():
            said = _said(explained.profiles, name, key)
            why = f" ({plain(_why(name, silent))})" if said == SILENT else ""
            if name == draft.verifier:
                yield f"order     {ORDERS[said].format(name)}{why}"
            else:
                yield f"customer  {_whose(key, explained.policy)}{name}: {said}{why}"


def _said(profiles: Profiles | None, source: str, key: str) -> str:
    """What a source said of a customer, or of an order."""
    if profiles is None or source not in profiles:
        return UNASKED
    if is_silent(profiles, source, key):
        return SILENT
    return KNOWN if key in profiles[source] else UNKNOWN


def _why(name: str, silent: Silent) -> str:
    """Why it said nothing: for its own reason, or because a source of sessions did not say who it is."""
    return silent.get(name) or ", ".join(f"{source}: {why}" for source, why in silent.items())


def _whose(key: str, policy: Policy) -> str:
    """By which cookie's session a customer is known, if by any; its id is nobody's business."""
    opened = open_session(key, sessions_of(policy.elements))
    return f"session of {opened[0].session}, " if opened else ""


def _browsers_copy(explained: DryRun, config: Config | None) -> str:
    admission = explained.admission
    if admission.withheld:
        return "withheld"
    if admission.relay is None:
        return "none of ours to relay"
    if relayed(explained, config) is None:
        return "not relayed: its pixel's `relay` says so"
    return "relayed as it is" if admission.relay is explained.request else "relayed, changed"


def _fields(explained: DryRun, twin: Mapping[str, object]) -> Iterator[str]:
    """Every value of the twin with where it came from."""
    origins = explained.origins()
    for path, value in to_rows(twin):
        parts = path.replace("[", ".").split(".")
        origin = origins.get(".".join(parts[:2])) or origins.get(parts[0], "")
        yield f"  {path} = {value}{f'   ← {origin}' if origin else ''}"
