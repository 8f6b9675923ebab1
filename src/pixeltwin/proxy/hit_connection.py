"""A connection to the port of `pixeltwin run`: hits are read and answered on the socket, without mitmproxy's layers.

A connection with anything but plain HTTP/1.1, such as TLS, is handed to mitmproxy, from the first byte of that request
on, and is its own from then on.

bytes ─ Conversation ─ front.ask ─ (the outbox has committed) ─► bytes
"""

import asyncio
import math
import time
from collections.abc import Callable
from typing import cast

from pixeltwin.pixel.answer import Answer
from pixeltwin.proxy.callers import REFUSAL, Callers
from pixeltwin.proxy.conversation import Conversation, Step
from pixeltwin.proxy.front_door import FrontDoor
from pixeltwin.proxy.wire import request_of


class HitConnection(asyncio.Protocol):
    """One connection. `streamed` makes what mitmproxy goes on with, of what it is to read first."""

    def __init__(
        self, front: FrontDoor, callers: Callers, streamed: Callable[[bytes], asyncio.StreamReaderProtocol]
    ) -> None:
        self._front = front
        self._callers = callers
        self._streamed = streamed
        self._conversation = Conversation(front)
        self._active_at = time.monotonic()
        self._is_full = False  # the browser does not read its answers
        self._unsent: Answer | None = None  # the one that waits for that

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._peer: str = transport.get_extra_info("peername")[0]
        self._is_counted = self._callers.arrives(self._peer, self._front.most_connections(self._peer))
        if not self._is_counted:
            self._do(Step(REFUSAL, None, is_foreign=False, closes=True))

    def data_received(self, data: bytes) -> None:
        self._active_at = time.monotonic()
        self._do(self._conversation.receive(data))

    def eof_received(self) -> bool:
        self._do(self._conversation.ended())
        return True  # the transport stays open until the answer has been sent

    def connection_lost(self, error: Exception | None) -> None:
        self._leave()

    def pause_writing(self) -> None:
        """The browser does not read its answers: neither is it read any further."""
        self._transport.pause_reading()
        self._is_full = True

    def resume_writing(self) -> None:
        self._transport.resume_reading()
        self._is_full = False
        if answer := self._unsent:
            self._unsent = None
            self._answered(answer)

    async def sweep(self, latest: float) -> None:
        """End what has been waiting since before `latest` (monotonic): for a reader or the rest of a request."""
        since = self._conversation.unread_since
        if since is not None and since < latest:
            self._do(self._conversation.overdue())
        elif self._active_at < latest and (self._is_full or self._transport.is_closing()):
            self._transport.abort()
        elif self._active_at < latest and not self._conversation.is_answering:
            self._do(self._conversation.ended())

    def _do(self, step: Step) -> None:
        """What the conversation says."""
        if self._transport.is_closing():
            return
        if step.send:
            self._transport.write(step.send)
        if step.asked:
            self._front.ask(request_of(*step.asked, self._peer), self._answered)
        elif step.is_foreign:
            self._hand_on()
        elif step.closes:
            self._transport.close()

    def _answered(self, answer: Answer) -> None:
        """The request that was asked has this answer."""
        if self._is_full:
            self._unsent = answer
            return
        self._active_at = time.monotonic()
        self._do(self._conversation.answered(answer))

    def _hand_on(self) -> None:
        """Let mitmproxy take the connection, as if nothing had been sent before this request."""
        self._leave()
        self._active_at = math.inf  # no sweep ends what is mitmproxy's
        protocol = self._streamed(self._conversation.unread())
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)

    def _leave(self) -> None:
        if self._is_counted:
            self._is_counted = False
            self._callers.leaves(self._peer)
