"""A person is forgotten wherever anything is kept; of everybody else all stays."""

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixeltwin.capi.event import ServerEvent, UserData
from pixeltwin.config import Config
from pixeltwin.delivery.encryption import Encryption
from pixeltwin.delivery.journal import FORGOTTEN, Journal, Record, State
from pixeltwin.delivery.outbox import NewItem, Outbox, Refused
from pixeltwin.destinations.pixel_relay import relay_payload
from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.memory import to_remember
from pixeltwin.enrich.source import Row, SourceSettings
from pixeltwin.gateway.forgetting import PAGE, Forgotten, Keepers, forget
from pixeltwin.gateway.line import open_memory
from pixeltwin.mirror import Draft
from pixeltwin.outboxes import open_outbox, sqlite
from pixeltwin.outboxes.memory import MemoryOutbox
from pixeltwin.pixel.request import HitRequest
from tests.factories import NOW, PIXEL, hit_query, multipart, open_sources, request

CAPI, RELAY = "conversions_api", "pixel_relay"
# the documentation's hash of john_smith@gmail.com (PROTOCOL 1.5)
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
OTHERS = "b" * 64
ANN = "cust-1"
CONFIG = f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]
elements:
  uid: {{ signed_cookie: uid, key: "${{T}}" }}
  order: {{ custom_data: order_id, trust: unsafe }}
sources:
  customers: {{ kind: embedded, path: customers.db, key: uid }}
  orders: {{ kind: embedded, path: orders.db, key: order, map: {{}}, custom_data: {{ value: total }} }}
identity: {{ remember: 90d, store: {{ kind: sqlite, path: identities.db }} }}
outbox: {{ kind: sqlite, path: outbox.db }}
"""


def config_of(folder: Path) -> Config:
    return Config.from_text(CONFIG, base=folder, env={"T": "EAAcanary0token1of2the3tests"})


CONFIGURED = config_of(Path())


def item_of(destination: str, payload: bytes) -> NewItem:
    return NewItem(destination=destination, pixel_id=PIXEL, key=None, payload=payload)


def twin(event_id: str, *, user_data: Mapping[str, Any] | None = None, **draft: Any) -> NewItem:
    event = ServerEvent(
        event_name="Lead", event_time=int(NOW), event_id=event_id, user_data=UserData(**(user_data or {}))
    ).as_json()
    return item_of(CAPI, Draft(pixel_id=PIXEL, event=event, **draft).as_bytes())


def copy(event_id: str, **parameters: str) -> NewItem:
    """The browser's copy of a hit."""
    return item_of(RELAY, relay_payload(request(hit_query("Lead", eid=event_id, **parameters))))


def form_copy(event_id: str) -> NewItem:
    arrived: HitRequest = multipart([("id", PIXEL), ("ev", "Lead"), ("eid", event_id)])
    return item_of(RELAY, relay_payload(arrived))


async def letters_of(outbox: Outbox, *items: NewItem) -> None:
    """Make letters of the items."""
    await outbox.append(items)
    for destination in (CAPI, RELAY):
        lease = await outbox.lease(destination, limit=1000, seconds=60)
        await outbox.settle(lease, {item.seq: Refused("bad") for item in lease.items})


async def left(outbox: Outbox) -> list[bytes]:
    """The payloads of all that waits and of the letters."""
    return [one.payload for find in (outbox.waiting, outbox.letters) for one in await find(limit=10_000)]


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    outbox = MemoryOutbox(lambda: NOW)
    yield outbox
    await outbox.close()


ANNS = {
    "by key": lambda eid: [twin(eid, keys={"customers": ANN})],
    "by a late rule's element": lambda eid: [twin(eid, elements={"uid": ANN})],
    "by address": lambda eid: [twin(eid, user_data={"em": (OTHERS, EM)})],
    "by number": lambda eid: [twin(eid, user_data={"ph": (EM,)})],
    "by id": lambda eid: [twin(eid, user_data={"external_id": (f"{EM}.AQ",)})],
    "by what the browser's copy says": lambda eid: [copy(eid, **{"ud[em]": EM})],
    "by a copy's capital letters": lambda eid: [copy(eid, **{"ud[em]": EM.upper()})],
    "by its twin": lambda eid: [twin(eid, keys={"customers": ANN}), copy(eid)],
    "by its twin, sent as a form": lambda eid: [twin(eid, keys={"customers": ANN}), form_copy(eid)],
}
NOT_ANNS = {
    "of another's key": lambda eid: [twin(eid, keys={"customers": "cust-10"}), copy(eid)],
    "of an order with the same number": lambda eid: [twin(eid, keys={"orders": ANN})],
    "of another's address": lambda eid: [twin(eid, user_data={"em": (OTHERS,)}), copy(eid, **{"ud[em]": OTHERS})],
    "with the key in its text": lambda eid: [twin(f"{ANN}-{eid}", notes=(ANN,))],
    "of nobody": lambda eid: [twin(eid), copy(eid), form_copy(eid)],
    "that cannot be read": lambda eid: [item_of(CAPI, f"[{eid}".encode())],
}


@settings(max_examples=60, deadline=None)
@given(events=st.lists(st.tuples(st.sampled_from([*ANNS, *NOT_ANNS]), st.booleans()), max_size=12), tight=st.booleans())
def test_exactly_what_is_the_persons_goes_whether_it_waits_or_is_a_letter(events, tight):
    """Whoever else has events in between; `tight`: in pages of one."""

    async def run() -> None:
        outbox, others = MemoryOutbox(lambda: NOW), []
        counts = {True: 0, False: 0}
        for number, (name, is_letter) in enumerate(events):
            items = (ANNS | NOT_ANNS)[name](f"event-{number}")
            await (letters_of(outbox, *items) if is_letter else outbox.append(items))
            if is_letter:  # all that waited is one by now
                counts = {True: counts[True] + counts[False], False: 0}
            if name in ANNS:
                counts[is_letter] += len(items)
            else:
                others += [item.payload for item in items]
        told = await forget(CONFIGURED, Keepers(sources=NO_STORES, outbox=outbox), [ANN, EM])
        assert (told.letters, told.waiting) == (counts[True], counts[False])
        assert sorted(await left(outbox)) == sorted(others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pixeltwin.gateway.forgetting.PAGE", 1 if tight else PAGE)
        asyncio.run(run())


class Nobody:
    """A source that knows nobody."""

    async def look_up(self, keys: Collection[str]) -> Mapping[str, Any]:
        return {}

    async def close(self) -> None: ...


NO_STORES = {"customers": Nobody(), "orders": Nobody()}


async def test_a_copy_goes_with_a_twin_that_is_a_letter(outbox: Outbox) -> None:
    await letters_of(outbox, twin("order-1", keys={"customers": ANN}))
    await outbox.append([copy("order-1"), copy("order-2")])
    told = await forget(CONFIGURED, Keepers(sources=NO_STORES, outbox=outbox), [ANN])
    assert (told.waiting, told.letters, await left(outbox)) == (1, 1, [copy("order-2").payload])


async def test_a_source_that_is_named_is_the_only_one_whose_keys_count(outbox: Outbox) -> None:
    await outbox.append([twin("order-1", keys={"customers": ANN})])
    keepers = Keepers(sources=NO_STORES, outbox=outbox)
    assert (await forget(CONFIGURED, keepers, [ANN], "orders")).waiting == 0
    assert (await forget(CONFIGURED, keepers, [ANN], "customers")).waiting == 1
    with pytest.raises(ValueError, match="the sources are: customers, orders"):
        await forget(CONFIGURED, keepers, [ANN], "nowhere")


async def test_what_is_on_its_way_is_told_and_goes_when_it_comes_back(outbox: Outbox) -> None:
    await outbox.append([twin("order-1", keys={"customers": ANN})])
    lease = await outbox.lease(CAPI, limit=1, seconds=60)
    keepers = Keepers(sources=NO_STORES, outbox=outbox)
    told = await forget(CONFIGURED, keepers, [ANN])
    assert (told.waiting, told.leased) == (0, 1)
    await outbox.settle(lease, {})
    told = await forget(CONFIGURED, keepers, [ANN])
    assert (told.waiting, told.leased, await left(outbox)) == (1, 0, [])


async def test_what_no_key_opens_is_told_as_not_searched(tmp_path: Path) -> None:
    written = sqlite.Settings(path="outbox.db", encryption=Encryption(keys=["a1" * 32]))
    outbox = await open_outbox(written, base=tmp_path)
    await outbox.append([twin("order-1", keys={"customers": ANN})])
    await outbox.close()
    outbox = await open_outbox(sqlite.Settings(path="outbox.db"), base=tmp_path)
    told = await forget(CONFIGURED, Keepers(sources=NO_STORES, outbox=outbox), [ANN])
    assert (told.waiting, told.unreadable) == (0, 1)
    await outbox.close()


def record(record_id: str, **more: Any) -> Record:
    return Record(
        id=record_id,
        received_at=NOW,
        pixel_id=PIXEL,
        event_name="Lead",
        event_id=f"event-{record_id}",
        source_url="https://shop.example/",
        state=State.QUEUED,
        **more,
    )


async def test_what_the_page_shows_of_the_person_is_emptied_there_too(outbox: Outbox) -> None:
    journal = Journal()
    for name, more in {
        "hit": {"hit": (("ud[em]", EM),)},
        "twin": {"twin": {"user_data": {"em": (EM,)}}},
        "key": {"twin": {"user_data": {}}},
        "other": {"hit": (("ud[em]", OTHERS),)},
    }.items():
        journal.add(record(name, **more))
    await outbox.append([twin("event-key", keys={"customers": ANN}, record_id="key")])
    with journal.follow() as changes:
        told = await forget(CONFIGURED, Keepers(sources=NO_STORES, outbox=outbox, journal=journal), [ANN, EM])
        assert {changes.get_nowait().id for _ in range(3)} == {"hit", "twin", "key"}
    assert told.shown == 3
    assert [one.id for one in journal.latest() if one.detail != FORGOTTEN] == ["other"]
    emptied = journal.get("twin")
    assert emptied
    assert (emptied.twin, emptied.hit, emptied.event_id, emptied.source_url) == (None, (), "", "")
    assert (await forget(CONFIGURED, Keepers(sources=NO_STORES, journal=journal), [EM])).shown == 0


@dataclass
class Crm:
    """A database of somebody else's, that counts how often it is asked."""

    rows: dict[str, Row]
    asked: int = 0

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row]:
        self.asked += 1
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def close(self) -> None: ...


async def test_caches_know_neither_the_person_nor_that_there_was_none(outbox: Outbox) -> None:
    crm = Crm({ANN: {"em": "john_smith@gmail.com"}, "other": {"em": "bob@example.com"}})
    source = Guarded(crm, SourceSettings(kind="sql", key="uid"))
    await source.look_up([ANN, "other", "unknown"])
    crm.rows.clear()  # the shop has forgotten them first: what hashes there were, the cache alone knows
    await outbox.append([twin("order-1", user_data={"em": (EM,)})])
    told = await forget(CONFIGURED, Keepers(sources={"customers": source}, outbox=outbox), [ANN, "unknown"])
    assert (told.cached, told.waiting) == (2, 1)
    asked = crm.asked
    assert (await source.look_up(["other"])).keys() == {"other"}
    assert crm.asked == asked
    crm.rows |= {ANN: {}, "unknown": {}}
    assert (await source.look_up([ANN, "unknown"])).keys() == {ANN, "unknown"}


async def test_a_cached_customer_goes_by_a_hash_as_well() -> None:
    crm = Crm({ANN: {"em": "john_smith@gmail.com"}, "other": {"em": "bob@example.com"}})
    source = Guarded(crm, SourceSettings(kind="sql", key="uid"))
    await source.look_up([ANN, "other"])
    assert (await forget(CONFIGURED, Keepers(sources={"customers": source}), [EM])).cached == 1


async def test_nothing_of_the_person_is_left_in_any_files_bytes(tmp_path: Path) -> None:
    """Neither while all is open, in the logs, nor afterwards. She has events among others' in every state."""
    config = config_of(tmp_path)
    sources, memory = open_sources(config), await open_memory(config)
    outbox = await open_outbox(config.outbox, base=tmp_path)
    assert memory
    await sources["customers"].put_all([])  # type: ignore[attr-defined]
    await sources["customers"].query.put(ANN, {"em": "john_smith@gmail.com"})  # type: ignore[attr-defined]
    for n in range(40):
        hashes = {"em": (EM if n % 4 == 0 else f"{n:064x}",), "fbp": f"fb.1.1795461138686.{n}"}
        known = UserData(**hashes)
        event = ServerEvent(event_name="Lead", event_time=int(NOW), event_id=str(n), user_data=known).as_json()
        await memory.remember(to_remember(PIXEL, event, event), math.inf)
        items = [twin(f"event-{n}", user_data=hashes), copy(f"event-{n}", **{"ud[em]": hashes["em"][0]})]
        await (letters_of(outbox, *items) if n == 20 else outbox.append(items))
    keepers = Keepers(sources=sources, outbox=outbox, memory=memory)
    assert EM.encode() in everything(tmp_path)
    told = await forget(config, keepers, [ANN])
    assert told == Forgotten(customers=1, waiting=8, letters=12, remembered=10)
    assert EM.encode() not in everything(tmp_path)
    assert bytes.fromhex(EM) not in everything(tmp_path)
    assert f"{21:064x}".encode() in everything(tmp_path)
    for one in (*sources.values(), memory, outbox):
        await one.close()
    assert EM.encode() not in everything(tmp_path)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())
