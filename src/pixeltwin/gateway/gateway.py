"""One gateway: its outbox, its workers, its journal."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from pixeltwin import kinds
from pixeltwin.capi.event import ServerEvent
from pixeltwin.config import Config
from pixeltwin.consent.verdict import Treatment
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.outbox import Appended, Depth, Letter, NewItem, Outbox, Park, Tally, Waiting
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.destinations.pixel_relay import PixelRelay
from pixeltwin.enrich.memory import Memory
from pixeltwin.enrich.source import Source
from pixeltwin.gateway.consents import Consents
from pixeltwin.gateway.entries import record_of_server_event, records_of, tell_answer
from pixeltwin.gateway.forgetting import Forgotten, Keepers, forget
from pixeltwin.gateway.items import Relay, items_of, twin_item
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.relays import Relays
from pixeltwin.gateway.twins import Twins
from pixeltwin.mapping.sessions import sessions_of
from pixeltwin.mirror import Admission, Decide, Draft, Ingested, admit, admit_ingest
from pixeltwin.outboxes import open_outbox
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import MARK
from pixeltwin.sources.embedded import WritableSource
from pixeltwin.telemetry import HITS, OUTBOX, RULE_ERRORS, RULES, log

LINGER: Final = 0.1  # seconds a batch may fill; Meta wants events in real time, batches want company
DRAIN_SECONDS: Final = 7.0  # of the 10 that a stop may take
APPENDED: Final = {
    Appended.ACCEPTED: State.QUEUED,
    Appended.DUPLICATE: State.DUPLICATE,
    Appended.SHED: State.SHED,
}


class Closer(Protocol):
    async def close(self) -> None: ...


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
        self._consents: Consents | None = None
        self._running: list[tuple[Worker, asyncio.Task[None]]] = []
        self._sources: Mapping[str, Source] = {}
        self._memory: Memory | None = None
        self._closers: list[Closer] = []

    async def open(self) -> None:
        """Open the outbox and the sources, start the workers. Raises `OSError` when a file cannot be used."""
        try:
            await self._open(self.config)
        except BaseException:
            await self.close()
            raise

    async def _open(self, config: Config) -> None:
        self._outbox = outbox = await open_outbox(config.outbox, base=config.base)
        self._consents = Consents(outbox)
        self._sources = open_sources(config)
        self._memory = memory = await open_memory(config)
        self._closers.extend((*self._sources.values(), *([memory] if memory else [])))
        twins = Twins(config, self.policy, self._sources, self.journal, memory)
        names = self.pixels
        relays = Relays(names)
        api = ConversionsApi(config.meta.graph, config.meta.graph_version, _tokens(config))
        relay = PixelRelay(config.meta.pixel)
        self._closers.extend((api, relay))
        self._run(Worker(outbox, api, twins.prepare, twins.report, linger=LINGER, names=names))
        self._run(Worker(outbox, relay, relays.prepare, relays.report, names=names))

    async def handle(self, request: HitRequest, decide: Decide = admit) -> Handled:
        """Decide about a request and keep what follows from it; durable when it returns. Never raises for it."""
        record_id = self.journal.next_id()
        try:
            admission = decide(request, self.policy, record_id=record_id, random_below=secrets.randbelow)
        except Exception:
            log.exception("a hit could not be read")
            admission = Admission(skip=Reason.INTERNAL_ERROR)
        relay = self._relay_of(admission)
        if self._consents and await self._consents.follow(admission):
            tell_answer(self.journal, admission)
        states, reason, detail = await self._keep(admission, relay, request.received_at)
        self._count(admission, states, reason)
        for record in records_of(request, admission, record_id, relay, states, detail):
            self.journal.add(record)
        return Handled(admission=admission, record_id=record_id, relay=relay, state=states[0], detail=detail)

    async def ingest(self, pixel_id: str, request: HitRequest) -> Ingested | Skip:
        """Keep the server events that were posted for a pixel; durable when it returns."""
        # a thousand events cost tens of milliseconds, which are the hits' while they are hashed here
        posted = await asyncio.to_thread(admit_ingest, pixel_id, request, self.policy)
        if isinstance(posted, Skip):
            self.count_skip(posted.reason)
            return posted
        drafts = [self._ingested(event, posted) for event in posted.events if isinstance(event, ServerEvent)]
        try:
            appended = await self._append([twin_item(draft) for draft in drafts])
        except OSError as error:
            log.error("the outbox took nothing", error=str(error))
            self.count_skip(Reason.OUTBOX_FAILED)
            return Skip(Reason.OUTBOX_FAILED)
        for draft, kept in zip(drafts, appended, strict=True):
            state = APPENDED[kept]
            HITS.labels(self._pixels[pixel_id].name, state, "").inc()
            self.journal.add(record_of_server_event(request, draft, state))
        return posted

    def count_skip(self, reason: Reason) -> None:
        """Count a request that a front door turned away before it could be a hit."""
        HITS.labels("other", State.SKIPPED, reason).inc()

    async def stats(self) -> Mapping[str, Depth]:
        """The outbox's depth by destination; sets the metrics' gauges on the way."""
        depths = await self._outbox.stats() if self._outbox else {}
        for destination, depth in depths.items():
            for state in ("ready", "leased", "held", "dead"):
                OUTBOX.labels(destination, state).set(getattr(depth, state))
        return depths

    async def letters(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Letter]:
        """The outbox's letters; like all that follow, raises `OSError` where it is not open."""
        return await self._opened.letters(destination=destination, pixel_id=pixel_id, after=after, limit=limit)

    async def waiting(
        self, *, destination: str | None = None, pixel_id: str | None = None, after: int = 0, limit: int = 100
    ) -> list[Waiting]:
        return await self._opened.waiting(destination=destination, pixel_id=pixel_id, after=after, limit=limit)

    async def requeue(self, seqs: Collection[int]) -> int:
        return await self._opened.requeue(seqs)

    async def discard(self, seqs: Collection[int]) -> int:
        return await self._opened.discard(seqs)

    async def forget(self, keys: Collection[str], source: str | None = None) -> Forgotten:
        """Remove whatever is kept of people, as `forgetting.forget` does."""
        keepers = Keepers(sources=self._sources, outbox=self._opened, memory=self._memory, journal=self.journal)
        return await forget(self.config, keepers, keys, source)

    async def tally(self) -> Mapping[str, Tally]:
        return await self._opened.tally()

    async def parks(self) -> Mapping[tuple[str, str], Park]:
        return await self._opened.parks()

    @property
    def _opened(self) -> Outbox:
        if self._outbox is None:
            raise OSError("the outbox is not open")
        return self._outbox

    def ready(self) -> str | None:
        """Why the gateway cannot take hits; None when it can."""
        return self._outbox.trouble() if self._outbox else "the outbox is not open"

    @property
    def config_digest(self) -> str:
        return self.config.digest

    @property
    def admin_token(self) -> str:
        """What somebody has to show who changes something; empty: nobody may."""
        admin = self.config.admin
        return admin.token.get_secret_value() if admin and admin.token else ""

    @property
    def customer_stores(self) -> Mapping[str, WritableSource]:
        """The sources that customers can be put into."""
        return {name: it for name, it in self._sources.items() if isinstance(it, WritableSource)}

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

    def _relay_of(self, admission: Admission) -> Relay:
        """Who brings the browser's copy to Meta. A held one waits in the outbox: nobody else could hold it."""
        if not (admission.relay and admission.hit):
            return "none"
        relay = self._relays.get(admission.hit.pixel_id, "none")
        return "background" if admission.verdict.relay is Treatment.HOLD and relay == "native" else relay

    async def _keep(self, admission: Admission, relay: Relay, now: float) -> tuple[list[State], str, str]:
        """Append the hit's items; answers the state of each twin, and the reason and detail where there is none."""
        try:
            appended = await self._append(list(items_of(admission, relay, now)))
        except OSError as error:
            log.error("the outbox took nothing", error=str(error))
            lost = [State.SKIPPED] * max(1, len(admission.drafts))
            return lost, Reason.OUTBOX_FAILED, Reason.OUTBOX_FAILED
        if admission.skip:
            because = f": {admission.because}" if admission.because else ""
            return [State.SKIPPED], admission.skip, f"{admission.skip}{because}"
        held = {Appended.ACCEPTED: State.HELD} if admission.verdict.twin is Treatment.HOLD else {}
        return [{**APPENDED, **held}[one] for one in appended[: len(admission.drafts)]], "", ""

    async def _append(self, items: list[NewItem]) -> list[Appended]:
        return await self._opened.append(items) if items else []

    def _ingested(self, event: ServerEvent, posted: Ingested) -> Draft:
        if not event.event_id:
            event = event.model_copy(update={"event_id": f"{MARK}{secrets.token_hex(16)}"})
        return Draft(
            pixel_id=posted.pixel_id,
            event=event,
            record_id=self.journal.next_id(),
            test_event_code=posted.test_event_code,
            from_server=True,
            config=self.config.digest,
        )

    def _count(self, admission: Admission, states: list[State], reason: str) -> None:
        pixels = [draft.pixel_id for draft in admission.drafts] or [admission.hit.pixel_id if admission.hit else ""]
        for pixel_id, state in zip(pixels, states, strict=False):
            pixel = self._pixels.get(pixel_id)
            HITS.labels(pixel.name if pixel else "other", state, reason).inc()
        if admission.ruled:
            for rule in admission.ruled.names:
                RULES.labels(rule).inc()
            for fault in admission.ruled.faults:
                RULE_ERRORS.labels(fault.partition(":")[0]).inc()


def _tokens(config: Config) -> dict[str, Callable[[], str]]:
    """The tokens of pixels by id, and those of rules by the rule's name."""
    tokens = {pixel.id: pixel.access_token.get_secret_value for pixel in config.pixels}
    for rule in config.rules:
        if (other := rule.then.pixel) and other.access_token:
            tokens[rule.name] = other.access_token.get_secret_value
    return tokens


async def open_memory(config: Config) -> Memory | None:
    if config.identity.remember is None:
        return None
    engine = kinds.module_of(config.identity.store)
    memory: Memory = await engine.open_memory(config.identity.store, base=config.base)
    return memory


def open_sources(config: Config) -> dict[str, Source]:
    """The config's sources by name. Raises `OSError` when one cannot be used.

    One of sessions remembers no answer unless it is told to: a login, and a logout, count for the next event.
    """
    uncached = {session.source for session in sessions_of(config.elements)}
    opened = {}
    for name, settings in config.sources.items():
        if name in uncached and "cache" not in settings.model_fields_set:
            settings = settings.model_copy(update={"cache": None})
        opened[name] = kinds.module_of(settings).open_source(settings, config.base)
    return opened
