"""One gateway: its outbox, its workers, its journal."""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from pixeltwin.capi.event import EventJson, ServerEvent
from pixeltwin.config import Config
from pixeltwin.consent.verdict import Treatment
from pixeltwin.delivery.clocks import ClockGuard
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.lanes import Cause
from pixeltwin.delivery.outbox import Depth, Outbox
from pixeltwin.delivery.sender import POST_SECONDS
from pixeltwin.gateway.books import Books
from pixeltwin.gateway.consents import Consents
from pixeltwin.gateway.delivering import Senders
from pixeltwin.gateway.entries import entries_of
from pixeltwin.gateway.forgetting import Forgotten, Keepers, forget
from pixeltwin.gateway.items import Relay, items_of
from pixeltwin.gateway.keeping import Keeper, Kept
from pixeltwin.gateway.line import Line, close_line, closed_line, open_line
from pixeltwin.gateway.routes import Routes
from pixeltwin.gateway.throttle import Cells
from pixeltwin.mirror import Admission, Decide, Draft, Ingested, Policy, admit, admit_ingest
from pixeltwin.outboxes import open_outbox
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip
from pixeltwin.pixel.stamp import MARK
from pixeltwin.sources.embedded import WritableSource
from pixeltwin.telemetry import HITS, log

STOP_SECONDS: Final = 8.5  # of the 10 that a stop may take; settling, checkpoints and the admin pages need the rest
LAST_POSTS: Final = 2.5  # seconds before the end of those: most posts that begin later would be cut off
FLUSH_SECONDS: Final = 2.0  # for the outbox to take what it was given last


@dataclass  # frozen by its types alone, like a hit
class Handled:
    """What was done about a request: the decision, the journal's record of it, and who relays the browser's copy.

    `state` and `detail` say what became of the twin so far, as the journal does.
    """

    admission: Final[Admission]
    record_id: Final[str]
    relay: Final[Relay]
    state: Final[State]
    detail: Final[str]


class Gateway:
    """Takes hits, keeps them, delivers them.

    `relay` is what pixels do that name no relay of their own, `senders` whether it delivers: None: as the config says.
    """

    def __init__(
        self,
        config: Config,
        *,
        relay: Relay,
        senders: bool | None = None,
        journal: Journal | None = None,
        cells: Cells | None = None,
    ) -> None:
        self.journal = journal or Journal()
        self._relay = relay
        self._is_sending = config.delivery.senders if senders is None else senders
        self._cells = cells or Cells()
        self._line = closed_line(config, relay, self._cells)
        self._outbox: Outbox | None = None
        self._senders: Senders | None = None
        self._keeper = Keeper(self.journal)
        self._guard = ClockGuard()
        self._books = Books()
        self._changing = asyncio.Lock()
        self._is_closing = False

    async def open(self) -> None:
        """Open the outbox and the sources, start the workers. Raises `OSError` when a file cannot be used."""
        try:
            self._outbox = await open_outbox(self.config.outbox, base=self.config.base)
            self.consents = Consents(self._outbox, lambda: self._line.memory)
            self._keeper.use(self._outbox, self.consents)
            self._line = await open_line(self.config, self._relay, self._cells, before=self._line)
            self._send()
        except BaseException:
            await self.close()
            raise

    async def apply(self, config: Config) -> None:
        """Take another config from the next hit on. Raises `OSError`, and nothing has changed, when it cannot be used.

        What was decided stays: hits that wait keep their twins as they are. What is still to be decided about them, by
        late rules, sources and tokens, is up to the new config, and what it has no more is not asked: a late rule that
        has gone does nothing, a pixel's or a rule's token that has gone leaves the twin waiting.
        """
        async with self._changing:
            before, line = self._line, await open_line(config, self._relay, self._cells, before=self._line)
            if self._is_closing:
                await close_line(line, but=before)
                raise OSError("the gateway is being stopped")
            self._line = line
            if self._senders:
                await self._senders.end(last_post=0.0, cut=POST_SECONDS)
                await self._try_mended()
            self._send()
            await close_line(before, but=line)

    async def handle(self, request: HitRequest, decide: Decide = admit) -> Handled:
        """As `take`, for whoever waits."""
        waiting: asyncio.Future[Handled] = asyncio.get_running_loop().create_future()
        self.take(request, partial(_set, waiting), decide)
        return await waiting

    def take(self, request: HitRequest, told: Callable[[Handled], None], decide: Decide = admit) -> None:
        """Decide about a request, keep what follows from it, and tell what was done. Never raises for it.

        That is durable when it is told, but for what the outbox has not answered within the config's `ack_deadline`.
        """
        line, record_id = self._line, self.journal.next_id()
        try:
            admission = decide(request, line.policy, record_id=record_id, random_below=secrets.randbelow)
        except Exception:
            log.exception("a hit could not be read")
            admission = Admission.turned_away(Reason.INTERNAL_ERROR)
        relay = _relay_of(line, admission)
        items = items_of(admission, relay, request.received_at)
        self._keeper.keep(line, admission, items, partial(self._kept, request, admission, record_id, relay, told))

    def _kept(
        self,
        request: HitRequest,
        admission: Admission,
        record_id: str,
        relay: Relay,
        told: Callable[[Handled], None],
        end: Kept,
    ) -> None:
        """The hit is kept, in whatever way."""
        try:
            for entry in entries_of(request, admission, record_id, relay, end.states, end.detail):
                entry.tell(self.journal)
        except Exception:
            log.exception("the journal could not be told of a hit")
        told(Handled(admission, record_id, relay, end.states[0], end.detail))

    async def ingest(self, pixel_id: str, request: HitRequest) -> Ingested | Skip:
        """Keep the server events that were posted for a pixel; durable when it returns them.

        Those that the outbox has not kept in time may be kept all the same: who posts them again gets no second twin.
        """
        line = self._line
        # a thousand events cost tens of milliseconds, which are the hits' while they are hashed here
        posted = await asyncio.to_thread(admit_ingest, pixel_id, request, line.policy)
        if isinstance(posted, Skip):
            self.count_skip(posted.reason)
            return posted
        events = (event.as_json() for event in posted.events if isinstance(event, ServerEvent))
        drafts = [self._ingested(event, position, posted) for position, event in enumerate(events)]
        if reason := await self._keeper.keep_posted(line, request, drafts):
            self.count_skip(reason)
            return Skip(reason)
        return posted

    def count_skip(self, reason: Reason) -> None:
        """Count a request that a front door turned away before it could be a hit."""
        HITS.labels("other", State.SKIPPED, reason).inc()

    async def stats(self) -> Mapping[str, Depth]:
        """The outbox's depth by destination; sets the metrics' gauges on the way."""
        return await self._books.show(self._outbox) if self._outbox else {}

    async def forget(self, keys: Collection[str], source: str | None = None) -> Forgotten:
        """Remove whatever is kept of people, as `forgetting.forget` does."""
        line = self._line
        keepers = Keepers(sources=line.sources, outbox=self.outbox, memory=line.memory, journal=self.journal)
        return await forget(line.config, keepers, keys, source)

    @property
    def outbox(self) -> Outbox:
        """The outbox. Raises `OSError` when it is not open."""
        if self._outbox is None:
            raise OSError("the outbox is not open")
        return self._outbox

    def ready(self) -> str | None:
        """Why the gateway cannot take hits; None when it can."""
        return self._outbox.trouble() if self._outbox else "the outbox is not open"

    @property
    def config(self) -> Config:
        return self._line.config

    @property
    def policy(self) -> Policy:
        return self._line.policy

    @property
    def routes(self) -> Routes:
        return self._line.routes

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
        return {name: it for name, it in self._line.sources.items() if isinstance(it, WritableSource)}

    @property
    def pixels(self) -> Mapping[str, str]:
        return self._line.names

    def hurry(self) -> None:
        """Let a `close` that is under way, or comes, wait for no post."""
        self._is_closing = True
        if self._senders:
            self._senders.hurry()

    async def close(self, seconds: float = STOP_SECONDS) -> None:
        """Try once to deliver what is due, then let go of everything; what stays waits in the outbox.

        Posts that are under way may take so many seconds.
        """
        self._is_closing = True
        last_post, flush = max(0.0, seconds - LAST_POSTS), min(seconds, FLUSH_SECONDS)
        ending = [self._senders.end(last_post=last_post, cut=seconds)] if self._senders else []
        await asyncio.gather(self._keeper.flush(flush), *ending)
        async with self._changing:  # a reload has a line to close
            outbox, self._outbox, self._senders = self._outbox, None, None
            if outbox:
                await close_line(self._line)
                await outbox.close()

    def _send(self) -> None:
        """Begin to deliver by the present line."""
        if self._is_sending and not self._is_closing:
            self._senders = Senders(self._line, self.outbox, self.journal, self._guard)

    async def _try_mended(self) -> None:
        """A human has been here: what waits for a set-up to be mended is tried."""
        try:
            for (destination, pixel_id), park in (await self.outbox.parks()).items():
                if park.reason.startswith(Cause.SETUP):
                    await self.outbox.park(destination, pixel_id, until=0.0, reason="")
        except OSError as error:
            log.warning("parked pixels wait on", error=str(error))

    def _ingested(self, event: EventJson, position: int, posted: Ingested) -> Draft:
        return Draft(
            pixel_id=posted.pixel_id,
            event={**event, "event_id": event["event_id"] or _minted(event, position)},
            record_id=self.journal.next_id(),
            test_event_code=posted.test_event_code,
            from_server=True,
            config=self.config.digest,
        )


def _set(waiting: asyncio.Future[Handled], handled: Handled) -> None:
    if not waiting.done():
        waiting.set_result(handled)


def _relay_of(line: Line, admission: Admission) -> Relay:
    """Who brings the browser's copy to Meta. A held one waits in the outbox: nobody else could hold it."""
    if not (admission.relay and admission.hit):
        return "none"
    relay = line.relays.get(admission.hit.pixel_id, "none")
    return "background" if admission.verdict.relay is Treatment.HOLD and relay == "native" else relay


def _minted(event: EventJson, position: int) -> str:
    """An id for an event that was posted without one: the same when the post is repeated, as after a 503."""
    said = orjson.dumps([position, event])
    return MARK + hashlib.blake2b(said, digest_size=16).hexdigest()
