"""The hit lane: hits are read and answered on the connection itself, past mitmproxy's HTTP layer and its flows.

mitmproxy lets an addon choose a connection's protocol layer (`next_layer`). This one takes plain HTTP/1.1 requests
that the front wants, one at a time, and hands a connection with anything else back to mitmproxy's own layers, from the
first byte of that request on.

bytes ─ RequestReader ─ front.answer ─ (the outbox has committed) ─► bytes
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from mitmproxy.connection import Client
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.context import Context

from pixeltwin.config.model import Limits
from pixeltwin.pixel.answer import Answer
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import (
    CONTINUE,
    ForeignError,
    Head,
    RequestReader,
    TooLargeError,
    answer_bytes,
    request_of,
)

type Deliver = Callable[[Client, events.Event], Awaitable[None]]


class Front(Protocol):
    """Who answers the requests of the lane."""

    @property
    def limits(self) -> Limits:
        """What a request may be from now on."""

    @property
    def is_draining(self) -> bool:
        """Whether connections are to end with their next answer."""

    def takes(self, method: str, path: str) -> bool:
        """Whether requests like this are answered here, not by mitmproxy's own layers."""

    async def answer(self, request: HitRequest) -> Answer | None:
        """The answer; None: the request goes on to its upstream, by mitmproxy's own layers. Never raises."""

    def goes_on(self, client: Client) -> None:
        """Called before such a request is handed to mitmproxy's layers, where it has been decided about."""


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

    def __init__(self, context: Context, front: Front, reader: RequestReader, deliver: Deliver) -> None:
        super().__init__(context)
        self._front = front
        self._reader = reader
        self._deliver = deliver
        self._handed: layer.Layer | None = None
        self._answering: tuple[Head, asyncio.Task[None]] | None = None
        self._said_continue = False
        self._is_closed = False
        self.unread_since: float | None = None  # monotonic; when the request began of which something is missing

    def _handle_event(self, event: events.Event) -> layer.CommandGenerator[None]:
        match event:
            case _ if self._handed:
                yield from self._handed.handle_event(event)
            case events.DataReceived(data=data):
                yield from self._receive(data)
            case Answered(answer=answer) if self._answering:
                yield from self._send(self._answering[0], answer)
                yield from self._proceed()
            case Overdue() if self.unread_since is not None:
                yield from self._refuse(408)
            case events.ConnectionClosed():
                yield from self._end()

    def _receive(self, data: bytes) -> layer.CommandGenerator[None]:
        try:
            self._reader.receive(data)
        except TooLargeError as error:
            yield from self._refuse(error.status)
        else:
            yield from self._proceed()

    def _proceed(self) -> layer.CommandGenerator[None]:
        """Answer what has arrived, one request after the other."""
        try:
            while not (self._answering or self._handed or self._is_closed):
                head = self._head()
                body = self._reader.body() if head else None
                if head is None or body is None:
                    yield from self._wait(head)
                    return
                self.unread_since, self._said_continue = None, False
                yield from self._serve(head, body)
        except TooLargeError as error:
            yield from self._refuse(error.status)
        except ForeignError:
            yield from self._hand_back()

    def _head(self) -> Head | None:
        head = self._reader.head()
        if head and not self._front.takes(head.method, head.path):
            raise ForeignError("for mitmproxy")
        return head

    def _wait(self, head: Head | None) -> layer.CommandGenerator[None]:
        """Something of the request is missing; its browser may want to hear that its body is welcome."""
        if len(self._reader):
            self.unread_since = self.unread_since or time.monotonic()
        if head and head.expects_continue and not self._said_continue:
            self._said_continue = True
            yield commands.SendData(self.context.client, CONTINUE)

    def _serve(self, head: Head, body: bytes) -> layer.CommandGenerator[None]:
        """Begin to answer."""
        peer = self.context.client.peername
        answering = self._answer(request_of(head, body, peer[0] if peer else ""))
        self._answering = head, asyncio.get_running_loop().create_task(answering)
        yield from ()

    async def _answer(self, request: HitRequest) -> None:
        """Bring the answer to the connection.

        Hits that arrive in one turn of the loop are read first and then decided about, one after the other: of many
        connections each costs a tenth less where the processor's caches hold one step's code at a time.
        """
        await asyncio.sleep(0)
        await self._deliver(self.context.client, Answered(await self._front.answer(request)))

    def _send(self, head: Head, answer: Answer | None) -> layer.CommandGenerator[None]:
        if answer is None:
            self._front.goes_on(self.context.client)
            yield from self._hand_back()
            return
        close = self._front.is_draining or not head.keep_alive
        data = answer_bytes(answer, close=close, bodiless=head.method == "HEAD")
        yield from self._finish(data, close=close)

    def _finish(self, data: bytes, *, close: bool) -> layer.CommandGenerator[None]:
        """Send the answer to the request being read; the next one may follow."""
        self._answering = None
        self._reader.finish()
        yield commands.SendData(self.context.client, data)
        if close or self._is_closed:
            yield from self._close()

    def _refuse(self, status: int) -> layer.CommandGenerator[None]:
        yield commands.SendData(self.context.client, answer_bytes(Answer(status, "text/plain"), close=True))
        yield from self._close()

    def _end(self) -> layer.CommandGenerator[None]:
        """The browser sends nothing more; it may still wait for its answer."""
        self._is_closed = True
        if not self._answering:
            yield from self._close()

    def _close(self) -> layer.CommandGenerator[None]:
        self._is_closed = True
        self.unread_since = None
        yield commands.CloseConnection(self.context.client)

    def _hand_back(self) -> layer.CommandGenerator[None]:
        """Let mitmproxy build its own layers, as if nothing had been sent before this request."""
        self.context.layers.remove(self)
        self._answering = self.unread_since = None
        self._handed = Handed(self.context)
        yield from self._handed.handle_event(events.Start())
        yield from self._handed.handle_event(events.DataReceived(self.context.client, self._reader.unread()))
