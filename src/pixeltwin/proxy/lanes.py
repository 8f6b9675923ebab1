"""Which connections of reverse mode go which way.

`fast`: hits are answered on the connection. `flows`: so too, and each is a flow that other addons see, save and show.
`native`: mitmproxy's own HTTP layer.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Final, Literal
from weakref import WeakSet

from mitmproxy import ctx
from mitmproxy.connection import Client
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy import events, layer, layers, mode_specs, tunnel
from mitmproxy.proxy.context import Context

from pixeltwin.proxy.flow_lane import FlowLane
from pixeltwin.proxy.hit_lane import Front, Handed, HitLane, Overdue
from pixeltwin.proxy.wire import RequestReader

type Lane = Literal["fast", "flows", "native"]

LANES: Final[tuple[Lane, ...]] = ("native", "flows", "fast")
SWEEP_SECONDS: Final = 1.0
HEADERS: Final = 32 << 10  # bytes of a head, besides its URL
HEADROOM: Final = 1 << 20  # bytes; above it a body is answered 413, below it an oversized hit is answered like any


class Lanes:
    """Puts connections of reverse mode into lanes. As an addon, its place is before mitmproxy's own NextLayer."""

    def __init__(self, front: Front, lane: Literal["fast", "flows"]) -> None:
        self._front = front
        self._kind = FlowLane if lane == "flows" else HitLane
        self._lanes: WeakSet[HitLane] = WeakSet()
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
            nextlayer.layer = self._behind_tls(context) if starts_like_tls_record(data) else self.lane(context)

    def _behind_tls(self, context: Context) -> layer.Layer:
        """As mitmproxy stacks TLS itself: the server's layer is for what may be handed back."""
        stack = tunnel.LayerStack()
        if isinstance(mode := context.client.proxy_mode, mode_specs.ReverseMode) and mode.scheme == "https":
            stack /= layers.ServerTLSLayer(context)
        stack /= layers.ClientTLSLayer(context)
        stack /= self.lane(context)
        return stack[0]

    def lane(self, context: Context) -> HitLane:
        """A lane for one more connection."""
        limits = self._front.limits
        largest = max(limits.body, limits.ingest_body)
        reader = RequestReader(max_head=limits.url + HEADERS, max_body=largest + HEADROOM)
        lane = self._kind(context, self._front, reader, self._deliver)
        self._lanes.add(lane)
        return lane

    async def _deliver(self, client: Client, event: events.Event) -> None:
        """Give the event to the connection, as mitmproxy injects messages; one that has gone needs none."""
        if handler := ctx.master.addons.get("proxyserver").connections.get(client.id):  # guarded by tests/proxy
            await handler.server_event(event)

    async def _sweep(self) -> None:
        """End what takes too long to arrive: mitmproxy's own time-out is put off by every byte."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            latest = time.monotonic() - self._front.limits.read_timeout
            for lane in self._overdue(latest):
                await self._deliver(lane.context.client, Overdue())

    def _overdue(self, latest: float) -> Iterator[HitLane]:
        for lane in list(self._lanes):
            if lane.unread_since is not None and lane.unread_since < latest:
                yield lane
