"""One gateway: its outbox, its workers, its journal."""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final, Literal

from pixeltwin import kinds
from pixeltwin.capi.event import ServerEvent
from pixeltwin.config import Config
from pixeltwin.delivery.journal import Journal, Record, State
from pixeltwin.delivery.outbox import Appended, Depth, NewItem, Outbox
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.destinations.pixel_relay import PixelRelay, relay_payload
from pixeltwin.enrich.source import Source
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.relays import Relays
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import Admission, Decide, Draft, Ingested, admit, admit_ingest
from pixeltwin.pixel.hit import PixelHit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import MARK
from pixeltwin.telemetry import HITS, OUTBOX, log

LINGER: Final = 0.1  # seconds a batch may fill; Meta wants events in real time, batches want company
JOURNAL_CHARACTERS: Final = 48 * 1024  # of one hit; in-app browsers send 32 KiB
DRAIN_SECONDS: Final = 7.0  # of the 10 that a stop may take

type Relay = Literal["native", "background", "browser", "none"]  # who brings the browser's copy to Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What was done about a request: the decision, the journal's record of it, and who relays the browser's copy.

    `state` and `detail` say what became of the twin so far, as the journal does.
    """

    admission: Admission
    record_id: str
    relay: Relay
    state: State
    detail: str


class Gateway:
    """Takes hits, keeps them, delivers them. `relay` is what pixels do that name no relay of their own."""

    def __init__(self, config: Config, *, relay: Relay) -> None:
        self.config = config
        self.journal = Journal()
        self.policy = policy_of(config)
        self._pixels = {pixel.id: pixel for pixel in config.pixels}
        self._relays = {pixel.id: pixel.relay or relay for pixel in config.pixels}
        self._outbox: Outbox | None = None
        self._running: list[tuple[Worker, asyncio.Task[None]]] = []
        self._closers: list[Source | ConversionsApi | PixelRelay] = []

    async def open(self) -> None:
        """Open the outbox and the sources, start the workers. Raises `OSError` when a file cannot be used."""
        try:
            await self._open(self.config)
        except BaseException:
            await self.close()
            raise

    async def _open(self, config: Config) -> None:
        self._outbox = outbox = await _open_outbox(config)
        sources = _open_sources(config)
        self._closers.extend(sources.values())
        twins = Twins(config, sources, self.journal)
        relays = Relays({pixel.id: pixel.name for pixel in config.pixels})
        tokens = {pixel.id: pixel.access_token.get_secret_value for pixel in config.pixels}
        api = ConversionsApi(config.meta.graph, config.meta.graph_version, tokens)
        relay = PixelRelay(config.meta.pixel)
        self._closers.extend((api, relay))
        self._run(Worker(outbox, api, twins.prepare, twins.report, linger=LINGER))
        self._run(Worker(outbox, relay, relays.prepare, relays.report))

    async def handle(self, request: HitRequest, decide: Decide = admit) -> Handled:
        """Decide about a request and keep what follows from it; durable when it returns. Never raises for it."""
        record_id = self.journal.next_id()
        try:
            admission = decide(request, self.policy, record_id=record_id, random_below=secrets.randbelow)
        except Exception:
            log.exception("a hit could not be read")
            admission = Admission(skip=Reason.INTERNAL_ERROR)
        relay = self._relays.get(admission.hit.pixel_id, "none") if admission.relay and admission.hit else "none"
        state, detail = await self._keep(admission, relay)
        self._note(request, admission, record_id, relay, state, detail)
        return Handled(admission=admission, record_id=record_id, relay=relay, state=state, detail=detail)

    async def ingest(self, pixel_id: str, request: HitRequest) -> Ingested | Skip:
        """Keep the server events that were posted for a pixel; durable when it returns."""
        # a thousand events cost tens of milliseconds, which are the hits' while they are hashed here
        posted = await asyncio.to_thread(admit_ingest, pixel_id, request, self.policy)
        if isinstance(posted, Skip):
            self.count_skip(posted.reason)
            return posted
        drafts = [self._ingested(event, posted) for event in posted.events if isinstance(event, ServerEvent)]
        try:
            appended = await self._append([_twin(pixel_id, draft) for draft in drafts])
        except OSError as error:
            log.error("the outbox took nothing", error=str(error))
            self.count_skip(Reason.OUTBOX_FAILED)
            return Skip(Reason.OUTBOX_FAILED)
        for draft, kept in zip(drafts, appended, strict=True):
            self._note_ingested(pixel_id, request, draft, kept)
        return posted

    def count_skip(self, reason: Reason) -> None:
        """Count a request that a front door turned away before it could be a hit."""
        HITS.labels("other", State.SKIPPED, reason).inc()

    async def stats(self) -> Mapping[str, Depth]:
        """The outbox's depth by destination; sets the metrics' gauges on the way."""
        depths = await self._outbox.stats() if self._outbox else {}
        for destination, depth in depths.items():
            for state in ("ready", "leased", "dead"):
                OUTBOX.labels(destination, state).set(getattr(depth, state))
        return depths

    def ready(self) -> str | None:
        """Why the gateway cannot take hits; None when it can."""
        return None if self._outbox else "the outbox is not open"

    @property
    def config_digest(self) -> str:
        return self.config.digest

    @property
    def pixels(self) -> Mapping[str, str]:
        return {pixel.id: pixel.name for pixel in self.config.pixels}

    async def close(self) -> None:
        """Try once to deliver what is due, then let go of everything; what stays waits in the outbox."""
        for worker, _ in self._running:
            worker.stop()
        tasks = [task for _, task in self._running]
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        outbox, self._outbox = self._outbox, None
        for closer in self._closers:
            await closer.close()
        if outbox:
            await outbox.close()

    def _run(self, worker: Worker) -> None:
        self._running.append((worker, asyncio.create_task(worker.run())))

    async def _keep(self, admission: Admission, relay: Relay) -> tuple[State, str]:
        """Append the hit's items; answers the twin's state and why."""
        items = list(_items(admission, relay))
        try:
            appended = await self._append(items)
        except OSError as error:
            log.error("the outbox took nothing", error=str(error))
            return State.SKIPPED, Reason.OUTBOX_FAILED
        if admission.skip:
            return State.SKIPPED, admission.skip
        return (State.DUPLICATE, "") if appended[0] is Appended.DUPLICATE else (State.QUEUED, "")

    async def _append(self, items: list[NewItem]) -> list[Appended]:
        if not items:
            return []
        if self._outbox is None:
            raise OSError("the outbox is not open")
        return await self._outbox.append(items)

    def _ingested(self, event: ServerEvent, posted: Ingested) -> Draft:
        if not event.event_id:
            event = event.model_copy(update={"event_id": f"{MARK}{secrets.token_hex(16)}"})
        return Draft(event=event, record_id=self.journal.next_id(), test_event_code=posted.test_event_code)

    def _note_ingested(self, pixel_id: str, request: HitRequest, draft: Draft, kept: Appended) -> None:
        state, event = State.DUPLICATE if kept is Appended.DUPLICATE else State.QUEUED, draft.event
        HITS.labels(self._pixels[pixel_id].name, state, "").inc()
        self.journal.add(
            Record(
                id=draft.record_id,
                received_at=request.received_at,
                pixel_id=pixel_id,
                event_name=event.event_name,
                event_id=event.event_id,
                source_url=event.event_source_url or "",
                state=state,
                twin=event.as_json(),
            )
        )

    def _note(
        self, request: HitRequest, admission: Admission, record_id: str, relay: Relay, state: State, detail: str
    ) -> None:
        """Count and journal a hit. Skips of what is no hit at all are only counted: noise must not fill the ring."""
        hit = admission.hit
        pixel = self._pixels.get(hit.pixel_id) if hit else None
        HITS.labels(pixel.name if pixel else "other", state, detail).inc()
        if hit is not None:
            self.journal.add(_record(request, hit, admission, record_id, relay, state, detail))


def _items(admission: Admission, relay: Relay) -> chain[NewItem]:
    """The legs of one hit: its twin, and the browser's copy where we bring it to Meta."""
    return chain(_twin_leg(admission), _relay_leg(admission, relay))


def _twin_leg(admission: Admission) -> list[NewItem]:
    return [_twin(admission.hit.pixel_id, admission.draft)] if admission.draft and admission.hit else []


def _twin(pixel_id: str, draft: Draft) -> NewItem:
    """A draft's item. Meta de-duplicates by event name and id, so that is its key."""
    key = hashlib.blake2b(f"{draft.event.event_name}\0{draft.event.event_id}".encode(), digest_size=16).digest()
    return NewItem(destination=conversions_api.NAME, pixel_id=pixel_id, key=key, payload=draft.as_bytes())


def _relay_leg(admission: Admission, relay: Relay) -> list[NewItem]:
    if relay != "background" or not admission.relay or not (hit := admission.hit):
        return []
    payload = relay_payload(admission.relay)
    return [NewItem(destination=pixel_relay.NAME, pixel_id=hit.pixel_id, key=None, payload=payload)]


def _record(
    request: HitRequest,
    hit: PixelHit,
    admission: Admission,
    record_id: str,
    relay: Relay,
    state: State,
    detail: str,
) -> Record:
    event = admission.draft.event if admission.draft else None
    return Record(
        id=record_id,
        received_at=request.received_at,
        pixel_id=hit.pixel_id,
        event_name=hit.event_name,
        event_id=event.event_id if event else hit.event_id,
        source_url=hit.get("dl") or request.header("referer"),
        state=state,
        detail=detail,
        relay=relay,
        hit=_shown(hit),
        twin=event.as_json() if event else None,
        notes=admission.draft.notes if admission.draft else (),
    )


def _shown(hit: PixelHit) -> list[tuple[str, str]]:
    """The hit's parameters as far as the journal has room: it keeps the latest hits, hostile ones among them."""
    room = JOURNAL_CHARACTERS
    shown: list[tuple[str, str]] = []
    for name, value in hit.shown():
        room -= len(name) + len(value)
        if room < 0:
            return [*shown, ("…", "(longer than the journal keeps)")]
        shown.append((name, value))
    return shown


async def _open_outbox(config: Config) -> Outbox:
    engine = kinds.module_of(config.outbox)
    outbox: Outbox = await engine.open_outbox(config.outbox, base=config.base)
    return outbox


def _open_sources(config: Config) -> dict[str, Source]:
    return {
        name: kinds.module_of(settings).open_source(settings, config.base) for name, settings in config.sources.items()
    }
