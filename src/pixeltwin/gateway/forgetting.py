"""Whatever is kept of a person goes: in the customer stores and caches, the outbox, what browsers told, the journal.

A gateway that runs does it in what it has open; where none runs, `pixeltwin customers forget` opens the same things.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pixeltwin.config import Config
from pixeltwin.delivery.encryption import is_sealed
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.outbox import Letter, Outbox, Waiting
from pixeltwin.destinations import pixel_relay
from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.memory import Memory
from pixeltwin.enrich.source import Profile, Source
from pixeltwin.gateway.person import Leg, Person, hashes_of_key, hashes_of_profile, is_copy_of, twin_of
from pixeltwin.sources.embedded import WritableSource
from pixeltwin.telemetry import log

PAGE: Final = 500  # items or letters, some milliseconds: appends have their turn between two pages

type Stored = Waiting | Letter
type Pages = AsyncIterator[Sequence[Stored]]
type IsAbout = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """How many of each went.

    `customers` of the stores, `cached` answers of sources, `waiting` items and `letters` of the outbox, `remembered`
    entries, `shown` events of the journal. `leased` items stayed, as they are on their way to Meta. `unreadable` ones
    could not be searched: their key is missing.
    """

    customers: int = 0
    cached: int = 0
    waiting: int = 0
    letters: int = 0
    remembered: int = 0
    shown: int = 0
    leased: int = 0
    unreadable: int = 0

    @property
    def total(self) -> int:
        return self.customers + self.waiting + self.letters + self.remembered + self.shown


@dataclass(slots=True)
class Search:
    """What a search of the outbox has done so far; `legs` and `records` say what else is of the same hits."""

    waiting: int = 0
    letters: int = 0
    leased: set[int] = field(default_factory=set)
    unreadable: int = 0
    legs: set[Leg] = field(default_factory=set)
    records: set[str] = field(default_factory=set)

    def note(self, found: Iterable[Stored]) -> None:
        for one in found:
            leg, record_id = twin_of(one.payload)
            self.legs |= {leg} if leg else set()
            self.records |= {record_id} if record_id else set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepers:
    """All that keeps people's data: sources by name, and what else there is."""

    sources: Mapping[str, Source]
    outbox: Outbox | None = None
    memory: Memory | None = None
    journal: Journal = field(default_factory=Journal)


async def forget(config: Config, keepers: Keepers, keys: Collection[str], source: str | None = None) -> Forgotten:
    """Forget people by their keys, or by an address, a number, an id, in plain text or hashed.

    A key means the customer of that `source`; without one, of every source that knows people. Raises `ValueError` for
    a source that is none, `OSError` where something cannot be written: then it has to be done once more.
    """
    chosen = _chosen(config, keepers.sources, source)
    cached, hashes = await _known(chosen, keys)
    people = [name for name in chosen if config.sources[name].columns.user_data]
    person = Person(
        frozenset(keys),
        frozenset(hashes),
        frozenset(people),
        frozenset(config.sources[name].key for name in people),
    )
    stores = [it for it in chosen.values() if isinstance(it, WritableSource)]
    customers = sum([await store.forget(keys) for store in stores])
    cached += sum(it.forget_hashes(person.hashes) for it in keepers.sources.values() if isinstance(it, Guarded))
    search = await _search(keepers.outbox, person) if keepers.outbox else Search()
    # last: until now a twin that was on its way may have told them something
    remembered = await keepers.memory.forget(person.hashes) if keepers.memory else 0
    shown = keepers.journal.forget(lambda record: record.id in search.records or person.is_shown_in(record))
    return Forgotten(
        customers=customers,
        cached=cached,
        waiting=search.waiting,
        letters=search.letters,
        remembered=remembered,
        shown=shown,
        leased=len(search.leased),
        unreadable=search.unreadable,
    )


def _chosen(config: Config, sources: Mapping[str, Source], name: str | None) -> Mapping[str, Source]:
    if name is not None and name not in config.sources:
        known = ", ".join(config.sources) or "none"
        raise ValueError(f"source {name}: the sources are: {known}")
    return {known: it for known, it in sources.items() if name in (None, known)}


async def _known(sources: Mapping[str, Source], keys: Collection[str]) -> tuple[int, set[str]]:
    """How many cached answers about the keys went, and every hash that is the customers' own.

    The cache may know one whom the source has forgotten already.
    """
    told = {value for key in keys for value in hashes_of_key(key)}
    cached = 0
    for name, source in sources.items():
        gone = source.changed(keys) if isinstance(source, Guarded) else []
        found = await _look_up(name, source, keys)
        if isinstance(source, Guarded):
            source.changed(keys)  # it has just been asked
        cached += len(gone)
        profiles = [*(known.profile for known in gone if known.profile), *found]
        told |= {value for profile in profiles for value in hashes_of_profile(profile)}
    return cached, told


async def _look_up(name: str, source: Source, keys: Collection[str]) -> Collection[Profile]:
    try:
        return (await source.look_up(keys)).values()
    except OSError as error:
        log.warning("a source did not answer about who is to be forgotten", source=name, error=str(error))
        return ()


async def _search(outbox: Outbox, person: Person) -> Search:
    """Take out what is about the person, then the browser's copies of the same hits."""
    search = Search()
    await _sweep(outbox, search, lambda one: person.is_in(one.payload), None)
    if legs := frozenset(search.legs):
        await _sweep(outbox, search, lambda one: is_copy_of(legs, one.pixel_id, one.payload), pixel_relay.NAME)
    return search


async def _sweep(outbox: Outbox, search: Search, is_about: IsAbout, destination: str | None) -> None:
    """Go through what waits, then through the letters: an item may become one meanwhile."""
    unreadable = 0
    async for page in _pages(outbox.waiting, destination):
        found = await _found(page, is_about, search)
        search.waiting += await outbox.withdraw(found)
        unreadable += sum(is_sealed(one.payload) for one in page)
        search.leased |= await _left(outbox, found)
    async for page in _pages(outbox.letters, destination):
        search.letters += await outbox.discard(await _found(page, is_about, search))
        unreadable += sum(is_sealed(one.payload) for one in page)
    search.unreadable = max(search.unreadable, unreadable)


async def _pages(find: Callable[..., Awaitable[Sequence[Stored]]], destination: str | None) -> Pages:
    after = 0
    while page := await find(destination=destination, after=after, limit=PAGE):
        yield page
        after = page[-1].seq


async def _found(page: Sequence[Stored], is_about: IsAbout, search: Search) -> list[int]:
    """The numbers of those in the page that it is about, found in a thread: hits have their turn meanwhile."""
    found = await asyncio.to_thread(lambda: [one for one in page if is_about(one)])
    search.note(found)
    return [one.seq for one in found]


async def _left(outbox: Outbox, seqs: Sequence[int]) -> set[int]:
    """Those that wait still, as they were under lease."""
    if not seqs:
        return set()
    return {one.seq for one in await outbox.waiting(after=seqs[0] - 1, limit=PAGE)} & set(seqs)
