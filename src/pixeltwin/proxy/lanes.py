"""Which connections of reverse mode go which way.

`fast`: hits are answered on the connection (`HitLane`, or `HitConnection` on a port of our own). `flows`: so too, and
each is a flow that other addons see, save and show.
`native`: mitmproxy's own HTTP layer.
"""

import asyncio
import time
from typing import Final, Literal, Protocol
from weakref import WeakSet

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import events, layer, layers, mode_specs, tunnel
from mitmproxy.proxy.context import Context

from pixeltwin.proxy.conversation import Front
from pixeltwin.proxy.flow_lane import FlowLane
from pixeltwin.proxy.hit_lane import Handed, HitLane

type Lane = Literal["fast", "flows", "native"]

LANES: Final[tuple[Lane, ...]] = ("native", "flows", "fast")
SWEEP_SECONDS: Final = 1.0


class Swept(Protocol):
    """A connection that may wait only so long."""

    async def sweep(self, latest: float) -> None:
        """End what has been waiting since before `latest` (monotonic)."""


class Lanes:
    """Puts connections of reverse mode into lanes. As an addon, its place is before mitmproxy's own NextLayer."""

    def __init__(self, front: Front, kind: Literal["fast", "flows"]) -> None:
        self.kind: Final = kind
        self._front = front
        self._made = FlowLane if kind == "flows" else HitLane
        self._open: WeakSet[Swept] = WeakSet()
        self._sweeper: asyncio.Task[None] | None = None

    def running(self) -> None:
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    def done(self) -> None:
        if self._sweeper:
            self._sweeper.cancel()

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        """Take a connection of which nothing is known yet but its first bytes."""
        context, data = nextlayer.context, nextlayer.data_client()
        is_new = len(context.layers) == 1 and isinstance(context.layers[0], layers.modes.ReverseProxy)
        if is_new and data and nextlayer.layer is None and not isinstance(nextlayer, Handed):
            nextlayer.layer = self._behind_tls(context) if starts_like_tls_record(data) else self._lane(context)

    def _behind_tls(self, context: Context) -> layer.Layer:
        """As mitmproxy stacks TLS itself: the server's layer is for what may be handed back."""
        stack = tunnel.LayerStack()
        if isinstance(mode := context.client.proxy_mode, mode_specs.ReverseMode) and mode.scheme == "https":
            stack /= layers.ServerTLSLayer(context)
        stack /= layers.ClientTLSLayer(context)
        stack /= self._lane(context)
        return stack[0]

    def watch(self, connection: Swept) -> None:
        """Sweep this connection too, while there is one."""
        self._open.add(connection)

    def _lane(self, context: Context) -> HitLane:
        """A lane for one more connection."""
        lane = self._made(context, self._front, self._deliver)
        self.watch(lane)
        return lane

    async def _deliver(self, client: Client, event: events.Event) -> None:
        """Give the event to the connection, as mitmproxy injects messages; one that has gone needs none."""
        if handler := ctx.master.addons.get("proxyserver").connections.get(client.id):  # guarded by tests/proxy
            await handler.server_event(event)

    async def end_idle(self) -> None:
        """End the connections on which nothing is being answered."""
        now = time.monotonic()
        for connection in list(self._open):
            await connection.sweep(now)

    async def _sweep(self) -> None:
        """End what takes too long to arrive: mitmproxy's own time-out is put off by every byte."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            latest = time.monotonic() - self._front.limits.read_timeout
            for connection in list(self._open):
                await connection.sweep(latest)
