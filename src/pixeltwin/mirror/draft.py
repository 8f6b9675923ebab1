"""A twin before look-ups, as the outbox keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from pixeltwin.capi.event import ServerEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The event as the browser knows it, and what was decided about it when it arrived.

    `keys` name the customer in each source that may be asked. `notes` are remarks about the hit; `record_id` names the
    journal's record of it. `rules` are those that held, `late` those still to be asked, with the data `elements` that
    they ask for; `config` names the config that decided. `credential` names the rule whose token the twin is sent
    with. `verifier` is the source in which the event must be found. `consent` is the visitor's answer; `remember`: what
    the browser told may be remembered.
    """

    pixel_id: str
    event: ServerEvent
    keys: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    record_id: str = ""
    test_event_code: str = ""
    rules: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    elements: Mapping[str, str] = field(default_factory=dict)
    credential: str = ""
    verifier: str = ""
    consent: str = ""
    consent_policy: str = ""
    remember: bool = False
    from_server: bool = False
    config: str = ""

    def as_bytes(self) -> bytes:
        """JSON of whatever is not as by default."""
        stored = {name: value for name in NAMES if (value := getattr(self, name))}
        return orjson.dumps({**stored, "event": self.event.as_json()})

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        """The draft of these bytes. Raises `ValueError`, `KeyError` or `TypeError` for what is none."""
        stored: dict[str, Any] = orjson.loads(payload)
        event = ServerEvent.model_validate(stored.pop("event"))
        lists = {name: tuple(value) for name, value in stored.items() if isinstance(value, list)}
        return cls(event=event, **{**stored, **lists})


NAMES = tuple(known.name for known in fields(Draft))
