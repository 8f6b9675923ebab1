"""The admin listener of a process that has a gateway in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pixeltwin.admin.app import create_app
from pixeltwin.admin.server import serving
from pixeltwin.gateway import Gateway, Reloader
from pixeltwin.gateway.back import Back


@asynccontextmanager
async def admin_pages(gateway: Gateway, reloader: Reloader | None = None) -> AsyncIterator[None]:
    """Serve the opened gateway's pages inside the block, if its config has any. Raises `OSError`."""
    admin = gateway.config.admin
    if admin is None:
        yield
        return
    host = admin.listen.host
    fronts = gateway.fronts if isinstance(gateway, Back) else None
    app = create_app(gateway, hosts=[host], customers=gateway, outbox=gateway.outbox, reloading=reloader, fronts=fronts)
    async with serving(app, host, admin.listen.port):
        yield
