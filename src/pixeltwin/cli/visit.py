"""One scripted visit to the demo shop, and the judgement over it.

The visitor has no JavaScript engine: it reads the `fbq` calls from each page and sends what a browser would send.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from rich.console import Console
from rich.table import Table

from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.shop import KNOWN_CUSTOMER, PixelCall, pixel_calls

USER_AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
LONGEST_GET: Final = 2048  # characters; above it the pixel posts (PROTOCOL 3.3)
PATIENCE: Final = 15.0  # seconds until every twin has to be at Meta
ENRICHED: Final = ("em", "ph", "fn", "ln", "external_id")


@dataclass
class Visit:
    """A visitor under way: the hits it sent, as (event name, the page's event id or None)."""

    shop: str
    gateway: str
    pixel_id: str
    client: httpx.AsyncClient
    fbp: str = field(default_factory=lambda: f"fb.0.{time.time_ns() // 1_000_000}.{random.getrandbits(53)}")
    hits: list[tuple[str, str | None]] = field(default_factory=list)

    async def get(self, path: str) -> None:
        await self._look_at(await self.client.get(self.shop + path))

    async def post(self, path: str, **form: str) -> None:
        await self._look_at(await self.client.post(self.shop + path, data=form))

    async def _look_at(self, page: httpx.Response) -> None:
        page.raise_for_status()
        self.client.headers["referer"] = str(page.url)
        began = time.time_ns() // 1_000_000
        for count, call in enumerate(pixel_calls(page.text)):
            await self._send(self._parameters(str(page.url), call, count, began))
            self.hits.append((call.event_name, call.event_id))

    async def _send(self, parameters: list[tuple[str, str]]) -> None:
        url = f"{self.gateway}/tr/"
        get = f"{url}?{urlencode([*parameters, ('rqm', 'GET')])}"
        if len(get) < LONGEST_GET:
            answer = await self.client.get(get)
        else:
            answer = await self.client.post(url, data=dict([*parameters, ("rqm", "formPOST")]))
        answer.raise_for_status()

    def _parameters(self, page: str, call: PixelCall, count: int, began: int) -> list[tuple[str, str]]:
        now = time.time_ns() // 1_000_000
        return [
            *(("id", self.pixel_id), ("ev", call.event_name), ("dl", page), ("rl", ""), ("if", "false")),
            ("ts", str(now)),
            *((f"cd[{key}]", _text(value)) for key, value in call.custom_data.items()),
            *(("sw", "1920"), ("sh", "1080"), ("v", "pixeltwin-visit"), ("r", "stable")),
            *(("ec", str(count)), ("o", "4126"), ("fbp", self.fbp), ("it", str(began)), ("coo", "false")),
            *([("eid", call.event_id)] if call.event_id else []),
        ]


async def shop_around(shop: str, gateway: str, pixel_id: str) -> Visit:
    """Look, put in the cart, log in, buy."""
    headers = {"user-agent": USER_AGENT, "accept-language": "en-GB"}
    async with httpx.AsyncClient(headers=headers, follow_redirects=True, trust_env=False) as client:
        visit = Visit(shop, gateway, pixel_id, client)
        await visit.get("/")
        await visit.get("/product/mugs")
        await visit.post("/cart", sku="mugs")
        await visit.post("/login", email=KNOWN_CUSTOMER["em"])
        await visit.get("/checkout")
        await visit.post("/checkout")
        return visit


async def judge(visit: Visit, sandbox: Sandbox, console: Console) -> int:
    """Print what became of every hit; 0 when each has one twin that Meta took and paired with it."""
    pairs = await _pairs(sandbox, len(visit.hits))
    table = Table("event", "event_id", "Meta's verdict", "hashes in the twin", title="One visit to the demo shop")
    for pair in pairs:
        table.add_row(pair["event_name"], pair["event_id"], pair["verdict"], " ".join(_hashes(pair)))
    console.print(table)
    faults = list(_faults(visit, pairs, sandbox))
    for fault in faults:
        console.print(f"✗ {fault}", style="red", markup=False)
    if not faults:
        console.print(f"✓ {len(pairs)} hits, {len(pairs)} twins accepted and de-duplicated", style="green")
    return 1 if faults else 0


async def _pairs(sandbox: Sandbox, expected: int) -> list[dict[str, Any]]:
    """The sandbox's events once there are enough pairs, or what there is when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        events: list[dict[str, Any]] = sandbox.report()["events"]
        paired = sum(event["verdict"] == "deduplicated" for event in events)
        if paired >= expected or time.monotonic() > deadline:
            return events
        await asyncio.sleep(0.05)


def _faults(visit: Visit, pairs: list[dict[str, Any]], sandbox: Sandbox) -> list[str]:
    names = sorted(name for name, _ in visit.hits)
    seen = sorted(pair["event_name"] for pair in pairs)
    purchase = next((pair for pair in pairs if pair["event_name"] == "Purchase"), None)
    missing = [key for key in ENRICHED if not purchase or key not in _hashes(purchase)]
    return [
        *([f"the visit sent {names}, Meta shows {seen}"] if names != seen else []),
        *(f"{pair['event_name']} {pair['event_id']}: {pair['verdict']}" for pair in pairs if not _is_pair(pair)),
        *(f"Meta refused: {refused}" for refused in sandbox.report()["refused"]),
        *(f"the Purchase twin lacks {key}" for key in missing),
    ]


def _is_pair(pair: dict[str, Any]) -> bool:
    return (pair["verdict"], pair["by"]) == ("deduplicated", "event_id")


def _hashes(pair: dict[str, Any]) -> list[str]:
    server = pair["server"]
    return [key for key in ENRICHED if server and key in server["event"]["user_data"]]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
