"""What the worker does with a lease of drafts: look customers up, seal, and tell how it ended."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import orjson

from pixeltwin.capi.validate import Refusal
from pixeltwin.config import Config
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.outbox import Delivered, Dropped, Item, Later, Outcome, Refused
from pixeltwin.delivery.worker import Prepared, Ready
from pixeltwin.enrich.source import Profile, Source
from pixeltwin.mirror import Draft, seal
from pixeltwin.telemetry import LOOKUPS, TWINS, log

ENRICH_WAIT: Final = 30.0  # seconds a twin waits for a source that is down; then it goes without
ENRICH_RETRY: Final = 2.0

type Profiles = Mapping[str, Mapping[str, Profile] | None]  # by source and key; None: the source did not answer

UNREADABLE: Final = Refused("the outbox holds a draft that cannot be read")

STATES: Final[Mapping[type[Outcome], State]] = {
    Delivered: State.DELIVERED,
    Later: State.LATER,
    Refused: State.REFUSED,
    Dropped: State.DROPPED,
}


class Twins:
    """Prepares twins for Meta and reports their ends."""

    def __init__(
        self,
        config: Config,
        sources: Mapping[str, Source],
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._names = {pixel.id: pixel.name for pixel in config.pixels}
        self._enrich = {pixel.id: pixel.enrich for pixel in config.pixels}
        self._keys = {name: settings.key for name, settings in config.sources.items()}
        self._test_codes = {pixel.id: pixel.test_event_code or "" for pixel in config.pixels}
        self._sources = sources
        self._journal = journal
        self._clock = clock

    async def prepare(self, items: Sequence[Item]) -> dict[int, Prepared]:
        """Seal a lease's drafts, with one look-up a source for all of them."""
        drafts = {item.seq: draft for item in items if (draft := _read(item))}
        wanted = self._wanted(items, drafts)
        profiles = {name: await self._look_up(name, keys) for name, keys in wanted.items()}
        return {
            item.seq: self._seal(item, drafts[item.seq], profiles) if item.seq in drafts else UNREADABLE
            for item in items
        }

    def report(self, item: Item, outcome: Outcome, detail: str) -> None:
        """Count and journal how a twin ended."""
        state = STATES[type(outcome)]
        TWINS.labels(self._names.get(item.pixel_id, "other"), state).inc()
        if draft := _read(item):
            self._journal.update(draft.record_id, state=state, detail=detail)
        if isinstance(outcome, Refused):
            log.warning("Meta refused a twin", pixel=item.pixel_id, reason=detail)

    def _wanted(self, items: Sequence[Item], drafts: Mapping[int, Draft]) -> dict[str, set[str]]:
        """The keys to look up, by source."""
        wanted: dict[str, set[str]] = {}
        for item in items:
            for name in self._enrich.get(item.pixel_id, ()) if item.seq in drafts else ():
                if key := drafts[item.seq].keys.get(self._keys[name]):
                    wanted.setdefault(name, set()).add(key)
        return wanted

    async def _look_up(self, name: str, keys: set[str]) -> Mapping[str, Profile] | None:
        try:
            found = await self._sources[name].look_up(keys)
        except OSError as error:
            LOOKUPS.labels(name, "error").inc(len(keys))
            log.warning("a source did not answer", source=name, error=str(error))
            return None
        LOOKUPS.labels(name, "hit").inc(len(found))
        LOOKUPS.labels(name, "miss").inc(len(keys) - len(found))
        return found

    def _seal(self, item: Item, draft: Draft, profiles: Profiles) -> Prepared:
        asked = {name: key for name in self._enrich.get(item.pixel_id, ()) if (key := draft.keys.get(self._keys[name]))}
        silent = [name for name in asked if profiles[name] is None]
        if silent and self._clock() - item.appended_at < ENRICH_WAIT:
            return Later(self._clock() + ENRICH_RETRY, f"no answer from {', '.join(silent)}")
        known = [found[key] for name, key in asked.items() if (found := profiles[name]) and key in found]
        sealed = seal(draft, known, self._clock())
        if isinstance(sealed, Refusal):
            return Dropped(str(sealed))
        twin = sealed.event.as_json()
        added = [f"user_data.{key}" for key in sealed.added]
        self._journal.update(draft.record_id, twin=twin, added=added, notes=sealed.notes)
        return Ready(orjson.dumps(twin), draft.test_event_code or self._test_codes.get(item.pixel_id, ""))


def _read(item: Item) -> Draft | None:
    try:
        return Draft.from_bytes(item.payload)
    except (ValueError, KeyError):  # pydantic's and orjson's errors are ValueErrors
        return None
