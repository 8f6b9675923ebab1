"""`pixeltwin run`: the gateway behind its front door, with its admin pages."""

from contextlib import AsyncExitStack
from pathlib import Path

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.config import Config, load_config
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.telemetry import configure_logging, log


async def run_gateway(path: Path) -> int:
    """Run until a signal stops it; 0 when it ended as it should."""
    configure_logging()
    config = load_config(path)
    async with AsyncExitStack() as stack:
        server = await open_gateway(config, stack)
        server.stop_on_signals()
        log.info("pixeltwin runs", listen=str(config.server.listen), config=config.digest, admin=str(config.admin))
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
        await stack.enter_async_context(serving(create_app(gateway, hosts=[listen.host]), listen.host, listen.port))
    return server
