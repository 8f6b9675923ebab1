"""A mode of mitmproxy that shares its port with other processes, as reverse mode does not.

The system gives each new connection to one of them (`SO_REUSEPORT`). Not documented API: tests/proxy guard it.
"""

import asyncio
from typing import Final

from mitmproxy.proxy import layers, mode_servers, mode_specs
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layer import Layer
from mitmproxy_rs.udp import UdpServer
from mitmproxy_rs.wireguard import WireGuardServer

BACKLOG: Final = 2048  # connections that wait to be taken; asyncio's own 100 are a burst of one shop


class SharedMode(mode_specs.ReverseMode):
    """`shared:http://127.0.0.1:9@host:port`: reverse mode, as mitmproxy derives a mode's name from its class's."""


class SharedInstance(mode_servers.AsyncioServerInstance[SharedMode]):
    def make_top_layer(self, context: Context) -> Layer:
        return layers.modes.ReverseProxy(context)

    async def listen(self, host: str, port: int) -> list[asyncio.Server | UdpServer | WireGuardServer]:
        return [await asyncio.start_server(self.handle_stream, host, port, reuse_port=True, backlog=BACKLOG)]
