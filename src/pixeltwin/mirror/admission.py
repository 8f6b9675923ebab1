"""The left half of the line: what is decided about a request before the browser is answered.

request ─ parse_hit ─ stranger? ─ clean ─ consent ─ map ─ rules ─ stamp ─► Twin, and the browser's copy
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlsplit

from pixeltwin.capi.event import EventJson
from pixeltwin.consent.policy import decide
from pixeltwin.consent.verdict import ALLOWED, Answer, Treatment, Verdict
from pixeltwin.expressions import FaultError
from pixeltwin.mapping.element import reader
from pixeltwin.mapping.notes import notes
from pixeltwin.mapping.openbridge import OpenBridgePost, parse_openbridge, with_every_hash
from pixeltwin.mapping.server_event import server_event
from pixeltwin.memo import Memo
from pixeltwin.mirror.draft import Draft, Twin
from pixeltwin.mirror.limits import cleaned_of_rules, limited_copy, never_less_limited, taken_back
from pixeltwin.mirror.policy import PixelPolicy, Policy
from pixeltwin.pixel.browser_id import RANDOM_BELOW, BrowserIds, browser_ids, page_host
from pixeltwin.pixel.client_ip import FBI_COOKIE, client_ip, visitor_ip
from pixeltwin.pixel.cookies import SetCookie, cookies_to_set
from pixeltwin.pixel.hit import PixelHit, parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.rewrite import rewrite
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import mint_event_id, stamp
from pixeltwin.pixel.visit import NOWHERE, Place, Visit, nothing
from pixeltwin.privacy.clean import clean_hit, masked_client
from pixeltwin.rules.moment import Arrival
from pixeltwin.rules.ruleset import Ruled, Target

AUTOMATIC: Final = frozenset({"SubscribedButtonClick", "Microdata", "InputData"})  # PROTOCOL 3.8, 3.10

type RandomBelow = Callable[[int], int]


@dataclass  # frozen by its types alone, like a hit
class Admission:
    """What was decided about a request.

    `hit` is None for what is no readable hit. `relay` is the browser's copy as Meta is to get it: None when it is none
    of ours, or when it is `withheld`. There is a twin for each pixel that gets one; without any, `skip` says why,
    and `because` whose wish that was. `cookies` are for the answer. `browser` is whose consent counts, and for whatever
    of it waits for the pixels in `reach`.
    """

    hit: Final[PixelHit | None]
    relay: Final[HitRequest | None]
    withheld: Final[bool]
    twins: Final[tuple[Twin, ...]]
    skip: Final[Reason | None]
    because: Final[str]
    cookies: Final[tuple[SetCookie, ...]]
    verdict: Final[Verdict]
    browser: Final[str]
    reach: Final[frozenset[str]]
    ruled: Final[Ruled | None]

    @classmethod
    def turned_away(cls, skip: Reason, hit: PixelHit | None = None, *, withheld: bool = False) -> "Admission":
        """Nothing is to follow from the request, and nobody was asked."""
        return cls(hit, None, withheld, (), skip, "", (), ALLOWED, "", frozenset(), None)

    @property
    def drafts(self) -> tuple[Draft, ...]:
        """The twins' drafts as whoever seals them will find them."""
        return tuple(twin.draft for twin in self.twins)

    @property
    def draft(self) -> Draft | None:
        """The first pixel's, for most hits the only one."""
        return self.twins[0].draft if self.twins else None


class Decide(Protocol):
    """How a door decides about a request: `admit`, `admit_openbridge`."""

    def __call__(
        self, request: HitRequest, policy: Policy, *, record_id: str, random_below: RandomBelow
    ) -> Admission: ...


def admit(request: HitRequest, policy: Policy, *, record_id: str, random_below: RandomBelow) -> Admission:
    """Decide about a request on a hit path."""
    hit = parse_hit(request, policy.limits)
    if isinstance(hit, Skip):
        return Admission.turned_away(hit.reason)
    address = client_ip(request, policy.trusted_proxies)
    if away := _turned_away(hit, request, address, policy):
        return away
    return Arriving(hit, request, address, policy, random_below, _as_it_is).admission(record_id)


def admit_openbridge(request: HitRequest, policy: Policy, *, record_id: str, random_below: RandomBelow) -> Admission:
    """Decide about an OpenBridge post. There is nothing to relay: the browser sends its own copy, with the same id."""
    post = parse_openbridge(request, policy.limits, policy.hash_values)
    if not isinstance(post, OpenBridgePost):
        return Admission.turned_away(post.reason)
    address = client_ip(request, policy.trusted_proxies)
    if away := _turned_away(post.hit, request, address, policy):
        return away

    def mapped(event: EventJson) -> EventJson:
        return with_every_hash(event, post)

    decided = Arriving(post.hit, request, address, policy, random_below, mapped).admission(record_id)
    return replace(decided, relay=None, withheld=False)


def _as_it_is(event: EventJson) -> EventJson:
    return event


class Arriving:
    """One hit of ours while it is decided about. `address` is the visitor's as the network knows it."""

    def __init__(
        self,
        hit: PixelHit,
        request: HitRequest,
        address: str | None,
        policy: Policy,
        random_below: RandomBelow,
        mapped: Callable[[EventJson], EventJson],
    ) -> None:
        cleaned = clean_hit(request, hit, policy.privacy)
        self.request, self.hit, self.removed = cleaned.request, cleaned.hit, cleaned.removed
        self.policy, self.pixel_id, self.pixel = policy, hit.pixel_id, policy.pixels[hit.pixel_id]
        self.faults: list[str] = []  # elements, and conditions of sources, whose expression failed
        self.visit = _visit(self.hit, self.request, address, policy, self.faults.append)
        self.verdict = decide(policy.consent, self.visit)
        self.event_id = self.hit.event_id or mint_event_id(self.hit, random_below)
        self.keeps_cookies = policy.set_cookies and request.first_party and _may_be_recognised(self.verdict)
        self.ids = browser_ids(self.hit, self.request, random=None)
        if self.keeps_cookies and not self.ids.fbp:  # chance comes from the kernel: asking it costs more than the ids
            self.ids = browser_ids(self.hit, self.request, random=random_below(RANDOM_BELOW))
        self.given = mapped(self._event())
        self.moment = Arrival(
            self.visit, self.given, self.verdict, self.pixel.name, policy.paths, policy.asked_elements
        )
        self.ruled = policy.rules.decide(self.moment, policy.hash_values(self.pixel_id), request.received_at)

    def admission(self, record_id: str) -> Admission:
        """The decision, once everybody has been asked."""
        reason, because = self._why_not()
        twins = () if reason else self._twins(record_id)
        self._tell_faults()
        if not (reason or twins):
            reason = Reason.UNKNOWN_PIXEL
        withheld = _is_forbidden(self.verdict.relay, self.ids) or self.ruled.drop == "both"
        relay = None if withheld else self._browsers_copy(stamped=bool(twins))
        cookies = self._cookies() if twins else ()
        browser, reach = self.ids.fbp or "", self.policy.reach[self.pixel_id]
        # in their order: with their names it takes three times as long
        return Admission(
            self.hit, relay, withheld, twins, reason, because, cookies, self.verdict, browser, reach, self.ruled
        )

    def _event(self) -> EventJson:
        address = self.visit.client_ip
        if self.policy.fbi_cookie and FBI_COOKIE in self.request.cookies:
            address = visitor_ip(self.request, self.policy.trusted_proxies, fbi_cookie=True)
        event = server_event(self.hit, self.request, event_id=self.event_id, ids=self.ids, client_ip=address)
        event["user_data"] = masked_client(event["user_data"], self.policy.privacy)
        return event

    def _why_not(self) -> tuple[Reason | None, str]:
        """Why there is no twin, and whose wish that was. Consent speaks first."""
        if _is_forbidden(self.verdict.twin, self.ids):
            denied = self.verdict.answer is Answer.DENIED
            return Reason.CONSENT_DENIED if denied else Reason.CONSENT_UNKNOWN, self.verdict.policy
        if reason := why_not(self.hit, self.request, self.pixel, self.given):
            return reason, ""
        if self.ruled.drop or self.ruled.sampled_out:
            reason = Reason.DROPPED_BY_RULE if self.ruled.drop else Reason.SAMPLED_OUT
            return reason, self.ruled.because
        return None, ""

    def _browsers_copy(self, *, stamped: bool) -> HitRequest:
        """The browser's copy: renamed, limited and stamped where that was decided, else as it came."""
        request = self.request
        if self.policy.privacy.user_agent == "drop":
            request = replace(request, headers={**request.headers, "user-agent": ""})
        if self.ruled.renamed:
            request = rewrite(request, {"ev": self.ruled.renamed})
        if self.verdict.relay is Treatment.LIMIT:
            request = limited_copy(request, self.hit, self.verdict.limits)
        return stamp(request, self.moment.event["event_id"]) if stamped and not self.hit.get("eid") else request

    def _twins(self, record_id: str) -> tuple[Twin, ...]:
        policy, ruled, verdict = self.policy, self.ruled, self.verdict
        made, removed = cleaned_of_rules(self.moment.event, ruled, policy.privacy, policy.clean_rules)
        event = never_less_limited(made, self.given, verdict)
        if event is not made:
            taken_back(ruled)
        elements, asked = self._late_elements(), [(it, *self._asked(it, event)) for it in self._targets()]
        self._tell_faults()
        remarks = (*self._notes(event), *removed)
        twins = []
        for number, (target, verifier, keys) in enumerate(asked):
            said = {
                "pixel_id": target.pixel,
                "keys": keys,
                "notes": remarks,
                "record_id": f"{record_id}.{number}" if number else record_id,
                "test_event_code": ruled.test_event_code,
                "rules": ruled.names,
                "late": ruled.late,
                "elements": elements,
                "credential": target.credential,
                "verifier": verifier,
                "consent": str(verdict.answer) if verdict.policy else "",
                "consent_policy": verdict.policy,
                "remember": verdict.twin is Treatment.ALLOW,
                "config": policy.config,
            }
            twins.append(Twin.of(event, said))
        return tuple(twins)

    def _targets(self) -> Iterable[Target]:
        """The pixels that get a twin, one each: a rule's own with its token, all others pixels that we know."""
        if not self.ruled.targets:
            return [Target(self.pixel_id, "")]
        found: dict[str, Target] = {}
        for target in self.ruled.targets:
            pixel_id = target.pixel if target.credential else self.policy.pixel_id(target.pixel)
            if pixel_id is not None:
                found.setdefault(pixel_id, Target(pixel_id, target.credential))
        return found.values()

    def _notes(self, event: EventJson) -> list[str]:
        found: list[str] = [*notes(self.hit, self.given)]
        found += [f"personal_data_removed: {name}" for name in self.removed]
        found += [f"rule_fault: {fault}" for fault in self.ruled.faults]
        if event["event_name"] != (self.ruled.renamed or self.hit.event_name):
            found.append("event_name_of_twin_alone")  # Meta counts both copies (PROTOCOL 1.10)
        if event["event_id"] != self.event_id and self.hit.event_id:
            found.append("event_id_of_twin_alone")
        return found

    def _late_elements(self) -> dict[str, str]:
        """What late rules ask for. It is kept until then, so nothing that is personal in plain text is among it."""
        if not self.ruled.late:
            return {}
        asked = {name for rule in self.ruled.late for name in self.policy.rules.late[rule].elements}
        found = {name: value for name in asked if (value := self.visit.element(name)) is not None}
        detector = self.policy.privacy.detector
        return {name: value for name, value in found.items() if detector.masked(value, name) == value}

    def _asked(self, target: Target, event: EventJson) -> tuple[str, dict[str, str]]:
        """The source that has to know the event's order, and what each source is asked for."""
        pixel = self.policy.pixels.get(target.pixel) or PixelPolicy(verify=self.pixel.verify)
        verifier = pixel.verify.get(event["event_name"], "")
        return verifier, self._keys(pixel, verifier)

    def _keys(self, pixel: PixelPolicy, verifier: str) -> dict[str, str]:
        """The customer's name in each source that may be asked, and the order's in the one that verifies.

        Whoever refused is not looked up; that the order exists may be.
        """
        if not (verifier or pixel.enrich):
            return {}
        asked = [verifier] if verifier else []
        if self.verdict.answer is not Answer.DENIED:
            asked += pixel.enrich
        found: dict[str, str] = {}
        for name in filter(self._may_ask, asked):
            if (key := self.visit.element(self.policy.sources[name].key)) is not None:
                found[name] = key
        return found

    def _may_ask(self, source: str) -> bool:
        only_when = self.policy.sources[source].only_when
        try:
            return only_when is None or only_when.holds(self.moment.scope)
        except FaultError:
            self.faults.append(f"sources.{source}")
            return False

    def _tell_faults(self) -> None:
        """Faults of elements and sources are counted and shown like those of rules, by where they stand in the file."""
        if self.faults:
            self.ruled.faults += [it for it in dict.fromkeys(self.faults) if it not in self.ruled.faults]

    def _cookies(self) -> tuple[SetCookie, ...]:
        if not self.keeps_cookies:
            return ()
        return cookies_to_set(self.ids, self.request, self.request.host or page_host(self.hit, self.request))


def why_not(hit: PixelHit, request: HitRequest, pixel: PixelPolicy, event: EventJson) -> Reason | None:
    """Why a hit of ours, which became `event`, is relayed as it is but gets no twin."""
    said = hit.last
    if said.get("rqm") == "FGET" or request.path.startswith("/privacy_sandbox/"):
        return Reason.PRIVACY_SANDBOX_COPY  # the same event a second time (PROTOCOL 4.4)
    if not pixel.automatic_events and (hit.event_name in AUTOMATIC or said.get("es") == "automatic"):
        return Reason.AUTOMATIC_EVENT
    if pixel.events and hit.event_name not in pixel.events:
        return Reason.EVENT_NOT_LISTED
    if said.get("bfs[b]") == "1":
        return Reason.BOT
    if "event_source_url" not in event:
        return Reason.NO_WEB_PAGE
    return None


def _is_forbidden(treatment: Treatment, ids: BrowserIds) -> bool:
    """Whether consent forbids a copy. What nobody could ever release is not held."""
    return treatment >= Treatment.HOLD and (treatment is Treatment.DROP or not ids.fbp)


def _may_be_recognised(verdict: Verdict) -> bool:
    """Whether the browser may be given ids to be known by."""
    return verdict.twin <= Treatment.LIMIT and verdict.answer is not Answer.DENIED


def _visit(
    hit: PixelHit, request: HitRequest, address: str | None, policy: Policy, failed: Callable[[str], None]
) -> Visit:
    read = reader(policy.elements, request, hit, address, failed) if policy.elements else nothing
    place = _place(hit, request, policy, failed) if policy.country or policy.region else NOWHERE
    return Visit(request, hit, address, place, read)


def _place(hit: PixelHit, request: HitRequest, policy: Policy, failed: Callable[[str], None]) -> Place:
    said = {"geo.country": policy.country, "geo.region": policy.region}
    country, region = (it.read(request, hit, partial(failed, name)) if it else None for name, it in said.items())
    return Place((country or "").upper(), (region or "").upper())


def _turned_away(hit: PixelHit, request: HitRequest, address: str | None, policy: Policy) -> Admission | None:
    """The decision about a hit that nothing is to follow from."""
    reason = _stranger(hit, request, address, policy)
    if reason is None:
        return None
    shown = clean_hit(request, hit, policy.privacy).hit
    return Admission.turned_away(reason, shown, withheld=reason is Reason.RATE_LIMITED)


def _stranger(hit: PixelHit, request: HitRequest, address: str | None, policy: Policy) -> Reason | None:
    """Why a hit is none of ours, or one too many: it is neither relayed nor mirrored, or anyone could use us so."""
    pixel = policy.pixels.get(hit.pixel_id)
    if pixel is None:
        return Reason.UNKNOWN_PIXEL
    if pixel.hosts and request.host and request.host not in pixel.hosts:
        return Reason.FOREIGN_HOST
    if not _is_from_our_pages(request, policy):
        return Reason.FOREIGN_ORIGIN
    if policy.is_one_too_many and policy.is_one_too_many(hit.pixel_id, address):
        return Reason.RATE_LIMITED
    return None


def _is_from_our_pages(request: HitRequest, policy: Policy) -> bool:
    """Whether the page may send hits. A request that names no page passes: this only raises the bar (THREATS T4)."""
    if policy.admits_origin is None:
        return True
    origin = request.header("origin") or ORIGINS[request.header("referer")]
    return origin in ("", "null") or policy.admits_origin(origin)


def _origin_of(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


ORIGINS: Final = Memo(_origin_of)  # browsers tell another site no more of a page's address, and of pages' there are few
