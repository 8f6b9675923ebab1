"""A twin before look-ups, as the outbox keeps it: JSON, its event last."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from pixeltwin.capi.event import EventJson, check
from pixeltwin.enrich.source import NOTHING


class Draft(NamedTuple):
    """The event as the browser knows it, and what was decided about it when it arrived.

    `keys` name the customer in each source that may be asked. `notes` are remarks about the hit; `record_id` names the
    journal's record of it. `rules` are those that held, `late` those still to be asked, with the data `elements` that
    they ask for; `config` names the config that decided. `credential` names the rule whose token the twin is sent
    with. `verifier` is the source in which the event must be found. `consent` is the visitor's answer; `remember`: what
    the browser told may be remembered.
    """

    pixel_id: str
    event: EventJson
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
        said = self._asdict()
        return _written(said, said.pop("event"))

    @classmethod
    def from_bytes(cls, payload: bytes) -> "Draft":
        """The draft of these bytes, its event validated. Raises `ValueError` for what is none."""
        said = orjson.loads(payload)
        if not _is_draft(said):
            raise ValueError("this is no draft, or that of a newer version")
        check(said["event"])
        for name in LISTS:
            if name in said:
                said[name] = tuple(said[name])
        return cls._make({**DEFAULTS, **said}.values())


@dataclass  # frozen by its types alone, like a hit
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


DEFAULTS: Final[Mapping[str, Any]] = {**dict.fromkeys(Draft._fields), **Draft._field_defaults}  # in the fields' order
LISTS: Final = ("notes", "rules", "late")
TEXTS: Final = ("record_id", "test_event_code", "credential", "verifier", "consent", "consent_policy", "config")
KINDS: Final[Mapping[str, type]] = {  # of a draft's fields, as JSON has them
    **dict.fromkeys(("pixel_id", *TEXTS), str),
    **dict.fromkeys(LISTS, list),
    **dict.fromkeys(("event", "keys", "elements"), dict),
    **dict.fromkeys(("remember", "from_server"), bool),
}
EVENT: Final = b',"event":{'  # quotes in texts are escaped, and before it no object has others inside


def record_id_of(payload: bytes) -> str:
    """The `record_id` of a draft's bytes, in a small part of the time of reading them; "" for what is no draft."""
    head, _, _ = payload.partition(EVENT)
    try:
        known = orjson.loads(head + b"}")
        if "record_id" not in known:  # an older version's had it behind
            known = orjson.loads(payload)
        return str(known.get("record_id", ""))
    except ValueError:
        return ""


def _written(said: Mapping[str, Any], event: Any) -> bytes:
    """The bytes of a draft that says all this."""
    kept = {name: value for name, value in said.items() if value}
    kept["event"] = event
    return orjson.dumps(kept)


def _is_draft(said: Any) -> bool:
    if not (isinstance(said, dict) and "pixel_id" in said and "event" in said):
        return False
    return {name: type(value) for name, value in said.items()}.items() <= KINDS.items()
