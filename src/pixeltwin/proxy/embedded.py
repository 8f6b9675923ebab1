"""mitmproxy inside `pixeltwin run`: only the addons it needs, only safe options (THREATS section 1)."""

import logging
from typing import Any, Final

from mitmproxy import master, options
from mitmproxy.addons import core, errorcheck, next_layer, proxyserver

from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.proxy.conversation import HEADROOM
from pixeltwin.proxy.front_door import FrontDoor
from pixeltwin.proxy.lanes import Lane, Lanes
from pixeltwin.proxy.port import FrontMode, SharedMode

# The mode wants an upstream; the front door answers everything, so nobody connects to this one.
NO_UPSTREAM: Final = "http://127.0.0.1:9"


class Embedded:
    """A proxy server for one gateway, running in the loop it is made in, its connections in the lane.

    `shared`: other processes listen on its port too.
    """

    def __init__(self, gateway: Gateway, lane: Lane = "fast", *, shared: bool = False) -> None:
        logging.getLogger("mitmproxy").setLevel(logging.WARNING)  # it would announce an upstream that nobody asks
        self._front_door = front = FrontDoor(gateway)
        self._master = master.Master(options.Options())
        self._master.addons.add(
            core.Core(),
            proxyserver.Proxyserver(),
            *([] if lane == "native" else [Lanes(front, lane)]),
            next_layer.NextLayer(),
            front,
            errorcheck.ErrorCheck(),
        )
        self._master.options.update(**_options(gateway.config, shared))

    async def run(self) -> None:
        """Serve until `stop`, then drain. Exits the process with 1 when a port cannot be opened."""
        await self._master.run()

    async def opened(self) -> None:
        """Return when the port is open."""
        await self._front_door.is_open.wait()

    def stop(self) -> None:
        self._master.shutdown()

    def apply(self, config: Config) -> None:
        """Have mitmproxy's own layers hold to the limits of another config; the lanes ask the gateway."""
        self._master.options.update(**_limits(config))


def _limits(config: Config) -> dict[str, Any]:
    limits = config.server.limits
    return {
        "body_size_limit": str(max(limits.body, limits.ingest_body) + HEADROOM),
        "tcp_timeout": max(1, round(limits.read_timeout)),
    }


def _options(config: Config, shared: bool) -> dict[str, Any]:
    listen = config.server.listen
    mode = (SharedMode if shared else FrontMode).type_name
    return {
        "mode": [f"{mode}:{NO_UPSTREAM}@{listen.host}:{listen.port}"],  # no brackets: the last colon counts
        **_limits(config),
        "connection_strategy": "lazy",
        "keep_host_header": True,  # the front door wants the Host the browser named
        "validate_inbound_headers": True,
        "rawtcp": False,
        "websocket": False,
        "http3": False,
        "ssl_insecure": False,
    }
