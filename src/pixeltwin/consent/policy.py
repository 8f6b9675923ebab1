"""Consent, decided once for each hit, before anything is relayed or looked up (THREATS T16).

The first policy that applies where the visitor is asks all its signals: denied by any is denied, otherwise granted by
any is granted, otherwise unknown.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict

from pixeltwin.consent.limited_data_use import limits_of, limits_of_page
from pixeltwin.consent.outcome import ALLOW, DROP, Outcome, OutcomeText, check_denied
from pixeltwin.consent.places import PlaceCode, codes, codes_of
from pixeltwin.consent.signal import at_least_one, signal_type
from pixeltwin.consent.verdict import ALLOWED, Answer, Treatment, Verdict
from pixeltwin.kinds import FROZEN
from pixeltwin.pixel.visit import Place, Visit

if TYPE_CHECKING:
    from pixeltwin.consent.signal import SignalSettings as Signal
else:
    Signal = signal_type()

FIRST_HEARD: Final = (Answer.DENIED, Answer.GRANTED)


class ConsentPolicy(BaseModel):
    """Where it applies (everywhere without `where`), the signals it reads, and what follows if they do not grant."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    where: Annotated[tuple[PlaceCode, ...], AfterValidator(at_least_one)] | None = None
    read: Annotated[tuple[Signal, ...], AfterValidator(at_least_one)]
    unknown: OutcomeText = DROP
    denied: Annotated[OutcomeText, AfterValidator(check_denied)] = DROP

    @cached_property
    def _codes(self) -> frozenset[str] | None:
        return None if self.where is None else codes(self.where)

    def applies(self, place: Place) -> bool:
        """Whether visitors there are meant."""
        return self._codes is None or not self._codes.isdisjoint(codes_of(place))

    def verdict(self, name: str, visit: Visit) -> Verdict:
        """What this policy, which goes by that name, decides about a visit."""
        answer, signal = self._hear(visit)
        outcome = self._outcomes[answer]
        return Verdict(
            relay=outcome.relay.treatment,
            twin=outcome.twin.treatment,
            policy=name,
            signal=signal,
            answer=answer,
            hold_seconds=outcome.hold_seconds,
            limits=limits_of(visit.place) if outcome.is_limited else None,
        )

    @property
    def _outcomes(self) -> Mapping[Answer, Outcome]:
        return {Answer.GRANTED: ALLOW, Answer.UNKNOWN: self.unknown, Answer.DENIED: self.denied}

    def _hear(self, visit: Visit) -> tuple[Answer, str]:
        heard: dict[Answer, str] = {}
        for signal in self.read:
            heard.setdefault(signal.read(visit), signal.kind)
        return next(((answer, heard[answer]) for answer in FIRST_HEARD if answer in heard), (Answer.UNKNOWN, ""))


def decide(policies: Mapping[str, ConsentPolicy], visit: Visit) -> Verdict:
    """What becomes of the hit. Where no policy applies it is allowed, as far as the page itself allows it."""
    verdict, limits = _verdict(policies, visit), limits_of_page(visit.hit)
    if limits is None:
        return verdict
    return replace(verdict, twin=max(verdict.twin, Treatment.LIMIT), limits=limits)


def _verdict(policies: Mapping[str, ConsentPolicy], visit: Visit) -> Verdict:
    for name, policy in policies.items():
        if policy.applies(visit.place):
            return policy.verdict(name, visit)
    return ALLOWED
