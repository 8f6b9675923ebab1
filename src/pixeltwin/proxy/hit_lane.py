"""The hit lane inside mitmproxy: hits are read and answered past its HTTP layer and its flows.

mitmproxy lets an addon choose a connection's protocol layer (`next_layer`). This one takes plain HTTP/1.1 requests
that the front wants, one at a time, and hands a connection with anything else back to mitmproxy's own layers, from the
first byte of that request on.

bytes ─ Conversation ─ front.answer ─ (the outbox has committed) ─► bytes
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

from mitmproxy.connection import Client
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from pixeltwin.pixel.answer import Answer
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.conversation import NOTHING, Conversation, Front, Step
from pixeltwin.proxy.turns import in_the_next_turn
from pixeltwin.proxy.wire import Head, request_of

type Deliver = Callable[[Client, events.Event], Awaitable[None]]
type Answering = Generator[commands.Command, Any, Step]


class Answered(events.Event):
    """Given back to the connection whose request was answered."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer


class Overdue(events.Event):
    """Given to a connection whose request takes too long to arrive."""


class Handed(layer.NextLayer):
    """Mitmproxy's own way, for the rest of a connection."""


class HitLane(layer.Layer):
    """One connection's lane. `deliver` brings an event of ours to the connection."""

    def __init__(self, context: Context, front: Front, deliver: Deliver) -> None:
        super().__init__(context)
        self._front = front
        self._deliver = deliver
        self._conversation = Conversation(front)
        self._handed: layer.Layer | None = None
        self._answering: asyncio.Task[None] | None = None

    async def sweep(self, latest: float) -> None:
        """End a request that began before `latest` (monotonic) and is still not there."""
        since = self._conversation.unread_since
        if since is not None and since < latest:
            await self._deliver(self.context.client, Overdue())

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        match event:
            case _ if self._handed:
                yield from self._handed.handle_event(event)
            case events.DataReceived(data=data):
                yield from self._do(self._conversation.receive(data))
            case Answered(answer=None) if self._conversation.is_answering:
                self._front.goes_on(self.context.client)
                yield from self._hand_back()
            case Answered(answer=Answer() as answer) if self._conversation.is_answering:
                yield from self._do(self._conversation.answered(answer))
            case Overdue():
                yield from self._do(self._conversation.overdue())
            case events.ConnectionClosed():
                yield from self._do(self._conversation.ended())

    def _do(self, step: Step) -> layer.CommandGenerator[None]:
        """What the conversation says."""
        while True:
            if step.send:
                yield commands.SendData(self.context.client, step.send)
            if not step.asked:
                break
            step = yield from self._answer(*step.asked)
        if step.is_foreign:
            yield from self._hand_back()
        elif step.closes:
            yield commands.CloseConnection(self.context.client)

    def _answer(self, head: Head, body: bytes) -> Answering:
        """Begin to answer; what is to be done before it is done."""
        peer = self.context.client.peername
        self._answering = in_the_next_turn(self._answered(request_of(head, body, peer[0] if peer else "")))
        yield from ()
        return NOTHING

    async def _answered(self, request: HitRequest) -> None:
        """Bring the answer to the connection."""
        await self._deliver(self.context.client, Answered(await self._front.answer(request)))

    def _hand_back(self) -> layer.CommandGenerator[None]:
        """Let mitmproxy build its own layers, as if nothing had been sent before this request."""
        self.context.layers.remove(self)
        self._handed = Handed(self.context)
        yield from self._handed.handle_event(events.Start())
        yield from self._handed.handle_event(events.DataReceived(self.context.client, self._conversation.unread()))
