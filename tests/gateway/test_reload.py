"""Another config while the gateway runs: what is decided stays, and what is not is up to the new one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pixeltwin.config import Config
from pixeltwin.delivery.lanes import Cause
from pixeltwin.destinations import conversions_api
from pixeltwin.enrich.source import Profile
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway import Gateway, Reloader
from pixeltwin.mirror import Draft
from tests.factories import PIXEL, hit_query, request

from . import factories
from .factories import Known, Line

SHOP = f"""
meta: {{ graph: "http://127.0.0.1:9", pixel: "http://127.0.0.1:9" }}
pixels: [{{ name: shop, id: "{PIXEL}", access_token: "${{T}}", relay: none, enrich: [crm] }}]
elements: {{ uid: {{ signed_cookie: uid, key: "${{KEY}}" }} }}
outbox: {{ kind: memory }}
"""
CRM = "sources: { crm: { kind: embedded, path: crm.db, key: uid, profile: [orders_count] } }\n"
MEMORY = "identity: { remember: 90d, store: { kind: memory } }\n"
NEW = "profile.orders_count < 2.0"
RENAME = "rules: [{ name: leads, match: { event: Contact }, then: { rename: Lead } }]\n"


def read(folder: Path, text: str) -> Config:
    return Config.from_text(text, base=folder, env={"T": "t", "KEY": "k"})


@asynccontextmanager
async def opened(folder: Path, text: str, *, senders: bool = False) -> AsyncIterator[Gateway]:
    gateway = Gateway(read(folder, text), relay="background", senders=senders)
    await gateway.open()
    try:
        yield gateway
    finally:
        await gateway.close()


async def take(gateway: Gateway, ev: str = "Contact") -> None:
    await gateway.handle(request(hit_query(ev, eid=ev, fbp="fb.1.1795461790000.1")))


async def drafts(gateway: Gateway) -> list[Draft]:
    return [Draft.from_bytes(item.payload) for item in await gateway.outbox.waiting()]


async def test_a_hit_that_waits_keeps_what_was_decided_about_it(tmp_path):
    async with opened(tmp_path, SHOP + CRM + RENAME) as gateway:
        await take(gateway)
        old = gateway.config_digest
        await gateway.apply(read(tmp_path, SHOP + CRM))
        await take(gateway, "Search")
        first, second = await drafts(gateway)
        assert (first.event["event_name"], first.rules, first.config) == ("Lead", ("leads",), old)
        assert (second.event["event_name"], second.rules) == ("Search", ())
        assert second.config == gateway.config_digest != old


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ("", [["Lead"]]),
        (f"rules: [{{ name: late, when: '{NEW}', then: {{ drop: twin }} }}]\n", []),
        (f"rules: [{{ name: other, when: '{NEW}', then: {{ drop: twin }} }}]\n", [["Lead"]]),
    ],
    ids=["gone", "changed", "another"],
)
async def test_a_late_rule_is_the_new_config_s_and_does_nothing_when_it_has_gone(rules, names):
    late = f"rules: [{{ name: late, when: '{NEW}', then: {{ custom_data: {{ json: {{ a: 1 }} }} }} }}]\n"
    crm = "{ kind: csv, path: x, key: uid, map: {}, profile: [orders_count] }"
    sources = f"elements: {{ uid: {{ constant: u }} }}\nsources: {{ crm: {crm} }}\n"
    base = factories.SHOP.replace(" }]", ", enrich: [crm] }]") + sources
    line = Line(base + late, {"crm": Known({"u": Profile(facts={"orders_count": 1.0})})})
    await line.take("Lead")
    after = Line(base + rules, {"crm": Known({"u": Profile(facts={"orders_count": 1.0})})})
    after.outbox = line.outbox
    assert [[event["event_name"] for event in post[3]] for post in await after.deliver()] == names


async def test_what_has_not_changed_is_handed_over_and_what_has_is_closed(tmp_path):
    async with opened(tmp_path, SHOP + CRM + MEMORY) as gateway:
        before = gateway._line
        await gateway.apply(read(tmp_path, SHOP + CRM + MEMORY + RENAME))
        assert gateway._line.sources["crm"] is before.sources["crm"]
        assert gateway._line.memory is before.memory
        await gateway._line.sources["crm"].look_up(["1"])
        await gateway.apply(read(tmp_path, SHOP + CRM.replace("crm.db", "other.db")))
        assert gateway._line.memory is None
        with pytest.raises(OSError, match="closed"):
            await before.sources["crm"].look_up(["1"])


async def test_a_config_whose_files_cannot_be_had_changes_nothing(tmp_path):
    (tmp_path / "taken").mkdir()
    async with opened(tmp_path, SHOP + CRM) as gateway:
        before = gateway._line
        broken = SHOP + CRM + "identity: { remember: 90d, store: { kind: sqlite, path: taken } }\n"
        reloader = Reloader(gateway, lambda running: read(tmp_path, broken))
        (problem,) = await reloader.reload()
        assert "taken" in problem.found
        assert gateway._line is before
        await gateway._line.sources["crm"].look_up(["1"])
        await take(gateway)
        assert len(await drafts(gateway)) == 1


async def test_a_reload_tries_again_what_waits_for_a_set_up_to_be_mended_and_no_throttled_pixel(tmp_path):
    async with opened(tmp_path, SHOP + CRM, senders=True) as gateway:
        for pixel, cause in (("1", Cause.SETUP), ("2", Cause.THROTTLE)):
            await gateway.outbox.park(conversions_api.NAME, pixel, until=9e9, reason=f"{cause}: 190")
        await gateway.apply(gateway.config)
        assert {pixel for _, pixel in await gateway.outbox.parks()} == {"2"}


async def test_reloads_come_one_after_the_other_and_the_last_file_counts(tmp_path):
    texts = [f"{SHOP}{CRM}# {n}\n" for n in range(5)]
    async with opened(tmp_path, SHOP + CRM, senders=True) as gateway:
        last = read(tmp_path, texts[-1]).digest
        reloader = Reloader(gateway, lambda running: read(tmp_path, texts.pop(0)))
        assert await asyncio.gather(*(reloader.reload() for _ in range(5))) == [()] * 5
        assert gateway.config_digest == last
        assert len(gateway._senders._tasks) == 2
        assert not any(task.done() for task in gateway._senders._tasks)


async def test_a_reload_that_meets_a_stop_leaves_nobody_sending(tmp_path):
    async with opened(tmp_path, SHOP + CRM, senders=True) as gateway:
        reloading = asyncio.create_task(gateway.apply(read(tmp_path, SHOP + CRM + RENAME)))
        await asyncio.sleep(0)
        await gateway.close()
        await asyncio.gather(reloading, return_exceptions=True)
        assert gateway._senders is None
        assert gateway.ready() == "the outbox is not open"


async def test_a_reader_s_problems_are_answered_as_they_are(tmp_path):
    problem = Problem("f.yaml", 3, 5, "pixels", "nothing", "something")

    def refuse(running: Config) -> Config:
        raise ConfigError([problem])

    async with opened(tmp_path, SHOP + CRM) as gateway:
        assert list(await Reloader(gateway, refuse).reload()) == [problem]
