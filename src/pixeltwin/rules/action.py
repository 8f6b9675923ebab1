"""What a rule does to an event: its `then:`, and how the four sections are set on a server event."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from pixeltwin.capi.event import HASHED
from pixeltwin.mapping.json_body import HashValues
from pixeltwin.rules import values
from pixeltwin.rules.moment import Moment
from pixeltwin.rules.sections import (
    Changes,
    CustomDataSection,
    Section,
    ServerEventSection,
    TestEventSection,
    UserDataFields,
)
from pixeltwin.rules.values import ScalarValue, SeveralValues, Value
from pixeltwin.units import text_type, wrong

SEGMENT: Final = "customer_segmentation"  # belongs into custom_data, though Meta's table lists it beside (PROTOCOL 1.4)

PIXEL_ID: Final = re.compile(r"[0-9]{1,32}")

Leg = Literal["twin", "both"]


def _share(written: Any) -> Any:
    """`10%` or 0.1."""
    if isinstance(written, str) and written.endswith("%"):
        try:
            return float(written[:-1]) / 100
        except ValueError:
            raise wrong("write a share such as 10% or 0.1") from None
    return written


Fraction = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[Fraction, BeforeValidator(_share, Fraction | text_type(r"[^%]+%"))]


class OtherPixel(Section):
    """Where the twin goes instead: a pixel that is configured, or one with an `access_token` of its own."""

    id: ScalarValue
    access_token: SecretStr | None = None

    @model_validator(mode="after")
    def _is_named_here(self) -> Self:
        """Nobody but the config file decides where a token goes, and with it the event."""
        if self.access_token and not (isinstance(self.id, values.Literal) and PIXEL_ID.fullmatch(str(self.id.value))):
            raise wrong(
                'write the pixel\'s digits as its id, in quotes, or "{{ name }}" of an element of kind env', ("id",)
            )
        return self


class Action(Section):
    """What is done where the rule holds.

    `drop` ends it all: the twin, or both copies. `rename` renames both copies, so that Meta still tells duplicates
    apart. `pixels` are those that get a twin, by name or id; `pixel` is one with a token of its own. `sample` is the
    share of events that get a twin. `server_event`, `user_data`, `custom_data` and `test_event` set fields of the twin.
    """

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})

    drop: Leg | None = None
    rename: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    pixels: SeveralValues = ()
    pixel: OtherPixel | None = None
    sample: Share | None = None
    server_event: ServerEventSection | None = None
    user_data: UserDataFields | None = None
    custom_data: CustomDataSection | None = None
    test_event: TestEventSection | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.model_fields_set:
            raise wrong(f"say what to do: {', '.join(type(self).model_fields)}")
        if self.drop and len(self.model_fields_set) > 1:
            raise wrong("write drop alone: nothing else happens to an event that is dropped", at=("drop",))
        if self.pixel and self.pixels:
            raise wrong("write pixels or pixel", at=("pixel",))
        if "pixels" in self.model_fields_set and not self.pixels:
            raise wrong("name at least one; drop: twin is for events that get none", at=("pixels",))
        return self

    @property
    def destinations(self) -> tuple[Value, ...]:
        """Whatever names a pixel that gets a twin."""
        return (*self.pixels, *([self.pixel.id] if self.pixel else ()))

    @property
    def early(self) -> str:
        """What of it decides about something that must be known before the browser is answered; empty for nothing."""
        if self.drop == "both":
            return "drop"
        return next((name for name in ("rename", "pixels", "pixel", "sample") if getattr(self, name)), "")

    @property
    def changes_what_matches(self) -> bool:
        """Whether it may set what later rules look at."""
        return bool(self.rename or self.server_event or self.custom_data)


@dataclass
class Applied:
    """What a rule has set: the fields as `custom_data.value`, and those that gave nothing that can be used."""

    fields: list[str]
    faults: list[str]


def apply(action: Action, moment: Moment, hash_values: HashValues, now: float) -> Applied:
    """Set the sections' fields on the moment's event."""
    applied = Applied([], [])
    if action.server_event:
        _set_server_event(moment, action.server_event.changes(moment, now), applied)
    if action.user_data:
        _set_user_data(moment, action.user_data.changes(moment, hash_values), applied)
    if action.custom_data:
        _set_custom_data(moment, action.custom_data, applied)
    return applied


def _set_server_event(moment: Moment, changes: Changes, applied: Applied) -> None:
    segment = changes.found.pop(SEGMENT, None)
    applied.fields += changes.found
    applied.faults += changes.faults
    if segment is not None:
        applied.fields.append(f"custom_data.{SEGMENT}")
        changes.found["custom_data"] = {**moment.custom_data, SEGMENT: segment}
    if changes.found:
        moment.set(changes.found)


def _set_user_data(moment: Moment, changes: Changes, applied: Applied) -> None:
    """The browser's own hash stays first; ours follow where they differ (PROTOCOL 1.5.3)."""
    given = {**moment.event["user_data"]}
    for key, value in changes.found.items():
        given[key] = [*dict.fromkeys((*given.get(key, ()), *value))] if key in HASHED else value
    applied.fields += [f"user_data.{key}" for key in changes.found]
    applied.faults += [f"user_data.{key}" for key in changes.faults]
    if changes.found:
        moment.set({"user_data": given})


def _set_custom_data(moment: Moment, section: CustomDataSection, applied: Applied) -> None:
    changes = section.changes(moment)
    applied.fields += [f"custom_data.{key}" for key in changes.found]
    applied.faults += [f"custom_data.{key}" for key in changes.faults]
    made = {**moment.custom_data, **changes.found}
    for key in section.remove:
        if key not in changes.found:
            made.pop(key, None)
    moment.set({"custom_data": made})
