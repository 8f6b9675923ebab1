"""How what came out of a case differs from what was expected of it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pixeltwin.cli.case import Expected
from pixeltwin.cli.hit_lines import parameters
from pixeltwin.config import Config
from pixeltwin.gateway.dry_run import DryRun
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest

HASH_OF: Final = "sha256:"
ELSEWHERE: Final = frozenset({"none", "browser"})  # values of `relay` with which nobody here brings the copy to Meta


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that did not come out as expected; `path` says where."""

    path: str
    expected: Any
    found: Any


def differences(expected: Expected, ran: DryRun, config: Config) -> Iterator[Difference]:
    """Everything that is named in `expected` and came out otherwise. Who expects a twin reads why there is none."""
    named = {name: getattr(expected, name) for name in FOUND if name in expected.model_fields_set}
    if "twin" not in named or named["twin"] is not None:
        named = {"skip": expected.skip, **named}
    if ran.skip not in (None, expected.skip):
        named = {name: value for name, value in named.items() if name not in ("twin", "twins")}
    for name, value in named.items():
        yield from _compared(name, _written(value) if name == "relay" else value, FOUND[name](ran, config))


def relayed(ran: DryRun, config: Config | None) -> HitRequest | None:
    """The browser's copy as it goes to Meta by us."""
    hit = ran.admission.hit
    pixel = next((it for it in config.pixels if hit and it.id == hit.pixel_id), None) if config else None
    return None if pixel and pixel.relay in ELSEWHERE else ran.admission.relay


def code_of_test_event(ran: DryRun, config: Config | None) -> str | None:
    """The code that the first twin is sent with: a rule's, or else its pixel's."""
    if not ran.twins:
        return None
    draft, sealed = ran.twins[0]
    codes = (it.test_event_code for it in (config.pixels if config else ()) if it.id == draft.pixel_id)
    return sealed.test_event_code or next(codes, None)


def _twins(ran: DryRun, config: Config) -> dict[str, Any]:
    """The twins by their pixel's id, and by its name."""
    found = {draft.pixel_id: sealed.event for draft, sealed in ran.twins}
    return found | {pixel.name: found[pixel.id] for pixel in config.pixels if pixel.id in found}


def _rules(ran: DryRun, config: Config) -> list[str]:
    if ran.twins:
        return list(ran.twins[0][1].rules)
    return list(ran.admission.ruled.names) if ran.admission.ruled else []


def _copy(ran: DryRun, config: Config) -> dict[str, str] | bool:
    """The parameters of the browser's copy; False when it goes nowhere."""
    copy = relayed(ran, config)
    hit = parse_hit(copy, Limits()) if copy else None
    return dict(hit.last) if isinstance(hit, PixelHit) else copy is not None


FOUND: Final[Mapping[str, Callable[[DryRun, Config], Any]]] = {
    "skip": lambda ran, config: ran.skip,
    "twin": lambda ran, config: ran.event,
    "twins": _twins,
    "relay": _copy,
    "rules": _rules,
    "notes": lambda ran, config: list(ran.twins[0][1].notes) if ran.twins else [],
    "held": lambda ran, config: ran.is_held,
    "test_event_code": code_of_test_event,
}


def _written(relay: Mapping[str, Any] | bool) -> Mapping[str, Any] | bool:
    """The expected parameters as they stand in a hit."""
    if isinstance(relay, bool):
        return relay
    return dict.fromkeys(relay) | dict(parameters(relay)) if relay else True


def _compared(path: str, expected: Any, found: Any) -> Iterator[Difference]:
    """Differences of what is expected: of objects the named keys, of everything else all."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for key, value in expected.items():
            yield from _compared(f"{path}.{key}", value, found.get(key))
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple) and len(expected) == len(found):
        for index, (value, other) in enumerate(zip(expected, found, strict=True)):
            yield from _compared(f"{path}[{index}]", value, other)
    elif not _is_equal(expected, found):
        yield Difference(path, expected, found)


def _is_equal(expected: Any, found: Any) -> bool:
    if isinstance(expected, bool) and isinstance(found, Mapping):  # whether there is a copy, whatever is in it
        return expected
    if isinstance(expected, str) and expected.startswith(HASH_OF):
        return bool(found == hashlib.sha256(expected.removeprefix(HASH_OF).encode()).hexdigest())
    return bool(expected == found) and isinstance(expected, bool) is isinstance(found, bool)
