"""What becomes of the two copies of a hit, the browser's and the twin, after the visitor was heard."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from pixeltwin.consent.limited_data_use import GEOLOCATE, Limits


class Answer(StrEnum):
    """What the visitor said about advertising."""

    GRANTED = "granted"
    DENIED = "denied"
    UNKNOWN = "unknown"


class Treatment(IntEnum):
    """What becomes of a copy. The greater one is the more restricted."""

    ALLOW = 0
    LIMIT = 1  # Meta gets it marked for limited data use
    HOLD = 2  # it waits for consent, and ends without
    DROP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided about one hit, by which policy and by the word of which signal (both may be empty).

    `relay` is for the browser's copy, `twin` for ours, and ours is never less restricted: a lesser `twin` becomes
    `relay`. What is held is held for `hold_seconds`. `limits` is Meta's country and state for whatever is limited;
    a copy that is held meanwhile goes out with them too.
    """

    relay: Treatment
    twin: Treatment
    policy: str = ""
    signal: str = ""
    answer: Answer = Answer.UNKNOWN
    hold_seconds: float = 0.0
    limits: Limits | None = None

    @property
    def told(self) -> str:
        """The visitor's answer and who asked, such as `granted (eu)`; empty where nobody asked."""
        return f"{self.answer} ({self.policy})" if self.policy else ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "twin", max(self.relay, self.twin))
        if self.limits is None and Treatment.LIMIT in (self.relay, self.twin):
            object.__setattr__(self, "limits", GEOLOCATE)


ALLOWED: Final = Verdict(relay=Treatment.ALLOW, twin=Treatment.ALLOW)
