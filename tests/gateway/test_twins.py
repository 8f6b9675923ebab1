"""Preparing a lease: one look-up a source, and a source that is down delays a twin, but never loses it."""

from collections.abc import Collection, Mapping
from pathlib import Path

import orjson
import pytest

from pixeltwin.config import Config
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.outbox import Dropped, Item, Later, Refused
from pixeltwin.delivery.worker import Ready
from pixeltwin.enrich.source import Profile
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.twins import Twins
from pixeltwin.mirror import Draft, PixelPolicy, Policy, admit
from tests.factories import NOW, PIXEL, hit_query, request

CONFIG = Config.from_text(
    f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}", enrich: [customers] }}]
elements: {{ customer_id: {{ signed_cookie: uid, key: "${{T}}" }} }}
sources: {{ customers: {{ kind: embedded, key: customer_id }} }}
""",
    base=Path(),
    env={"T": "t"},
)
HASH = "1" * 64


class Customers:
    """A source that remembers what it was asked."""

    def __init__(self, known: Mapping[str, Profile], error: OSError | None = None) -> None:
        self.known, self.error, self.asked = known, error, []

    async def look_up(self, keys: Collection[str]) -> Mapping[str, Profile]:
        self.asked.append(set(keys))
        if self.error:
            raise self.error
        return {key: self.known[key] for key in keys if key in self.known}

    async def close(self) -> None: ...


def item(seq: int, customer: str | None, query: str = "", age: float = 0) -> Item:
    admission = admit(
        request(query or hit_query()),
        Policy(pixels={PIXEL: PixelPolicy()}),
        record_id=str(seq),
        random_below=lambda below: 0,
    )
    assert admission.draft
    keys = {"customers": customer} if customer else {}
    draft = Draft(pixel_id=PIXEL, event=admission.draft.event, keys=keys, record_id=str(seq))
    return Item(seq=seq, pixel_id=PIXEL, payload=draft.as_bytes(), attempts=0, appended_at=NOW - age)


def twins(source: Customers) -> Twins:
    return Twins(CONFIG, policy_of(CONFIG), {"customers": source}, Journal(), clock=lambda: NOW)


async def test_a_lease_costs_one_look_up_a_source():
    source = Customers({"a": Profile({"em": (HASH,)})})
    prepared = await twins(source).prepare([item(1, "a"), item(2, "b"), item(3, "a"), item(4, None)])
    assert source.asked == [{"a", "b"}]
    emails = {seq: orjson.loads(made.payload)["user_data"].get("em") for seq, made in prepared.items()}
    assert emails == {1: [HASH], 2: None, 3: [HASH], 4: None}


async def test_a_source_that_is_down_delays_a_twin():
    prepared = await twins(Customers({}, OSError("down"))).prepare([item(1, "a"), item(2, None)])
    assert isinstance(prepared[1], Later)
    assert isinstance(prepared[2], Ready)


async def test_a_twin_goes_without_a_source_that_stays_down():
    prepared = await twins(Customers({}, OSError("down"))).prepare([item(1, "a", age=CONFIG.enrich.wait + 1)])
    assert isinstance(prepared[1], Ready)


async def test_what_meta_would_refuse_never_sinks_the_others():
    bad = item(2, None, hit_query("Purchase", cd_currency="EUR"))
    prepared = await twins(Customers({})).prepare([item(1, None), bad])
    assert isinstance(prepared[1], Ready)
    assert prepared[2] == Dropped("purchase_without_value (100/2804009)")


EVENT = b'{"event_name":"Lead","event_time":1,"event_id":"e","user_data":{"fbp":"fb.1.2.3"}}'


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"no JSON",
        b"[]",
        b'"text"',
        b'{"pixel_id":"1"}',
        b'{"pixel_id":"1","event":{}}',
        b'{"pixel_id":"1","event":%b,"of a newer version":1}' % EVENT,
        b'{"pixel_id":"1","event":%b,"keys":"text"}' % EVENT,
        b'{"pixel_id":"1","event":%b}' % EVENT.replace(b'"fbp"', b'"email"'),
        b'{"pixel_id":"1","event":%b}' % EVENT.replace(b'"fbp":"fb.1.2.3"', b'"em":["a@example.com"]'),
        b'{"pixel_id":"1","event":%b' % EVENT,
    ],
)
async def test_a_draft_that_cannot_be_read_goes_to_the_dead_letters(payload):
    broken = Item(seq=1, pixel_id=PIXEL, payload=payload, attempts=0, appended_at=NOW)
    gateway = twins(Customers({}))
    prepared = await gateway.prepare([broken, item(2, None)])
    assert isinstance(prepared[1], Refused)
    assert isinstance(prepared[2], Ready)
    gateway.report([(broken, prepared[1], "")])  # and that it went there can be told


def test_a_draft_of_a_version_that_knew_less_is_read():
    assert Draft.from_bytes(b'{"pixel_id":"1","event":%b}' % EVENT).event["user_data"]["fbp"] == "fb.1.2.3"
