"""`pixeltwin demo`: a sandbox Meta, a shop, the gateway and its Test Events page on this machine; no account needed."""

import asyncio
import secrets
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.panel import Panel

from pixeltwin.cli.run import open_gateway
from pixeltwin.cli.signals import stop_on_signals
from pixeltwin.cli.visit import judge, shop_around
from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import HOST, serving
from pixeltwin.sandbox.shop import KNOWN_CUSTOMER, ShopSettings, create_shop
from pixeltwin.sources.embedded import EmbeddedSource
from pixeltwin.telemetry import configure_logging

PIXEL_ID: Final = "1234567890123456"
CUSTOMERS: Final = "customers.db"
CONFIG: Final = """
server: {{ listen: {host}:{gateway} }}
meta: {{ graph: "http://{host}:{sandbox}", pixel: "http://{host}:{sandbox}" }}
pixels:
  - {{ name: demo-shop, id: "{pixel_id}", access_token: "${{DEMO_TOKEN}}", enrich: [customers] }}
elements: {{ customer_id: {{ signed_cookie: uid, key: "${{DEMO_UID_KEY}}" }} }}
sources: {{ customers: {{ kind: embedded, path: {customers}, key: customer_id }} }}
outbox: {{ kind: sqlite, path: outbox.db }}
admin: {{ listen: {host}:{admin} }}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the demo's servers listen, from the gateway's port on."""

    gateway: int

    @property
    def shop(self) -> int:
        return self.gateway + 1

    @property
    def sandbox(self) -> int:
        return self.gateway + 2

    @property
    def admin(self) -> int:
        return self.gateway + 10


async def run_demo(*, check: bool, port_base: int) -> int:
    """Serve until a signal stops it, or drive one visit and answer 0 when every hit of it has its twin."""
    configure_logging("warning")
    console, ports = Console(), Ports(port_base)
    with tempfile.TemporaryDirectory(prefix="pixeltwin-demo-") as folder:
        async with AsyncExitStack() as stack:
            sandbox, gateway, server = await _open(ports, Path(folder), stack)
            running = asyncio.create_task(server.run())
            await server.opened()
            if check:
                visit = await shop_around(_url(ports.shop), _url(ports.gateway), PIXEL_ID)
                code = await judge(visit, sandbox, console)
                server.stop()
            else:
                stop_on_signals(server.stop, gateway.hurry)
                console.print(_welcome(ports))
                code = 0
            await running
    return code


async def _open(ports: Ports, folder: Path, stack: AsyncExitStack) -> tuple[Sandbox, Gateway, Embedded]:
    token, uid_key = secrets.token_hex(16), secrets.token_hex(16)
    await _remember_the_customer(folder)
    sandbox = Sandbox(tokens={PIXEL_ID: token})
    shop = create_shop(
        ShopSettings(
            pixel_id=PIXEL_ID,
            pixel_script=f"{_url(ports.sandbox)}/en_US/fbevents.js",
            hit_endpoint=f"{_url(ports.gateway)}/tr/",
            uid_key=uid_key.encode(),
            test_events=_url(ports.admin),
        )
    )
    await stack.enter_async_context(serving(create_app(sandbox), HOST, ports.sandbox))
    await stack.enter_async_context(serving(shop, HOST, ports.shop))
    config = Config.from_text(
        _config_text(ports), base=folder, env={"DEMO_TOKEN": token, "DEMO_UID_KEY": uid_key}, file="demo"
    )
    gateway = Gateway(config, relay="background")
    server = Embedded(gateway)
    await open_gateway(gateway, stack)
    return sandbox, gateway, server


def _config_text(ports: Ports) -> str:
    return CONFIG.format(
        host=HOST,
        gateway=ports.gateway,
        sandbox=ports.sandbox,
        admin=ports.admin,
        pixel_id=PIXEL_ID,
        customers=CUSTOMERS,
    )


async def _remember_the_customer(folder: Path) -> None:
    """What the shop's own systems know of its one customer, and no browser tells."""
    person = dict(KNOWN_CUSTOMER)
    customers = EmbeddedSource(folder / CUSTOMERS)
    await customers.put(person.pop("customer_id"), person)
    await customers.close()


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _welcome(ports: Ports) -> Panel:
    return Panel(
        f"[bold]1[/]  Shop a little      {_url(ports.shop)}\n"
        f"[bold]2[/]  Watch the twins    {_url(ports.admin)}\n"
        f"[bold]3[/]  See what Meta got  {_url(ports.sandbox)}/sandbox/events\n\n"
        f"The gateway listens on {_url(ports.gateway)}. Ctrl-C ends it all.",
        title="pixeltwin demo",
        expand=False,
    )
