"""Decisions as the journal's records."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pixeltwin.consent.verdict import Answer, Treatment
from pixeltwin.delivery.journal import Journal, Record, State
from pixeltwin.gateway.consents import Said
from pixeltwin.gateway.items import content_of
from pixeltwin.mirror import Admission, Draft
from pixeltwin.pixel.hit import PixelHit, form_of
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason

JOURNAL_CHARACTERS: Final = 48 * 1024  # of one hit; in-app browsers send 32 KiB
SENT: Final = b"?"  # before a query; no JSON begins with it
LARGE: Final = 8 * 1024  # bytes of a hit


@dataclass  # frozen by its types alone, like a hit
class Entry:
    """What the journal is told of a hit and its twin. Few are looked at, so it becomes a record only then.

    Until then the hit's `parameters`, as people may see them, are a query or JSON, and the twin is the `payload` that
    the outbox gets, empty for none: what the hit was decided with, kept for a thousand hits, would be too much for the
    processor's caches.
    """

    record_id: Final[str]
    received_at: Final[float]
    pixel_id: Final[str]
    parameters: Final[bytes]
    payload: Final[bytes]
    rules: Final[Sequence[str]]
    origins: Final[Mapping[str, str]]
    consent: Final[str]
    referer: Final[str]
    relay: Final[str]
    state: Final[State]
    detail: Final[str]
    is_large: Final[bool]

    def tell(self, journal: Journal) -> None:
        """Of a large hit less is kept."""
        if self.is_large:
            journal.add(self.record())
        else:
            journal.add_later(self)

    def record(self) -> Record:
        hit = _read(self.parameters)
        draft = content_of(self.payload)
        event = draft.get("event")
        return Record(
            id=self.record_id,
            received_at=self.received_at,
            pixel_id=self.pixel_id,
            event_name=event["event_name"] if event else hit.event_name,
            event_id=event["event_id"] if event else hit.event_id,
            source_url=hit.get("dl") or self.referer,
            state=self.state,
            detail=self.detail,
            relay=self.relay,
            hit=_with_room(hit.parameters),
            twin=event,
            origins={name: f"rule {rule}" for name, rule in self.origins.items()} if event else {},
            rules=tuple(self.rules),
            consent=self.consent,
            notes=tuple(draft.get("notes", ())),
        )


def entries_of(
    request: HitRequest, admission: Admission, record_id: str, relay: str, states: Sequence[State], detail: str
) -> list[Entry]:
    """An entry for each twin, or one for a hit that gets none; none for what is no hit at all."""
    hit = admission.hit
    if hit is None:
        return []
    at, parameters = request.received_at, _written(hit)
    rules, origins = (admission.ruled.names, admission.ruled.origins) if admission.ruled else ((), {})
    consent, referer, relay = admission.verdict.told, _referer(admission), browsers_copy(admission, relay)
    is_large = len(request.query) + len(request.body) > LARGE
    twins = [(twin.record_id, twin.pixel_id, twin.payload, states[place]) for place, twin in enumerate(admission.twins)]
    return [
        Entry(id_, at, pixel_id, parameters, payload, rules, origins, consent, referer, relay, state, detail, is_large)
        for id_, pixel_id, payload, state in twins or [(record_id, hit.pixel_id, b"", State.SKIPPED)]
    ]


def tell_answer(journal: Journal, said: Said) -> None:
    """Tell of what waited of the browser that its visitor's answer has released or purged it."""
    granted = said.answer is Answer.GRANTED
    concerned = (State.HELD,) if granted else (State.HELD, State.QUEUED, State.LATER)
    dropped = {"state": State.DROPPED, "detail": Reason.CONSENT_DENIED}
    changes: dict[str, Any] = {"state": State.QUEUED} if granted else dropped
    for record in journal.latest(sys.maxsize):
        browser = ((record.twin or {}).get("user_data") or {}).get("fbp")
        if record.state in concerned and record.pixel_id in said.pixels and browser == said.browser:
            journal.update(record.id, **changes)


def record_of_server_event(request: HitRequest, draft: Draft, state: State) -> Record:
    event = draft.event
    return Record(
        id=draft.record_id,
        received_at=request.received_at,
        pixel_id=draft.pixel_id,
        event_name=event["event_name"],
        event_id=event["event_id"],
        source_url=event.get("event_source_url", ""),
        state=state,
        twin=event,
    )


def browsers_copy(admission: Admission, relay: str) -> str:
    """Who brings the browser's copy to Meta (`relay`), or that it is `held` for consent or `withheld`."""
    if admission.withheld:
        return "withheld"
    return "held" if relay == "background" and admission.verdict.relay is Treatment.HOLD else relay


def _referer(admission: Admission) -> str:
    """The page that the browser's copy names: of personal data in it, the copy alone was freed."""
    return admission.relay.header("referer") if admission.relay else ""


def _written(hit: PixelHit) -> bytes:
    """The parameters as people may see them: as they were sent if that may be, else as JSON, by name or as pairs."""
    if not hit.is_shown:
        return orjson.dumps(hit.shown())
    return SENT + hit.query if hit.query else orjson.dumps(hit.last)


def _read(written: bytes) -> PixelHit:
    if written.startswith(SENT):
        return PixelHit.of(form_of(written[len(SENT) :].decode("utf-8", "replace")))
    found = orjson.loads(written)
    return PixelHit.of(found if isinstance(found, dict) else tuple((name, value) for name, value in found))


def _with_room(parameters: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters as far as the journal has room: it keeps the latest hits, hostile ones among them."""
    room = JOURNAL_CHARACTERS
    shown: list[tuple[str, str]] = []
    for name, value in parameters:
        room -= len(name) + len(value)
        if room < 0:
            return [*shown, ("…", "(longer than the journal keeps)")]
        shown.append((name, value))
    return shown
