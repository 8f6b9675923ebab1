"""What the outbox holds as JSON: one item, one letter, and a pixel's sums.

Look-up keys and the answers of data elements stay inside: they may be personal data in plain text.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from pixeltwin.admin.records import masked
from pixeltwin.delivery.outbox import Letter, Park, Waiting
from pixeltwin.gateway.items import content_of

OWN: Final = ("rules", "late", "notes", "config", "consent", "test_event_code", "record_id")  # of a draft, shown
MOST_PARAMETERS: Final = 1000


@dataclass(slots=True, kw_only=True)
class PixelLine:
    """How it stands with one pixel's items for one destination.

    `retrying` have failed before; what is under lease counts as ready or retrying. `oldest_at` is when the oldest was
    appended that needs no release, `last_error` the reason of the latest failure that is known.
    """

    destination: str
    pixel_id: str
    ready: int = 0
    retrying: int = 0
    held: int = 0
    dead: int = 0
    expired: int = 0
    oldest_at: float | None = None
    last_error: str = ""
    parked_until: float | None = None
    parked_because: str = ""
    last_at: float = -math.inf

    def add_waiting(self, item: Waiting) -> None:
        state = _state(item)
        setattr(self, state, getattr(self, state) + 1)
        if not item.held:
            self.oldest_at = min(self.oldest_at or math.inf, item.appended_at)
        if item.last_reason:
            self._fail(item.due, item.last_reason)  # what was tried last is due last

    def add_letter(self, letter: Letter) -> None:
        state = _state(letter)
        setattr(self, state, getattr(self, state) + 1)
        if not self.retrying:
            self._fail(letter.at, letter.reason)

    def park(self, park: Park) -> None:
        self.parked_until, self.parked_because = park.until, park.reason

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "last_at"}

    def _fail(self, at: float, reason: str) -> None:
        if at >= self.last_at:
            self.last_at, self.last_error = at, reason


def entry(item: Letter | Waiting, *, full: bool) -> dict[str, Any]:
    """The item or letter; only a `full` one has its event, as Meta would get it without look-ups."""
    content = content_of(item.payload)
    told = {
        "state": _state(item),
        "seq": item.seq,
        "destination": item.destination,
        "pixel_id": item.pixel_id,
        **_name(content),
        **{name: _finite(getattr(item, name)) for name in _fields(item)},
    }
    if not full:
        return told
    return told | {name: content[name] for name in OWN if name in content} | {"event": masked(_event(content))}


def _fields(item: Letter | Waiting) -> Iterable[str]:
    if isinstance(item, Letter):
        return "reason", "code", "at", "appended_at", "attempts", "deadline"
    return "last_reason", "due", "appended_at", "attempts", "deadline", "priority"


def _state(item: Letter | Waiting) -> str:
    if isinstance(item, Letter):
        return "expired" if item.is_expired else "dead"
    return "held" if item.held else "retrying" if item.attempts or item.last_reason else "ready"


def _event(content: Mapping[str, Any]) -> Any:
    """The twin; of a browser's copy, which is no draft, the request."""
    return content.get("event") if "event" in content else dict(content) or None


def _name(content: Mapping[str, Any]) -> dict[str, str]:
    """Event name and id: a twin's own, or those that a browser's copy bears in its parameters."""
    event = content.get("event")
    if isinstance(event, dict):
        return {name: str(event.get(name, "")) for name in ("event_name", "event_id")}
    parameters = {**_parameters(content.get("body")), **_parameters(content.get("query"))}
    return {"event_name": parameters.get("ev", ""), "event_id": parameters.get("eid", "")}


def _parameters(text: Any) -> Mapping[str, str]:
    try:
        return dict(parse_qsl(text if isinstance(text, str) else "", max_num_fields=MOST_PARAMETERS))
    except ValueError:
        return {}


def _finite(value: Any) -> Any:
    """JSON has no infinity: what has no deadline has `null`."""
    return None if value == math.inf else value
