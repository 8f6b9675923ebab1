"""A gateway's line without its processes: a config, an outbox in memory, and a clock that tests wind."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pixeltwin.config import Config
from pixeltwin.delivery.destination import Taken
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.outbox import Outcome
from pixeltwin.delivery.worker import Ended, Prepared, Worker
from pixeltwin.destinations import conversions_api, pixel_relay
from pixeltwin.enrich.memory import Memory
from pixeltwin.enrich.source import Profile, Source
from pixeltwin.gateway import Relay
from pixeltwin.gateway.consents import Consents, said_by
from pixeltwin.gateway.entries import entries_of
from pixeltwin.gateway.items import items_of, twin_item
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.relays import Relays
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import Admission, Draft, admit
from pixeltwin.outboxes.memory import MemoryOutbox
from pixeltwin.pixel.request import HitRequest
from tests.factories import NOW, PIXEL, hit_query, request

AGENCY = "6543210987654321"
FBP = "fb.1.1795461790000.1098115397"
ENV = {
    "T": "EAAcanary0token1of2the3tests",
    "PARTNER": "EAApartner0token1of2the3tests",
    "SESSION_KEY": "a key that seals what waits of sessions",
}
SHOP = f'pixels: [{{ name: shop, id: "{PIXEL}", access_token: "${{T}}" }}]\n'
BOTH = f'{SHOP[:-2]}, {{ name: agency, id: "{AGENCY}", access_token: "${{T}}" }}]\n'
NO_HEADERS: Mapping[str, str] = {}


class Known:
    """A source that knows these customers, or does not answer; it keeps what it was asked."""

    def __init__(self, customers: Mapping[str, Profile] | None = None) -> None:
        self.customers, self.asked, self.is_silent = dict(customers or {}), [], False

    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        self.asked.append(set(keys))
        if self.is_silent:
            raise OSError("no answer")
        return {key: self.customers[key] for key in keys if key in self.customers}

    async def close(self) -> None: ...


class Meta:
    """Takes what it gets, and keeps it."""

    max_batch = 1000
    max_posts = 8
    max_posts_of_a_pixel = 2

    def __init__(self, name: str) -> None:
        self.name = name
        self.posts: list[tuple[str, str, str, list[Any]]] = []  # pixel, credential, test event code, events

    async def send(self, pixel_id: str, payloads: Any, *, test_event_code: str, credential: str = "") -> Taken:
        self.posts.append((pixel_id, credential, test_event_code, [orjson.loads(payload) for payload in payloads]))
        return Taken()

    async def close(self) -> None: ...


class Line:
    """What becomes of hits under a config, up to what Meta gets."""

    def __init__(
        self,
        text: str,
        sources: Mapping[str, Source] | None = None,
        store: Memory | None = None,
        relay: Relay = "background",
        env: Mapping[str, str] = ENV,
    ) -> None:
        self.now = NOW
        self.config = Config.from_text(text, base=Path(), env=env)
        self.policy, self.relay = policy_of(self.config), relay
        self.outbox, self.journal = MemoryOutbox(self.clock), Journal()
        self.consents = Consents(self.outbox, lambda: self.twins._store)
        self.twins = Twins(self.config, self.policy, sources or {}, self.journal, store, self.clock)
        self.api, self.tr = Meta(conversions_api.NAME), Meta(pixel_relay.NAME)
        self.ends: list[Outcome] = []

    def clock(self) -> float:
        return self.now

    async def take(self, ev: str = "Purchase", headers: Mapping[str, str] = NO_HEADERS, **hit: str) -> Admission:
        """A hit of a browser arrives, and what follows from it is kept."""
        standard = {"cd_value": "12.50", "cd_currency": "EUR", "cd_order_id": "A-1", "fbp": FBP}
        arrived = request(hit_query(ev, **{**standard, **hit}), headers=headers, received_at=self.now)
        return await self.arrives(arrived)

    async def arrives(self, arrived: HitRequest) -> Admission:
        record_id = self.journal.next_id()
        admission = admit(arrived, self.policy, record_id=record_id, random_below=lambda below: 7)
        await self.consents.follow(said_by(admission))
        await self.outbox.append(items_of(admission, self.relay, self.now))
        states = [State.QUEUED] * max(1, len(admission.drafts))
        for entry in entries_of(arrived, admission, record_id, self.relay, states, ""):
            entry.tell(self.journal)
        return admission

    async def posted(self, draft: Draft) -> None:
        """A server of the shop's posts an event."""
        await self.outbox.append([twin_item(draft)])

    async def prepared(self) -> list[Prepared]:
        """What each twin that is due becomes; none of them is sent or settled."""
        lease = await self.outbox.lease(conversions_api.NAME, limit=100, seconds=60)
        found = await self.twins.prepare(lease.items)
        await self.outbox.settle(lease, {})
        return [found[item.seq] for item in lease.items]

    async def deliver(self) -> list[tuple[str, str, str, list[Any]]]:
        """What Meta gets now: by pixel, credential and test event code, the events."""
        self.api.posts, self.ends = [], []

        def report(ended: Sequence[Ended]) -> None:
            self.ends += [outcome for _, outcome, _ in ended]
            self.twins.report(ended)

        await Worker(self.outbox, self.api, self.twins.prepare, report, clock=self.clock).deliver_due()
        return sorted(self.api.posts, key=lambda post: post[:3])

    async def relayed(self) -> int:
        """How many of the browsers' copies go to Meta now."""
        self.tr.posts = []
        relays = Relays({})
        await Worker(self.outbox, self.tr, relays.prepare, relays.report, clock=self.clock).deliver_due()
        return sum(len(events) for *_, events in self.tr.posts)

    async def events(self) -> list[Any]:
        """The events that Meta gets now."""
        return [event for *_, events in await self.deliver() for event in events]
