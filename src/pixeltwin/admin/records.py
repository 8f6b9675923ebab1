"""Records of the journal as JSON."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from pixeltwin.delivery.journal import Journal, Record, State

SUMMARY: Final = (
    "id",
    "received_at",
    "pixel_id",
    "event_name",
    "event_id",
    "source_url",
    "state",
    "detail",
    "relay",
    "rules",
    "consent",
    "origins",
)
SECRET: Final = "access_token"  # noqa: S105  the name of one; no record should hold any
MASK: Final = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records are wanted: of an event name, in a state; empty and None stand for all."""

    event: str = ""
    state: State | None = None

    def newest(self, journal: Journal, limit: int) -> list[Record]:
        return [record for record in journal.latest(sys.maxsize) if self._wants(record)][:limit]

    def _wants(self, record: Record) -> bool:
        return self.event in ("", record.event_name) and self.state in (None, record.state)


class Json(Response):
    """A JSON answer, in ASCII: a hit may hold what is no valid UTF-8."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content).encode()


def summary(record: Record, pixels: Mapping[str, str]) -> dict[str, Any]:
    """The record without hit and twin, its notes by their kinds alone; `pixels` are names by id."""
    fields = {name: getattr(record, name) for name in SUMMARY}
    kinds = list(dict.fromkeys(note.partition(":")[0] for note in record.notes))
    return fields | {"notes": kinds, "pixel_name": pixels.get(record.pixel_id, "")}


def full(record: Record, pixels: Mapping[str, str]) -> dict[str, Any]:
    """The whole record."""
    hit = [(name, MASK if name == SECRET else value) for name, value in record.hit]
    return summary(record, pixels) | {"notes": record.notes, "hit": hit, "twin": masked(record.twin)}


def masked(value: Any) -> Any:
    """The same without secrets, at any depth."""
    if isinstance(value, Mapping):
        return {key: MASK if key == SECRET else masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def to_json(value: Any) -> str:
    """The value as one line of ASCII."""
    return json.dumps(value, separators=(",", ":"))
