"""A person whose data comes in by every door is nowhere on the page or in the API in plain text."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import orjson
import pytest_asyncio
from playwright.async_api import Browser, expect

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.config import Config
from pixeltwin.delivery.journal import State
from pixeltwin.gateway import Gateway
from pixeltwin.pixel.request import HitRequest
from pixeltwin.sandbox.app import create_app as create_sandbox
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import serving as serving_sandbox
from tests.browser import in_browser
from tests.factories import PIXEL, form, hit_query, request

pytestmark = in_browser

CUSTOMERS = """id,email,phone,first,last,city
c-1,canary.person@example.com,0151 23450099,Canarina,Vogelsang,Kanariental
"""
TELLING = ("canary", "canarina", "vogelsang", "kanariental", "23450099")  # in whatever spelling
CONFIG = """
meta: {{ graph: "{meta}", pixel: "{meta}" }}
pixels:
  - {{ name: shop, id: "{pixel}", access_token: "${{T}}", ingest_keys: ["${{T}}"], default_country: DE, enrich: [crm] }}
elements: {{ customer_id: {{ constant: c-1 }}, member: {{ cookie: member }} }}
sources:
  crm: {{ kind: csv, path: customers.csv, key: customer_id,
          map: {{ em: email, ph: phone, fn: first, ln: last, ct: city }} }}
rules:
  - {{ name: member, match: {{ event: Lead }}, then: {{ user_data: {{ em: "{{{{ member }}}}" }} }} }}
  - {{ name: none-of-these, match: {{ event: Contact }}, then: {{ drop: both }} }}
consent:
  eu: {{ read: [{{ cookie: ads, granted: [yes], denied: [no] }}], unknown: hold 30m }}
outbox: {{ kind: memory }}
identity: {{ remember: null }}
"""
LEAKING_PAGE = "https://www.shop.example/thanks?email=canary.person@example.com&phone=+4915123450099"
LEAKING = {
    "dl": LEAKING_PAGE,
    "rl": LEAKING_PAGE,
    "fbp": "fb.1.1795461138686.39550",
    "cd_note": "canary.person@example.com",
    "cd_value": "12.5",
    "cd_currency": "EUR",
    "ud[em]": "canary.person@example.com",
    "ud[fn]": "Canarina",
    "udff[ln]": "Vogelsang",
}
CONSENT = {"cookie": "ads=yes"}


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    async with serving_sandbox(create_sandbox(Sandbox(tokens={PIXEL: "t"})), port=0) as meta:
        text = CONFIG.format(meta=meta, pixel=PIXEL)
        gateway = Gateway(Config.from_text(text, base=tmp_path, env={"T": "t"}), relay="background")
        await gateway.open()
        yield gateway
        await gateway.close()


def hits() -> list[HitRequest]:
    told = LEAKING | {"ts": str(time.time_ns() // 1_000_000)}
    image = f"id={PIXEL}&ev=PageView&noscript=1"  # names its page in the Referer alone
    return [
        request(hit_query("Purchase", **told), headers=CONSENT),
        request(hit_query("Lead", **told), headers={"cookie": "ads=yes; member=canary.person@example.com"}),
        request(hit_query("Contact", **told), headers=CONSENT),
        request(image, headers=CONSENT | {"referer": LEAKING_PAGE}),
        request(image, headers={"cookie": "ads=no", "referer": LEAKING_PAGE}),
        request(hit_query("AddToCart", **told)),
        form(hit_query("Search", **told)),
    ]


def server_event() -> HitRequest:
    event = {
        "event_name": "Subscribe",
        "event_time": int(time.time()),
        "event_id": "renewal-1",
        "action_source": "website",
        "event_source_url": LEAKING_PAGE,
        "user_data": {"em": "canary.person@example.com", "fn": "Canarina", "client_user_agent": "Mozilla/5.0"},
        "custom_data": {"note": "canary.person@example.com", "value": 3, "currency": "EUR"},
    }
    body = orjson.dumps({"accessKey": "t", "data": [event]})
    return request(body=body, content_type="application/json", path=f"/capi/{PIXEL}/events")


async def journaled(gateway: Gateway) -> list[str]:
    """The ids of all records, once every twin that can be is with Meta."""
    for hit in hits():
        await gateway.handle(replace(hit, received_at=time.time()))
    await gateway.ingest(PIXEL, server_event())
    for _ in range(100):
        records = gateway.journal.latest()
        if not any(record.state in (State.QUEUED, State.LATER) for record in records):
            break
        await asyncio.sleep(0.05)
    return [record.id for record in records]


async def test_a_person_is_nowhere_in_plain_text(chromium: Browser, gateway: Gateway) -> None:
    ids = await journaled(gateway)
    states = {record.state for record in gateway.journal.latest()}
    assert states == {State.DELIVERED, State.HELD, State.SKIPPED}
    async with serving(create_app(gateway), "127.0.0.1", 0) as url, httpx.AsyncClient(base_url=url) as api:
        shown = [(await api.get(path)).text for path in ("/api/events", "/api/outbox", "/metrics")]
        shown += [(await api.get(f"/api/events/{record_id}")).text for record_id in ids]
        page = await chromium.new_page()
        await page.goto(url)
        await expect(page.locator("#rows li")).to_have_count(len(ids))
        for row in await page.locator("#rows button").all():
            await row.click()
            await expect(page.locator("#detail dl")).to_contain_text("De-duplicated by")
            shown.append(await page.content())
        await page.close()
    everything = "\n".join(shown).lower()
    assert [word for word in TELLING if word in everything] == []
    assert '"user_data.ph":"crm"' in everything  # the person did come in
    assert '"user_data.em":"rule member"' in everything
