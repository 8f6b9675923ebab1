"""The line that turns one pixel hit into its twin.

    request ─ parse_hit ─ why_not ─ stamp ─ server_event ─► Draft        admit(), before the browser is answered
    Draft ─ merge(profiles) ─ refusal ─► the event for Meta              seal(), when the twin is sent

Everything here is pure and synchronous: time and chance arrive as arguments, look-ups as their results.
"""

import hmac
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import orjson

from pixeltwin.capi.event import ServerEvent
from pixeltwin.capi.normalize import hashes
from pixeltwin.capi.validate import Refusal, refusal, remarks
from pixeltwin.enrich.merge import added, merge
from pixeltwin.enrich.source import Profile
from pixeltwin.mapping.element import Element, read_all
from pixeltwin.mapping.ingest import Refused, parse_ingest
from pixeltwin.mapping.json_body import HashValues
from pixeltwin.mapping.notes import notes
from pixeltwin.mapping.openbridge import OpenBridgePost, parse_openbridge, with_every_hash
from pixeltwin.mapping.server_event import server_event, source_url
from pixeltwin.pixel.browser_id import RANDOM_BELOW, browser_ids, page_host
from pixeltwin.pixel.client_ip import visitor_ip
from pixeltwin.pixel.cookies import SetCookie, cookies_to_set
from pixeltwin.pixel.hit import Limits, PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest, Network
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import mint_event_id, stamp

AUTOMATIC: Final = frozenset({"SubscribedButtonClick", "Microdata", "InputData"})  # PROTOCOL 3.8, 3.10


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPolicy:
    """What is to be done with one pixel's hits. No hosts: any. `ingest_keys` are those of its servers."""

    hosts: frozenset[str] = frozenset()
    default_country: str | None = None
    ingest_keys: frozenset[str] = field(default=frozenset(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything that decides about a hit. `elements` are the data elements that look-ups need, by name."""

    pixels: Mapping[str, PixelPolicy]
    limits: Limits = field(default_factory=Limits)
    ingest_limits: Limits = field(default_factory=lambda: Limits(body=4 << 20))
    trusted_proxies: tuple[Network, ...] = ()
    fbi_cookie: bool = True
    set_cookies: bool = True
    admits_origin: Callable[[str], bool] = lambda origin: True
    elements: Mapping[str, Element] = field(default_factory=dict)

    def hash_values(self, pixel_id: str) -> HashValues:
        """How customer data in plain text becomes hashes; phone numbers need the pixel's country."""
        pixel = self.pixels.get(pixel_id)
        return partial(hashes, default_country=pixel.default_country if pixel else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A twin before look-ups: the event as the browser knows it, and the keys by which sources may know more.

    `notes` are remarks about the hit; `record_id` names the journal's record of it.
    """

    event: ServerEvent
    keys: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    record_id: str = ""
    test_event_code: str = ""

    def as_bytes(self) -> bytes:
        return orjson.dumps(
            {
                "event": self.event.as_json(),
                "keys": self.keys,
                "notes": self.notes,
                "record_id": self.record_id,
                "test_event_code": self.test_event_code,
            }
        )

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        stored: dict[str, Any] = orjson.loads(payload)
        event, notes = ServerEvent.model_validate(stored.pop("event")), tuple(stored.pop("notes"))
        return cls(event=event, notes=notes, **stored)


@dataclass(frozen=True, slots=True)
class Ingested:
    """Server events in the order they were posted, and those that are none. An `event_id` may be empty."""

    pixel_id: str
    events: tuple[ServerEvent | Refused, ...]
    test_event_code: str


@dataclass(frozen=True, slots=True)
class Sealed:
    """A twin ready to be sent: the event, the names of what look-ups added, remarks."""

    event: ServerEvent
    added: list[str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What was decided about a request.

    `hit` is None for what is no readable hit. `relay` is the browser's copy with its event id, None when it is none of
    ours. `draft` is None for a hit that gets no twin; then `skip` says why. `cookies` are for the answer.
    """

    hit: PixelHit | None = None
    relay: HitRequest | None = None
    draft: Draft | None = None
    skip: Reason | None = None
    cookies: tuple[SetCookie, ...] = ()


class Decide(Protocol):
    """How a door decides about a request: `admit`, `admit_openbridge`."""

    def __call__(
        self, request: HitRequest, policy: Policy, *, record_id: str, random_below: Callable[[int], int]
    ) -> Admission: ...


def admit(request: HitRequest, policy: Policy, *, record_id: str, random_below: Callable[[int], int]) -> Admission:
    """Decide about a request on a hit path."""
    hit = parse_hit(request, policy.limits)
    if isinstance(hit, Skip):
        return Admission(skip=hit.reason)
    if stranger := _stranger(hit, request, policy):
        return Admission(hit=hit, skip=stranger)
    if reason := why_not(hit, request):
        return Admission(hit=hit, relay=request, skip=reason)
    event_id = hit.event_id or mint_event_id(hit, random_below)
    relay = request if hit.get("eid") else stamp(request, event_id)
    return _drafted(hit, request, policy, event_id, record_id, random_below, relay=relay)


def admit_openbridge(
    request: HitRequest, policy: Policy, *, record_id: str, random_below: Callable[[int], int]
) -> Admission:
    """Decide about an OpenBridge post. There is nothing to relay: the browser sends its own copy, with the same id."""
    post = parse_openbridge(request, policy.limits, policy.hash_values)
    if not isinstance(post, OpenBridgePost):
        return Admission(skip=post.reason)
    hit = post.hit
    if reason := _stranger(hit, request, policy) or why_not(hit, request):
        return Admission(hit=hit, skip=reason)
    event_id = hit.event_id or mint_event_id(hit, random_below)
    admission = _drafted(hit, request, policy, event_id, record_id, random_below)
    assert admission.draft  # noqa: S101 that is what _drafted makes
    draft = replace(admission.draft, event=with_every_hash(admission.draft.event, post))
    return replace(admission, draft=draft)


def _drafted(
    hit: PixelHit,
    request: HitRequest,
    policy: Policy,
    event_id: str,
    record_id: str,
    random_below: Callable[[int], int],
    relay: HitRequest | None = None,
) -> Admission:
    keeps_cookies = policy.set_cookies and request.first_party
    ids = browser_ids(hit, request, random=random_below(RANDOM_BELOW) if keeps_cookies else None)
    address = visitor_ip(request, policy.trusted_proxies, fbi_cookie=policy.fbi_cookie)
    event = server_event(hit, request, event_id=event_id, ids=ids, client_ip=address)
    draft = Draft(event=event, keys=_keys(request, hit, policy, address), notes=notes(hit, event), record_id=record_id)
    cookies = cookies_to_set(ids, request, request.host or page_host(hit, request)) if keeps_cookies else ()
    return Admission(hit=hit, relay=relay, draft=draft, cookies=cookies)


def admit_ingest(pixel_id: str, request: HitRequest, policy: Policy) -> Ingested | Skip:
    """Decide about server events posted for a pixel. Nothing is read before the sender has shown the pixel's key."""
    posted = parse_ingest(pixel_id, request, policy.ingest_limits)
    if isinstance(posted, Skip):
        return posted
    pixel = policy.pixels.get(pixel_id)
    if pixel is None or not _is_one_of(posted.access_key, pixel.ingest_keys):
        return Skip(Reason.BAD_ACCESS_KEY)
    events = posted.events(policy.hash_values(pixel_id))
    return Ingested(pixel_id, tuple(events), posted.test_event_code)


def _is_one_of(key: str, keys: Collection[str]) -> bool:
    matches = [hmac.compare_digest(key.encode(), own.encode()) for own in keys]  # all of them: time tells nothing
    return any(matches)


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


def seal(draft: Draft, profiles: Iterable[Profile], now: float) -> Sealed | Refusal:
    """The event for Meta with what `profiles` add, or why Meta would refuse it."""
    user_data = merge(draft.event.user_data, profiles)
    event = draft.event.model_copy(update={"user_data": user_data})
    if reason := refusal(event, now):
        return reason
    return Sealed(event, added(draft.event.user_data, user_data), (*draft.notes, *remarks(event)))


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


def _keys(request: HitRequest, hit: PixelHit, policy: Policy, client_ip: str | None) -> dict[str, str]:
    return read_all(policy.elements, request, hit, client_ip)
