"""The line that turns one pixel hit into its twin.

    request ─ parse_hit ─ why_not ─ stamp ─ server_event ─► Draft        admit(), before the browser is answered
    Draft ─ merge(profiles) ─ refusal ─► the event for Meta              seal(), when the twin is sent

Everything here is pure and synchronous: time and chance arrive as arguments, look-ups as their results.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from pixeltwin.capi.event import ServerEvent
from pixeltwin.capi.validate import Refusal, refusal
from pixeltwin.enrich.merge import added, merge
from pixeltwin.enrich.source import Profile
from pixeltwin.mapping.element import Element
from pixeltwin.mapping.server_event import server_event, source_url
from pixeltwin.pixel.client_ip import client_ip
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest, Network
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import mint_event_id, stamp

AUTOMATIC: Final = frozenset({"SubscribedButtonClick", "Microdata", "InputData"})  # PROTOCOL 3.8, 3.10


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPolicy:
    """What is to be done with one pixel's hits. No hosts: any."""

    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides about a hit. `elements` are the data elements that look-ups need, by name."""

    pixels: Mapping[str, PixelPolicy]
    limits: Limits = field(default_factory=Limits)
    trusted_proxies: tuple[Network, ...] = ()
    admits_origin: Callable[[str], bool] = lambda origin: True
    elements: Mapping[str, Element] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A twin before look-ups: the event as the browser knows it, and the keys by which sources may know more.

    `record_id` names the journal's record of the hit.
    """

    event: ServerEvent
    keys: Mapping[str, str]
    record_id: str = ""

    def as_bytes(self) -> bytes:
        return orjson.dumps({"event": self.event.as_json(), "keys": self.keys, "record_id": self.record_id})

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        stored: dict[str, Any] = orjson.loads(payload)
        event = ServerEvent.model_validate(stored["event"])
        return cls(event=event, keys=stored["keys"], record_id=stored["record_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What was decided about a request. `relay` is the browser's copy with its event id, None when it is not ours.

    `hit` is None for what is no readable hit, `draft` is None for a hit that gets no twin; then `skip` says why.
    """

    hit: PixelHit | None = None
    relay: HitRequest | None = None
    draft: Draft | None = None
    skip: Reason | None = None


def admit(request: HitRequest, policy: Policy, *, record_id: str, random_hex: Callable[[], str]) -> Admission:
    """Decide about a request on a hit path."""
    hit = parse_hit(request, policy.limits)
    if isinstance(hit, Skip):
        return Admission(skip=hit.reason)
    if stranger := _stranger(hit, request, policy):
        return Admission(hit=hit, skip=stranger)
    if reason := why_not(hit, request):
        return Admission(hit=hit, relay=request, skip=reason)
    event_id = hit.event_id or mint_event_id(hit, random_hex)
    relay = request if hit.get("eid") else stamp(request, event_id)
    address = client_ip(request, policy.trusted_proxies)
    event = server_event(hit, request, event_id=event_id, client_ip=address)
    draft = Draft(event=event, keys=_keys(request, policy), record_id=record_id)
    return Admission(hit=hit, relay=relay, draft=draft)


def why_not(hit: PixelHit, request: HitRequest) -> Reason | None:
    """Why a hit of ours is relayed as it is but gets no twin."""
    if hit.get("rqm") == "FGET" or request.path.startswith("/privacy_sandbox/"):
        return Reason.PRIVACY_SANDBOX_COPY  # the same event a second time (PROTOCOL 4.4)
    if hit.event_name in AUTOMATIC or hit.get("es") == "automatic":
        return Reason.AUTOMATIC_EVENT
    if hit.get("bfs[b]") == "1":
        return Reason.BOT
    if source_url(hit, request) is None:
        return Reason.NO_WEB_PAGE
    return None


def seal(draft: Draft, profiles: Iterable[Profile]) -> tuple[ServerEvent, list[str]] | Refusal:
    """The event for Meta with what `profiles` add, and the names of what they added; or why Meta would refuse it."""
    user_data = merge(draft.event.user_data, profiles)
    event = draft.event.model_copy(update={"user_data": user_data})
    return refusal(event) or (event, added(draft.event.user_data, user_data))


def _stranger(hit: PixelHit, request: HitRequest, policy: Policy) -> Reason | None:
    """Why a hit is none of ours: it is neither relayed nor mirrored, or anyone could use us as a relay."""
    pixel = policy.pixels.get(hit.pixel_id)
    if pixel is None:
        return Reason.UNKNOWN_PIXEL
    if pixel.hosts and request.host and request.host not in pixel.hosts:
        return Reason.FOREIGN_HOST
    if not _is_from_our_pages(request, policy):
        return Reason.FOREIGN_ORIGIN
    return None


def _is_from_our_pages(request: HitRequest, policy: Policy) -> bool:
    """Whether the page may send hits. A request that names no page passes: this only raises the bar (THREATS T4)."""
    origin = request.header("origin") or _origin_of(request.header("referer"))
    return origin in ("", "null") or policy.admits_origin(origin)


def _origin_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _keys(request: HitRequest, policy: Policy) -> dict[str, str]:
    read = {name: element.read(request) for name, element in policy.elements.items()}
    return {name: value for name, value in read.items() if value is not None}
