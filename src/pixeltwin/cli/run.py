"""`pixeltwin run`: the gateway behind its front door, with its admin pages."""

from contextlib import AsyncExitStack
from pathlib import Path

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.config import Config, Pixel, load_config
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.telemetry import configure_logging, log


async def run_gateway(path: Path) -> int:
    """Run until a signal stops it; 0 when it ended as it should."""
    configure_logging()
    config = load_config(path)
    if problems := [_no_native(path, pixel) for pixel in config.pixels if pixel.relay == "native"]:
        raise ConfigError(problems)
    for warning in config.warnings:
        log.warning("config", warning=str(warning))
    async with AsyncExitStack() as stack:
        server = await open_gateway(config, stack)
        server.stop_on_signals()
        admin = str(config.admin.listen) if config.admin else "off"
        log.info("pixeltwin runs", listen=str(config.server.listen), admin=admin, config=config.digest)
        await server.run()
    log.info("pixeltwin has stopped")
    return 0


async def open_gateway(config: Config, stack: AsyncExitStack) -> Embedded:
    """A gateway with its admin pages, ready to be run. Raises `ConfigError` or `OSError`."""
    gateway = Gateway(config, relay="background")
    server = Embedded(gateway)
    await gateway.open()
    stack.push_async_callback(gateway.close)
    if config.admin:
        listen = config.admin.listen
        app = create_app(gateway, hosts=[listen.host], customers=gateway, outbox=gateway.outbox)
        await stack.enter_async_context(serving(app, listen.host, listen.port))
    return server


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
