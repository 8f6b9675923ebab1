"""A twin before look-ups, as the outbox keeps it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import ClassVar, Final

import orjson
from pydantic import ConfigDict, TypeAdapter

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

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

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
        return orjson.dumps({**stored, "event": orjson.Fragment(self.event.as_bytes())})

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        """The draft of these bytes. Raises `ValueError` for what is none."""
        return READER.validate_json(payload)


NAMES: Final = tuple(known.name for known in fields(Draft))
READER: Final = TypeAdapter(Draft)


def record_id_of(payload: bytes) -> str:
    """The `record_id` of a draft's bytes, which costs a fifth of reading them; "" for what is no draft."""
    with suppress(ValueError, AttributeError):
        return str(orjson.loads(payload).get("record_id", ""))
    return ""
