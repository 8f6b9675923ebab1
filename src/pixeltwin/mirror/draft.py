"""A twin before look-ups, as the outbox keeps it.

Its event is the last of its JSON, so that it can be cut out of it: what nobody adds to is sent as it was kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from pydantic import TypeAdapter

from pixeltwin.capi.event import EventJson, ServerEvent

NOTHING: Final[Mapping[str, str]] = {}  # of a type that nobody can write to; pydantic copies no proxy of one


class Draft(NamedTuple):
    """The event as the browser knows it, and what was decided about it when it arrived.

    `keys` name the customer in each source that may be asked. `notes` are remarks about the hit; `record_id` names the
    journal's record of it. `rules` are those that held, `late` those still to be asked, with the data `elements` that
    they ask for; `config` names the config that decided. `credential` names the rule whose token the twin is sent
    with. `verifier` is the source in which the event must be found. `consent` is the visitor's answer; `remember`: what
    the browser told may be remembered.
    """

    pixel_id: str
    event: ServerEvent
    keys: Mapping[str, str] = NOTHING
    notes: tuple[str, ...] = ()
    record_id: str = ""
    test_event_code: str = ""
    rules: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    elements: Mapping[str, str] = NOTHING
    credential: str = ""
    verifier: str = ""
    consent: str = ""
    consent_policy: str = ""
    remember: bool = False
    from_server: bool = False
    config: str = ""

    def as_bytes(self) -> bytes:
        """JSON of whatever is not as by default."""
        said = {name: getattr(self, name) for name in NAMES}
        return _written(said, orjson.Fragment(self.event.as_bytes()))

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        """The draft of these bytes. Raises `ValueError` for what is none."""
        return read_draft(payload).draft


@dataclass(slots=True)  # frozen by its types alone, like a hit
class Twin:
    """A draft on its way into the outbox: written, and read and validated by whoever takes it out.

    `event` is what Meta would get of it, and `notes` are the draft's.
    """

    pixel_id: Final[str]
    record_id: Final[str]
    event: Final[EventJson]
    notes: Final[tuple[str, ...]]
    payload: Final[bytes]

    @classmethod
    def of(cls, event: EventJson, said: Mapping[str, Any]) -> "Twin":
        """The twin of a draft that says all this."""
        return cls(said["pixel_id"], said["record_id"], event, said["notes"], _written(said, event))

    @property
    def draft(self) -> Draft:
        return Draft.from_bytes(self.payload)


class Kept(NamedTuple):
    """A draft as it was kept. `printed` are its event's own bytes, empty where they lie elsewhere than at the end."""

    draft: Draft
    printed: bytes = b""


NAMES: Final = tuple(name for name in Draft._fields if name != "event")
LISTS: Final = frozenset({"notes", "rules", "late"})
READER: Final = TypeAdapter(Draft)
READ_EVENT: Final = TypeAdapter(ServerEvent).validator.validate_json
EVENT: Final = b',"event":{'  # quotes in texts are escaped, and before it no object has others inside
RECORD_ID: Final = b'"record_id"'


def read_draft(payload: bytes) -> Kept:
    """The draft of these bytes. Raises `ValueError` for what is none.

    What was kept is ours, and its checksum was right: only the event is validated, in half the time of everything.
    """
    head, _, rest = payload.partition(EVENT)
    printed = b"{" + rest.removesuffix(b"}")
    try:
        return Kept(Draft(event=READ_EVENT(printed), **_head(head)), printed)
    except (ValueError, TypeError):  # an older version's, or none of ours
        return Kept(READER.validate_json(payload))


def record_id_of(payload: bytes) -> str:
    """The `record_id` of a draft's bytes, in a small part of the time of reading them; "" for what is no draft."""
    head, _, rest = payload.partition(EVENT)
    try:
        known = orjson.loads(payload if RECORD_ID in rest else head + b"}")  # an older version's had it behind
        return str(known.get("record_id", ""))
    except (ValueError, AttributeError):
        return ""


def _written(said: Mapping[str, Any], event: Any) -> bytes:
    """The bytes of a draft that says all this."""
    kept = {name: value for name, value in said.items() if value}
    kept["event"] = event
    return orjson.dumps(kept)


def _head(head: bytes) -> dict[str, Any]:
    """What stands before the event."""
    return {name: tuple(value) if name in LISTS else value for name, value in orjson.loads(head + b"}").items()}
