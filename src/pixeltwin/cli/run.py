"""`pixeltwin run`: the gateway behind its front door, with its admin pages."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from pixeltwin.cli.collector import collect_seldom
from pixeltwin.cli.pages import admin_pages
from pixeltwin.cli.signals import reload_on_hangup, stop_on_signals
from pixeltwin.config import Config, Pixel, load_config
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway import Gateway, Reloader
from pixeltwin.telemetry import configure_logging, log

if TYPE_CHECKING:
    from pixeltwin.proxy.lanes import Lane


async def run_gateway(path: Path, lane: "Lane" = "fast") -> int:
    """Run until a signal stops it; 0 when it ended as it should."""
    from pixeltwin.proxy.embedded import Embedded  # mitmproxy takes a second to import: only where it serves

    configure_logging()
    config = read_config(path)
    for warning in config.warnings:
        log.warning("config", warning=str(warning))
    gateway = Gateway(config, relay="background")
    server = Embedded(gateway, lane)
    reloader = Reloader(gateway, lambda running: read_config(path, running), server.apply)
    async with AsyncExitStack() as stack:
        await open_gateway(gateway, stack, reloader)
        stop_on_signals(server.stop, gateway.hurry)
        reload_on_hangup(reloader.begin)
        admin = str(config.admin.listen) if config.admin else "off"
        log.info("pixeltwin runs", listen=str(config.server.listen), admin=admin, config=config.digest)
        collect_seldom()
        await server.run()
    log.info("pixeltwin has stopped")
    return 0


async def open_gateway(gateway: Gateway, stack: AsyncExitStack, reloader: Reloader | None = None) -> None:
    """Open the gateway and its admin pages until the stack ends. Raises `OSError`."""
    await gateway.open()
    stack.push_async_callback(gateway.close)
    await stack.enter_async_context(admin_pages(gateway, reloader))


def read_config(path: Path, running: Config | None = None) -> Config:
    """The file as a gateway can run it, in place of what is `running`. Raises `ConfigError`."""
    config = load_config(path, running=running)
    if problems := [_no_native(path, pixel) for pixel in config.pixels if pixel.relay == "native"]:
        raise ConfigError(problems)
    return config


def _no_native(path: Path, pixel: Pixel) -> Problem:
    """mitmproxy's own forwarding gives a hit up when its browser leaves the page: no way to relay visitors' hits."""
    return Problem(
        file=str(path),
        line=0,
        column=0,
        key=f"pixels: {pixel.name}: relay",
        found="native, which is for mitmdump",
        remedy="write background (the default here) or none",
    )
