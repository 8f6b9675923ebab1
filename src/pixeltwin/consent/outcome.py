"""What a policy does with the two copies of a hit, as people write it: `drop`, `hold 30m`, `{ relay: …, twin: … }`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, PlainValidator, model_validator

from pixeltwin.consent.verdict import Treatment
from pixeltwin.kinds import FROZEN
from pixeltwin.units import DURATION, duration_text, parse_duration, text_type, wrong

LONGEST_HOLD: Final = parse_duration("48h")  # afterwards Meta would count the twin as a second event
WORDS: Final = {"allow": Treatment.ALLOW, "limit": Treatment.LIMIT, "drop": Treatment.DROP}
WRITTEN: Final = Literal["allow", "limit", "drop"] | text_type(rf"hold +{DURATION} *")


@dataclass(frozen=True, slots=True)
class Treated:
    """What becomes of one copy, and how long it waits if it is held."""

    treatment: Treatment
    hold_seconds: float = 0.0

    def __str__(self) -> str:
        return f"hold {duration_text(self.hold_seconds)}" if self.hold_seconds else self.treatment.name.lower()


def parse_treated(written: Any) -> Treated:
    """From `allow`, `limit`, `drop`, or `hold` and a duration."""
    if isinstance(written, Treated):
        return written
    word, _, duration = written.partition(" ") if isinstance(written, str) else ("", "", "")
    if word == "hold":
        return Treated(Treatment.HOLD, _parse_hold(duration.strip()))
    if duration or word not in WORDS:
        raise wrong("write allow, limit, drop, or hold and for how long, such as hold 30m")
    return Treated(WORDS[word])


def _parse_hold(duration: str) -> float:
    if not duration:
        raise wrong("write for how long, such as hold 30m")
    seconds = parse_duration(duration)
    if seconds > LONGEST_HOLD:
        raise wrong("hold for 48h at most: Meta counts a twin that comes later as a second event")
    return seconds


TreatedText = Annotated[Treated, PlainValidator(parse_treated, json_schema_input_type=WRITTEN), PlainSerializer(str)]


class Outcome(BaseModel):
    """What becomes of the two copies: of the browser's own, `relay`, and of its `twin`."""

    model_config = ConfigDict(**FROZEN, hide_input_in_errors=True)

    relay: TreatedText
    twin: TreatedText

    @model_validator(mode="after")
    def _twin_is_as_restricted(self) -> Self:
        if self.twin.treatment < self.relay.treatment:
            raise wrong(
                "restrict the twin as much as relay, or more: what Meta does not get from the visitor's browser "
                "it must not get from your server",
                at=("twin",),
            )
        if self.relay.hold_seconds and self.twin.hold_seconds not in (0, self.relay.hold_seconds):
            raise wrong("hold both copies for the same time: one answer releases both", at=("twin",))
        return self

    @property
    def hold_seconds(self) -> float:
        return max(self.relay.hold_seconds, self.twin.hold_seconds)

    @property
    def is_limited(self) -> bool:
        return Treatment.LIMIT in (self.relay.treatment, self.twin.treatment)


def for_both(written: Any) -> Any:
    """One word is for both copies."""
    if isinstance(written, Mapping | Outcome):
        return written
    treated = parse_treated(written)
    return Outcome(relay=treated, twin=treated)


def as_written(outcome: Outcome) -> str | dict[str, str]:
    """The outcome as it stands in the file."""
    relay, twin = str(outcome.relay), str(outcome.twin)
    return relay if relay == twin else {"relay": relay, "twin": twin}


def check_denied(outcome: Outcome) -> Outcome:
    """An outcome for visitors who said no: nothing goes on as before, and there is nothing to wait for."""
    if outcome.relay.treatment is Treatment.ALLOW:
        raise wrong("write limit or drop, for each copy: the visitor said no")
    if outcome.hold_seconds:
        raise wrong("write limit or drop: hold is for visitors who have not been heard yet")
    return outcome


ALLOW: Final = Outcome(relay=Treated(Treatment.ALLOW), twin=Treated(Treatment.ALLOW))
DROP: Final = Outcome(relay=Treated(Treatment.DROP), twin=Treated(Treatment.DROP))
OutcomeText = Annotated[Outcome, BeforeValidator(for_both, WRITTEN | Outcome), PlainSerializer(as_written)]
