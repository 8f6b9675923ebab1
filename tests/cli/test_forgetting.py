"""`pixeltwin customers forget`: a person goes from the store and from what browsers told, by whatever name."""

import asyncio
from pathlib import Path

import pytest
from tests.factories import NOW, PIXEL
from tests.outboxes.engines import server
from typer.testing import CliRunner

from pixeltwin.capi.event import EventJson, ServerEvent, UserData
from pixeltwin.cli import app, forgetting
from pixeltwin.config import load_config
from pixeltwin.enrich.memory import browser_key, to_remember
from pixeltwin.gateway.items import twin_item
from pixeltwin.memories import sqlite
from pixeltwin.mirror import Draft
from pixeltwin.outboxes import open_outbox
from pixeltwin.sources.embedded import EmbeddedSource

FBP = "fb.1.1795461138686.1"
# the documentation's hash of john_smith@gmail.com, and of a city (PROTOCOL 1.5)
EM = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
NEWYORK = "350c754ba4d38897693aa077ef43072a859d23f613443133fecbbd90a3512ca5"
CONFIG = f"""
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]
elements: {{ uid: {{ signed_cookie: uid, key: "${{T}}" }} }}
sources: {{ customers: {{ kind: embedded, path: customers.db, key: uid }} }}
identity: {{ remember: 90d, store: {{ kind: sqlite, path: identities.db }} }}
outbox: {{ kind: sqlite, path: outbox.db }}
admin: null
"""
NOTHING_ELSE = "0 waiting, 0 letters, 0 cached, 0 shown"


@pytest.fixture
def config(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("T", "a-token")
    (tmp_path / "shop.yaml").write_text(CONFIG)
    asyncio.run(_fill(tmp_path))
    return tmp_path / "shop.yaml"


async def _fill(folder: Path) -> None:
    store = EmbeddedSource(folder / "customers.db")
    await store.put("cust-1", {"em": "john_smith@gmail.com", "ct": "New York"})
    await store.close()
    memory = await sqlite.open_memory(sqlite.Settings(kind="sqlite", path="identities.db"), base=folder)
    for fbp, hashes in ((FBP, {"em": (EM,), "ct": (NEWYORK,)}), (f"{FBP}2", {"em": ("a" * 64,), "ct": (NEWYORK,)})):
        user_data = UserData(fbp=fbp, **hashes)
        event = ServerEvent(event_name="Lead", event_time=int(NOW), event_id="1", user_data=user_data).as_json()
        await memory.remember(to_remember(PIXEL, event, event), 3600.0)
    await memory.close()


def remembered(folder: Path) -> set[str]:
    async def recall() -> set[str]:
        memory = await sqlite.open_memory(sqlite.Settings(kind="sqlite", path="identities.db"), base=folder)
        found = await memory.recall([browser_key(PIXEL, FBP), browser_key(PIXEL, f"{FBP}2")])
        await memory.close()
        return {fbp for fbp in (FBP, f"{FBP}2") if browser_key(PIXEL, fbp) in found}

    return asyncio.run(recall())


def forget(config: Path, *keys: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["customers", "forget", *keys, "-c", str(config)])
    return ran.exit_code, ran.output.strip()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("cust-1", "1 in stores, 1 remembered"),
        ("John_Smith@gmail.com", "0 in stores, 1 remembered"),
        (EM, "0 in stores, 1 remembered"),
    ],
)
def test_one_person_goes_and_the_neighbour_of_the_same_city_stays(config, key, told):
    assert forget(config, key) == (0, f"forgotten: {told}, {NOTHING_ELSE}")
    assert remembered(config.parent) == {f"{FBP}2"}


def test_whom_nobody_knows_is_said(config):
    assert forget(config, "nobody@example.com") == (1, f"forgotten: 0 in stores, 0 remembered, {NOTHING_ELSE}")


@pytest.mark.parametrize("leased", [False, True])
def test_in_a_database_without_a_gateway_what_another_node_is_sending_is_told(config, tmp_path, monkeypatch, leased):
    pytest.importorskip("asyncpg")
    monkeypatch.setattr(forgetting, "AGAIN", 0.0)
    monkeypatch.setenv("DSN", server())
    database = f'kind: postgres, url: "${{DSN}}", schema: forget_{leased:d}'
    config.write_text(CONFIG.replace("kind: sqlite, path: outbox.db", database))
    twins = [Draft(pixel_id=PIXEL, event=lead(eid), keys={"customers": key}) for eid, key in WHOSE.items()]

    async def run() -> tuple[int, list[bytes]]:
        outbox = await open_outbox(load_config(config).outbox, base=tmp_path)
        await outbox.append([twin_item(draft) for draft in twins])
        if leased:
            await outbox.lease("conversions_api", limit=10, seconds=60)
        code = await asyncio.to_thread(forgetting.forget_customers, ["cust-1"], config)
        left = [item.payload for item in await outbox.waiting()]
        await outbox.close()
        return code, left

    left = twins if leased else twins[1:]
    assert asyncio.run(run()) == (int(leased), [draft.as_bytes() for draft in left])


WHOSE = {"order-1": "cust-1", "order-2": "cust-2"}


def lead(event_id: str) -> EventJson:
    return ServerEvent(event_name="Lead", event_time=int(NOW), event_id=event_id, user_data=UserData()).as_json()
