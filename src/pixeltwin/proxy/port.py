"""The port of `pixeltwin run`: mitmproxy's reverse mode, without what nobody here waits for.

In the lane `fast` a connection is mitmproxy's from its first foreign byte on, else from its first one; of what happens
to it those addons hear that have a hook for it. Not documented API: tests/proxy guard it.
"""

import asyncio
from typing import ClassVar, Final

from mitmproxy import addonmanager, ctx
from mitmproxy.proxy import commands, layers, mode_servers, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy_rs import Stream
from mitmproxy_rs.udp import UdpServer
from mitmproxy_rs.wireguard import WireGuardServer

from pixeltwin.proxy.callers import REFUSAL, Callers
from pixeltwin.proxy.front_door import FrontDoor
from pixeltwin.proxy.hit_connection import HitConnection
from pixeltwin.proxy.lanes import Lanes

BACKLOG: Final = 2048  # connections that wait to be taken; asyncio's own 100 are a burst of one shop


class FrontMode(mode_specs.ReverseMode):
    """`front:http://127.0.0.1:9@host:port`: reverse mode, as mitmproxy derives a mode's name from its class's."""


class SharedMode(FrontMode):
    """`shared:…`: the port is open to other processes too, and the system gives each new connection to one of them."""


class FrontHandler(mode_servers.ProxyConnectionHandler):
    """One connection. A flow's hooks do not wait for anybody to resume it: nobody here can intercept one."""

    async def handle_hook(self, hook: commands.StartHook) -> None:
        addons = self.master.addons
        for addon in addons.chain:
            if hasattr(addon, hook.name):
                with self.timeout_watchdog.disarm(), addonmanager.safecall():
                    await addons.invoke_addon(addon, hook)


class FrontInstance[M: FrontMode](mode_servers.AsyncioServerInstance[M]):
    """Who listens."""

    is_shared: ClassVar[bool] = False
    callers: ClassVar[Callers] = Callers()

    def make_top_layer(self, context: Context) -> Layer:
        return layers.modes.ReverseProxy(context)

    async def listen(self, host: str, port: int) -> list[asyncio.Server | UdpServer | WireGuardServer]:
        lanes: Lanes | None = ctx.master.addons.get("lanes")
        made = self._hit_connection if lanes and lanes.kind == "fast" else self._stream
        loop = asyncio.get_running_loop()
        return [await loop.create_server(made, host, port, reuse_port=self.is_shared, backlog=BACKLOG)]

    async def handle_stream(
        self, reader: asyncio.StreamReader | Stream, writer: asyncio.StreamWriter | Stream | None = None
    ) -> None:
        assert isinstance(writer, asyncio.StreamWriter)  # noqa: S101 only UDP's is none
        door: FrontDoor = ctx.master.addons.get("frontdoor")
        address = writer.get_extra_info("peername")[0]
        if not self.callers.arrives(address, door.most_connections(address)):
            writer.write(REFUSAL)
            writer.close()
            return
        try:
            await self._serve(reader, writer)
        finally:
            self.callers.leaves(address)

    async def _serve(self, reader: asyncio.StreamReader | Stream, writer: asyncio.StreamWriter) -> None:
        handler = FrontHandler(ctx.master, reader, writer, ctx.options, self.mode)  # type: ignore[no-untyped-call]
        handler.layer = self.make_top_layer(handler.layer.context)
        with self.manager.register_connection(handler.client.id, handler):
            await handler.handle_client()

    def _hit_connection(self) -> HitConnection:
        addons = ctx.master.addons
        connection = HitConnection(addons.get("frontdoor"), self.callers, self._stream)
        addons.get("lanes").watch(connection)
        return connection

    def _stream(self, received: bytes = b"") -> asyncio.StreamReaderProtocol:
        """A connection that is mitmproxy's, of which this has been received before."""
        reader = asyncio.StreamReader()
        reader.feed_data(received)
        return asyncio.StreamReaderProtocol(reader, self.handle_stream)


class OwnInstance(FrontInstance[FrontMode]):
    """Who listens alone."""


class SharedInstance(FrontInstance[SharedMode]):
    """Who listens beside others (`SO_REUSEPORT`)."""

    is_shared = True
