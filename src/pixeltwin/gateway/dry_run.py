"""What a gateway would do with one request, without sending, asking or keeping anything."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pixeltwin.capi.event import EventJson
from pixeltwin.consent.verdict import Treatment
from pixeltwin.gateway.look_ups import LookUps, Profiles
from pixeltwin.mapping.origins import origins_of
from pixeltwin.mapping.sessions import sessions_of
from pixeltwin.mirror import Admission, Draft, Policy, Sealed, Unsent, admit, admit_openbridge, seal, unverified
from pixeltwin.pixel.hit import parse_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.rules.ruleset import Ruled

BRIDGE = "/events"

type End = Sealed | Unsent | Reason


@dataclass(frozen=True, slots=True)
class DryRun:
    """A request, what was decided about it, and how each of its twins ended.

    `profiles` are what the sources said, None where nobody was asked.
    """

    request: HitRequest
    admission: Admission
    policy: Policy
    ends: tuple[End, ...] = ()
    profiles: Profiles | None = None

    @property
    def twins(self) -> tuple[tuple[Draft, Sealed], ...]:
        pairs = zip(self.admission.drafts, self.ends, strict=True)
        return tuple((draft, end) for draft, end in pairs if isinstance(end, Sealed))

    @property
    def event(self) -> EventJson | None:
        """The first twin's event for Meta."""
        return self.twins[0][1].event if self.twins else None

    @property
    def presumed(self) -> tuple[str, ...]:
        """The sources that verify and did not say anything: each counts as if it had found its order."""
        drafts = self.admission.drafts
        return tuple(dict.fromkeys(draft.verifier for draft in drafts if _is_presumed(draft, self.profiles)))

    @property
    def customers(self) -> tuple[str, ...]:
        """The sources that would be asked who the hit's customer is."""
        asked = ((name, draft.verifier) for draft in self.admission.drafts for name in draft.keys)
        return tuple(dict.fromkeys(name for name, verifier in asked if name != verifier))

    @property
    def not_held(self) -> dict[str, str]:
        """The rules that did not hold: the part that did not, `match` or `when`; `not asked` behind one that drops.

        A late rule is among them only if the customer was looked up.
        """
        if self.admission.ruled is None:
            return {}
        found: dict[str, str] = {}
        for ruled in self._decided:
            found |= {name: f"when{' failed' if name in ruled.faults else ''}" for name in ruled.unmet}
        held = {name for ruled in self._decided for name in (*ruled.names, *ruled.late)}
        return {name: found.get(name, why) for name, why in self._in_vain() if name in found or name not in held}

    @property
    def _decided(self) -> tuple[Ruled, ...]:
        """What rules decided when the hit came, and where the customer was looked up when its first twin was sealed."""
        ends = self.ends[:1] if self.profiles is not None else ()
        early = self.admission.ruled
        return (*([early] if early else ()), *(end.ruled for end in ends if isinstance(end, Sealed | Unsent)))

    def _in_vain(self) -> Iterator[tuple[str, str]]:
        """Why each rule would not have held, if it is none whose `when` was asked."""
        ruled, is_over = self.admission.ruled, False
        for rule in self.policy.rules.rules:
            yield rule.name, "not asked" if is_over else "match"
            is_over = is_over or bool(ruled and ruled.drop and ruled.because == rule.name)

    @property
    def skip(self) -> str | None:
        """Why there is no twin."""
        if self.admission.skip:
            return self.admission.skip
        if self.twins:
            return None
        end = next(iter(self.ends), Reason.INTERNAL_ERROR)
        return str(end.reason if isinstance(end, Unsent) else end)

    @property
    def is_held(self) -> bool:
        return self.admission.verdict.twin is Treatment.HOLD and not self.admission.skip

    def origins(self) -> dict[str, str]:
        """Where each value of the first twin came from."""
        if not self.twins or self.admission.hit is None:
            return {}
        draft, sealed = self.twins[0]
        rules = self.admission.ruled.origins if self.admission.ruled else {}
        said = origins_of(self.admission.hit, self.request, draft.event)
        return {**said, **{name: f"rule {rule}" for name, rule in rules.items()}, **sealed.origins}

    def as_json(self) -> dict[str, Any]:
        """As `pixeltwin explain --json` prints it."""
        admission, hit = self.admission, self.admission.hit
        sealed = self.twins[0][1] if self.twins else None
        return {
            "hit": {
                "pixel_id": hit.pixel_id if hit else None,
                "event_name": hit.event_name if hit else None,
                "parameters": hit.shown() if hit else [],
            },
            "skip": self.skip,
            "twin": sealed.event if sealed else None,
            "notes": sealed.notes if sealed else [],
            "because": admission.because,
            "consent": admission.verdict.told,
            "would_be_verified_by": self.presumed,
            "rules": sealed.rules if sealed else (admission.ruled.names if admission.ruled else []),
            "rules_not_held": self.not_held,
            "relayed": admission.relay is not None,
            "held": self.is_held,
            "origins": self.origins(),
            "more_twins": [{"pixel_id": draft.pixel_id, "twin": end.event} for draft, end in self.twins[1:]],
        }


def decide(request: HitRequest, policy: Policy) -> Admission:
    """The decision, the same every time: nothing in it is left to chance."""
    door = admit_openbridge if request.path.startswith(BRIDGE) else admit
    return door(request, policy, record_id="", random_below=lambda below: 1)


def dry_run(request: HitRequest, policy: Policy, profiles: Profiles | None = None) -> DryRun:
    """Decide and seal, with what sources are said to know.

    A source that was not asked, or did not answer, knows no customer, but counts as having found what it verifies.
    """
    admission = decide(request, policy)
    ends = tuple(_end(draft, policy, profiles, request.received_at) for draft in admission.drafts)
    return DryRun(request, admission, policy, ends, profiles)


def look_ups_of(admission: Admission, policy: Policy) -> LookUps:
    """The look-ups that would be made for a hit."""
    asked = (pair for draft in admission.drafts for pair in draft.keys.items())
    return LookUps(asked, sessions_of(policy.elements))


def any_pixel(request: HitRequest, policy: Policy) -> Policy:
    """The policy, with whatever pixel the hit names as one of ours."""
    if request.path.startswith(BRIDGE):
        found = admit_openbridge(request, policy, record_id="", random_below=lambda below: 0).hit
    else:
        parsed = parse_hit(request, policy.limits)
        found = None if isinstance(parsed, Skip) else parsed
    known = next(iter(policy.pixels.values()))
    return replace(policy, pixels={found.pixel_id: known}) if found else policy


def _end(draft: Draft, policy: Policy, profiles: Profiles | None, now: float) -> End:
    said = profiles or {}
    known = {name: profile for name, key in draft.keys.items() if (profile := said.get(name, {}).get(key))}
    if _is_presumed(draft, profiles):
        draft = draft._replace(verifier="")  # what the order is worth nobody said: the browser's amount stays
    if unverified(draft, known):
        return Reason.NOT_VERIFIED
    return seal(draft, known, policy, now)


def _is_presumed(draft: Draft, profiles: Profiles | None) -> bool:
    """Whether nobody said that the event's order does not exist; without its key nobody could."""
    if (key := draft.keys.get(draft.verifier)) is None:
        return False
    return profiles is None or is_silent(profiles, draft.verifier, key)


def is_silent(profiles: Profiles, source: str, key: str) -> bool:
    """Whether the source was asked and gave no answer."""
    answers = profiles.get(source, {})
    return key in answers and answers[key] is None
