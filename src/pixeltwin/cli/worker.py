"""`pixeltwin worker`: the senders of an outbox that gateways fill, without a front door."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from pixeltwin.cli.pages import admin_pages
from pixeltwin.cli.signals import reload_on_hangup, stop_on_signals
from pixeltwin.config import Config, load_config
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway import Gateway, Reloader
from pixeltwin.outboxes import memory, sqlite
from pixeltwin.telemetry import configure_logging, log

ONE_OWNER: Final = (
    "an outbox of kind sqlite is one process's, and a gateway that runs delivers from it by itself; "
    "for workers beside gateways use kind postgres"
)


async def run_worker(path: Path, *, admin: bool) -> int:
    """Deliver until a signal stops it; 0 when it ended as it should."""
    configure_logging()
    config = load_config(path)
    _refuse_memory(path, config)
    gateway, stopping = Gateway(config, relay="background", senders=True), asyncio.Event()
    reloader = Reloader(gateway, lambda running: load_config(path, running=running))
    async with AsyncExitStack() as stack:
        await _open(gateway, stack)
        if admin:
            await stack.enter_async_context(admin_pages(gateway, reloader))
        stop_on_signals(stopping.set, gateway.hurry)
        reload_on_hangup(reloader.begin)
        log.info("pixeltwin delivers", config=config.digest)
        await stopping.wait()
        await gateway.close()
    log.info("pixeltwin has stopped")
    return 0


async def _open(gateway: Gateway, stack: AsyncExitStack) -> None:
    try:
        await gateway.open()
    except OSError as error:
        if isinstance(gateway.config.outbox, sqlite.Settings):
            raise OSError(f"{error}\n{ONE_OWNER}") from error
        raise
    stack.push_async_callback(gateway.close)


def _refuse_memory(path: Path, config: Config) -> None:
    if isinstance(config.outbox, memory.Settings):
        found, remedy = "memory, which is the gateway's own", "use kind postgres, which workers can share"
        raise ConfigError([Problem(str(path), 0, 0, "outbox.kind", found, remedy)])
