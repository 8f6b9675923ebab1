"""What the worker does with a lease of drafts: look customers up, seal, remember, and tell how it ended."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, Final

import orjson

from pixeltwin.capi.event import EventJson
from pixeltwin.config import Config
from pixeltwin.delivery.backoff import retry_at
from pixeltwin.delivery.journal import Journal, Record, State
from pixeltwin.delivery.outbox import REMEMBERED, Delivered, Dropped, Expired, Item, Later, Outcome, Refused
from pixeltwin.delivery.worker import Ended, Prepared, Ready
from pixeltwin.enrich import memory
from pixeltwin.enrich.memory import Memory, Remembered
from pixeltwin.enrich.merge import Addition
from pixeltwin.enrich.source import Profile, Source
from pixeltwin.gateway.look_ups import Found, Keys, LookUps, Profiles
from pixeltwin.mapping.sessions import sessions_of
from pixeltwin.mirror import Draft, Policy, Sealed, record_id_of, seal, unverified, who_set
from pixeltwin.pixel.skip import Reason
from pixeltwin.rules.ruleset import Ruled
from pixeltwin.telemetry import LOOKUPS, RULE_ERRORS, RULES, TWINS, log

ENRICH_RETRY: Final = 2.0  # seconds
ORDER_RETRY: Final = 15.0  # seconds; a shop's own processing takes longer than a look-up

UNREADABLE: Final = Refused("the outbox holds a draft that cannot be read")
NOT_GRANTED: Final = Dropped(Reason.CONSENT_UNKNOWN)

STATES: Final[Mapping[type[Outcome], State]] = {
    Delivered: State.DELIVERED,
    Later: State.LATER,
    Refused: State.REFUSED,
    Dropped: State.DROPPED,
    Expired: State.EXPIRED,
}
_ended: Final = cache(TWINS.labels)  # a look-up of labels takes longer than counting


@dataclass  # frozen by its types alone, like a hit
class Opened:
    """An item's draft; `filled` is its event with what was remembered, `recalled` says what that is."""

    item: Final[Item]
    draft: Final[Draft]
    filled: Final[EventJson]
    recalled: Final[tuple[str, ...]]


@dataclass  # frozen by its types alone, like a hit
class SealedTwin:
    """What the journal's record gets of a sealed twin, should somebody look at it."""

    printed: Final[bytes]  # a fifth of what the event takes as a dictionary
    recalled: Final[tuple[str, ...]]
    additions: Final[Sequence[Addition]]
    ruled: Final[Ruled]
    notes: Final[Sequence[str]]
    rules: Final[Sequence[str]]

    def told(self, record: Record) -> Mapping[str, Any]:
        """The record's own origins are what rules have set when the hit came."""
        added = who_set(self.additions, self.ruled)
        origins = {**record.origins, **dict.fromkeys(self.recalled, "remembered"), **added}
        return {"twin": orjson.loads(self.printed), "origins": origins, "notes": self.notes, "rules": self.rules}


class Twins:
    """Prepares twins for Meta and reports their ends. Without a `store` nothing is remembered."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        sources: Mapping[str, Source],
        journal: Journal,
        store: Memory | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._names = {pixel.id: pixel.name for pixel in config.pixels}
        self._test_codes = {pixel.id: pixel.test_event_code or "" for pixel in config.pixels}
        self._waits = config.enrich
        self._identity = config.identity
        self._policy = policy
        self._sources = sources
        self._sessions = sessions_of(policy.elements)
        self._journal = journal
        self._store = store
        self._clock = clock

    async def prepare(self, items: Sequence[Item]) -> dict[int, Prepared]:
        """Seal a lease's drafts, with one look-up a source for all of them."""
        opened = await self._recall([(item, draft) for item in items if not item.held and (draft := _read(item))])
        profiles = await self._look_up_all(one.draft for one in opened)
        prepared = {one.item.seq: self._seal(one, profiles) for one in opened}
        await self._remember(one for one in opened if isinstance(prepared[one.item.seq], Ready))
        rest = {item.seq: NOT_GRANTED if item.held else UNREADABLE for item in items if item.seq not in prepared}
        return {**prepared, **rest}

    def report(self, ended: Sequence[Ended]) -> None:
        """Count and journal how twins ended."""
        for item, outcome, detail in ended:
            self._journal.update(record_id_of(item.payload), state=STATES[type(outcome)], detail=detail)
            if isinstance(outcome, Refused):
                log.warning("Meta refused a twin", pixel=item.pixel_id, reason=detail)
        ends = Counter((item.pixel_id, type(outcome)) for item, outcome, _ in ended)
        for (pixel_id, kind), number in ends.items():
            _ended(self._names.get(pixel_id, "other"), STATES[kind]).inc(number)

    async def _recall(self, read: Sequence[tuple[Item, Draft]]) -> list[Opened]:
        """The drafts with what is remembered of their browsers and orders, in one look-up."""
        if self._store is None:
            return [Opened(item, draft, draft.event, ()) for item, draft in read]
        keys = [self._keys(draft) for _, draft in read]
        known: Mapping[bytes, Remembered] = {}
        if asked := set(chain.from_iterable(keys)):
            try:
                known = await self._store.recall(asked)
            except OSError as error:
                log.warning("nothing could be recalled", error=str(error))
        return [
            Opened(item, draft, *memory.enriched(draft.event, [known[key] for key in theirs if key in known]))
            for (item, draft), theirs in zip(read, keys, strict=True)
        ]

    def _keys(self, draft: Draft) -> tuple[bytes, ...]:
        if not (draft.remember or draft.from_server):
            return ()
        by_person = self._identity.by_external_id
        return memory.keys_of(draft.pixel_id, draft.event, posted=draft.from_server, by_person=by_person)

    async def _remember(self, sent: Iterable[Opened]) -> None:
        """Keep what visitors' browsers told, for their next hits."""
        if self._store is None or self._identity.remember is None:
            return
        entries = memory.together(
            memory.to_remember(one.draft.pixel_id, one.draft.event, one.filled)
            for one in sent
            if one.draft.remember and not one.draft.from_server
        )
        try:
            await self._store.remember(entries, self._identity.remember)
        except OSError as error:
            log.warning("nothing could be remembered", error=str(error))

    async def _look_up_all(self, drafts: Iterable[Draft]) -> Profiles:
        """What every source knows."""
        asked = ((name, key) for draft in drafts for name, key in draft.keys.items() if name in self._sources)
        look_ups = LookUps(asked, self._sessions)
        for name, count in look_ups.unopened.items():
            LOOKUPS.labels(name, "miss").inc(count)
            log.warning("sessions were sealed with a key that is gone", source=name, sessions=count)
        return await look_ups.answered(self._ask)

    async def _ask(self, wanted: Keys) -> Found:
        found = await asyncio.gather(*(self._look_up(name, keys) for name, keys in wanted.items()))
        return dict(zip(wanted, found, strict=True))

    async def _look_up(self, name: str, keys: set[str]) -> Mapping[str, Profile] | None:
        try:
            found = await self._sources[name].look_up(keys)
        except OSError as error:
            LOOKUPS.labels(name, "error").inc(len(keys))
            log.warning("a source did not answer", source=name, error=str(error))
            return None
        LOOKUPS.labels(name, "hit").inc(len(found))
        LOOKUPS.labels(name, "miss").inc(len(keys) - len(found))
        LOOKUPS.labels(name, "left_out").inc(sum(len(profile.left_out) for profile in found.values()))
        return found

    def _seal(self, opened: Opened, profiles: Profiles) -> Prepared:
        item, draft = opened.item, opened.draft
        asked = {name: key for name, key in draft.keys.items() if name in profiles}
        silent = [name for name, key in asked.items() if key in profiles[name] and profiles[name][key] is None]
        known = {name: profile for name, key in asked.items() if (profile := profiles[name].get(key))}
        if missing := unverified(draft, known):
            return self._wait_for_order(item, missing, is_asked=missing in asked, is_silent=missing in silent)
        if silent and self._clock() - item.appended_at < self._waits.wait:
            return Later(self._clock() + ENRICH_RETRY, f"no answer from {', '.join(silent)}")
        filled = draft if opened.filled is draft.event else draft._replace(event=opened.filled)
        sealed = seal(filled, known, self._policy, self._clock())
        _count(sealed.ruled)
        if not isinstance(sealed, Sealed):
            return Dropped(str(sealed))
        return self._ready(opened, sealed)

    def _wait_for_order(self, item: Item, source: str, *, is_asked: bool, is_silent: bool) -> Later | Dropped:
        """An event that must be verified waits: for its order for a while, for its source as long as it may be late.

        One that names no order has nothing to wait for.
        """
        now = self._clock()
        longest = REMEMBERED if is_silent else self._waits.verify_wait
        if not is_asked or now - item.appended_at >= longest:
            return Dropped(Reason.NOT_VERIFIED)
        if is_silent:
            return Later(retry_at(now, item.attempts, None, 1.0), f"no answer from {source}")
        return Later(now + ORDER_RETRY, f"{source} does not know the order yet")

    def _ready(self, opened: Opened, sealed: Sealed) -> Ready:
        draft, printed = opened.draft, orjson.dumps(sealed.event)
        news = SealedTwin(printed, opened.recalled, sealed.additions, sealed.ruled, sealed.notes, sealed.rules)
        self._journal.change(draft.record_id, news.told)
        test_code = sealed.test_event_code or self._test_codes.get(draft.pixel_id, "")
        return Ready(printed, test_code, draft.credential)


def _count(ruled: Ruled) -> None:
    for rule in ruled.names:
        RULES.labels(rule).inc()
    for fault in ruled.faults:
        RULE_ERRORS.labels(fault.partition(":")[0]).inc()


def _read(item: Item) -> Draft | None:
    try:
        return Draft.from_bytes(item.payload)
    except ValueError:
        return None
