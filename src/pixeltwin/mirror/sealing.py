"""The right half of the line: a draft becomes the event for Meta once the customer is known.

Draft ─ remembered ─ look-ups ─ verify ─ late rules ─ limits ─ refusal? ─► the event for Meta
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pixeltwin.capi.event import EventJson, ServerEvent
from pixeltwin.capi.validate import Refusal, refusal, remarks
from pixeltwin.consent.verdict import ALLOWED, Answer
from pixeltwin.enrich.merge import Addition, joined
from pixeltwin.enrich.source import Profile
from pixeltwin.mirror.draft import Draft
from pixeltwin.mirror.limits import cleaned_of_rules, never_less_limited, taken_back
from pixeltwin.mirror.policy import Policy
from pixeltwin.pixel.skip import Reason
from pixeltwin.rules.moment import Sealing, consent_of
from pixeltwin.rules.ruleset import Ruled


@dataclass  # frozen by its types alone, like a hit
class Sealed:
    """A twin ready to be sent: the event, what sources have added to it, remarks.

    `rules` are all that held, early and late; `ruled` is what late ones made of it.
    """

    event: Final[EventJson]
    additions: Final[Sequence[Addition]]
    notes: Final[tuple[str, ...]]
    rules: Final[tuple[str, ...]]
    test_event_code: Final[str]
    ruled: Final[Ruled]

    @property
    def origins(self) -> dict[str, str]:
        return who_set(self.additions, self.ruled)


def who_set(additions: Iterable[Addition], ruled: Ruled) -> dict[str, str]:
    """Which source or late rule has set a field (`user_data.em`: `customers`)."""
    found = {field: it.source for it in additions for field in it.fields}
    return found | {name: f"rule {rule}" for name, rule in ruled.origins.items()}


@dataclass(frozen=True, slots=True)
class Unsent:
    """There is no event for Meta, for `reason`. `ruled` is what late rules made of it."""

    reason: Refusal | Reason
    ruled: Ruled

    def __str__(self) -> str:
        return f"{self.reason}: {self.ruled.because}" if self.ruled.because else str(self.reason)


UNRULED: Final = Ruled.nothing()  # what no late rule was asked about
type Known = Mapping[str, Profile]  # what each source knows of the customer, by the source's name


def seal(draft: Draft, known: Known, policy: Policy, now: float) -> Sealed | Unsent:
    """The event for Meta with what the sources know, or why there is none after all."""
    event = draft.event
    additions: list[Addition] = []
    kept_back: list[str] = []
    if known:
        known, kept_back = _admitted(_as_consented(draft, known), policy)
        event, additions = _joined(draft, known, policy)
    event, ruled, removed = _ruled(draft, event, known, policy, now) if draft.late else (event, UNRULED, [])
    if ruled.drop:
        return Unsent(Reason.DROPPED_BY_RULE, ruled)
    if reason := refusal(event, now):
        return Unsent(reason, ruled)
    return Sealed(
        event,
        additions,
        (*draft.notes, *[f"rule_fault: {fault}" for fault in ruled.faults], *kept_back, *removed, *remarks(event)),
        (*draft.rules, *ruled.names),
        ruled.test_event_code or draft.test_event_code,
        ruled,
    )


def unverified(draft: Draft, known: Known) -> str | None:
    """The source in which the event should have been found and was not; None where none is asked for."""
    return draft.verifier if draft.verifier and draft.verifier not in known else None


def _as_consented(draft: Draft, known: Known) -> Known:
    """Of whoever refused nothing is known but what his order is worth."""
    if draft.consent != Answer.DENIED:
        return known
    return {name: Profile(custom_data=profile.custom_data) for name, profile in known.items()}


def _admitted(known: Known, policy: Policy) -> tuple[Known, list[str]]:
    """The same without properties that may not go to Meta, and remarks about those."""
    keys = policy.privacy.custom_data
    if keys.admits_any:
        return known, []
    found = dict.fromkeys(name for profile in known.values() for name in profile.custom_data if not keys.admits(name))
    if not found:
        return known, []
    admitted = {
        source: profile._replace(custom_data={n: v for n, v in profile.custom_data.items() if n not in found})
        for source, profile in known.items()
    }
    return admitted, [f"personal_data_removed: custom_data.{name}" for name in found]


def _joined(draft: Draft, known: Known, policy: Policy) -> tuple[EventJson, list[Addition]]:
    """The event with what the sources know, and which source added what. What an event is worth, its verifier says."""
    pixel = policy.pixels.get(draft.pixel_id)
    event = draft.event
    additions: list[Addition] = []
    for name in dict.fromkeys((draft.verifier, *(pixel.enrich if pixel else ()))):
        if profile := known.get(name):
            event, addition = joined(event, name, profile, overrides=name == draft.verifier)
            additions.append(addition)
    return event, additions


def _ruled(
    draft: Draft, event: EventJson, known: Known, policy: Policy, now: float
) -> tuple[EventJson, Ruled, list[str]]:
    """The event as late rules have set it, what they decided, and remarks about what of theirs was removed."""
    moment = _sealing(draft, event, known, policy)
    ruled = policy.rules.decide_late(draft.late, moment, policy.hash_values(draft.pixel_id), now)
    if moment.event is event:
        return event, ruled, []
    made, removed = cleaned_of_rules(moment.event, ruled, policy.privacy, policy.clean_rules)
    limited = never_less_limited(made, event, ALLOWED)
    if limited is not made:
        taken_back(ruled)
    return ServerEvent.model_validate(limited).as_json(), ruled, removed


def _sealing(draft: Draft, event: EventJson, known: Known, policy: Policy) -> Sealing:
    pixel = policy.pixels.get(draft.pixel_id)
    facts = {name: value for profile in known.values() for name, value in profile.facts.items()}
    seen = {
        "consent": consent_of(draft.consent or "unknown", draft.consent_policy),
        "pixel": {"id": draft.pixel_id, "name": pixel.name if pixel else ""},
        "profile": facts,
    }
    return Sealing(event, draft.elements, seen, policy.rules.late_paths, policy.rules.late_elements)
