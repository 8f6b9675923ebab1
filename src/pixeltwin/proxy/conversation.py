"""What is said on one connection, without the connection: requests are read and answered one after the other.

Whoever has the connection tells what arrives and does as each step says: `HitConnection` on a socket of our own port,
`HitLane` inside mitmproxy.
"""

import time
from dataclasses import dataclass
from typing import Final, Protocol

from mitmproxy.connection import Client

from pixeltwin.config.model import Limits
from pixeltwin.pixel.answer import Answer
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import CONTINUE, ForeignError, Head, RequestReader, TooLargeError, answer_bytes

HEADERS: Final = 32 << 10  # bytes of a head, besides its URL
HEADROOM: Final = 1 << 20  # bytes; above it a body is answered 413, below it an oversized hit is answered like any


class Front(Protocol):
    """Who answers the requests."""

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


@dataclass  # frozen by its types alone, like a hit; the two that each hit takes are made quicker without names
class Step:
    """What is to be done now: the bytes are sent, then at most one of the others.

    `asked` is a request to be answered, which takes as long as it takes; `is_foreign`: mitmproxy's own layers go on
    with what is `unread`; `closes`: the connection ends.
    """

    send: Final[bytes]
    asked: Final[tuple[Head, bytes] | None]
    is_foreign: Final[bool]
    closes: Final[bool]


NOTHING: Final = Step(b"", None, is_foreign=False, closes=False)


class Conversation:
    """One connection's requests for a front."""

    def __init__(self, front: Front) -> None:
        limits = front.limits
        largest = max(limits.body, limits.ingest_body)
        self._front = front
        self._reader = RequestReader(max_head=limits.url + HEADERS, max_body=largest + HEADROOM)
        self._asked: Head | None = None
        self._said_continue = False
        self._is_closed = False
        self.unread_since: float | None = None  # monotonic; when the request began of which something is missing

    @property
    def is_answering(self) -> bool:
        """Whether a request waits for its answer: what follows it waits too."""
        return self._asked is not None

    def receive(self, data: bytes) -> Step:
        try:
            self._reader.receive(data)
        except TooLargeError as error:
            return self._refused(error.status)
        return NOTHING if self._asked or self._is_closed else self._next()

    def answered(self, answer: Answer) -> Step:
        """The request that was asked has this answer."""
        assert self._asked  # noqa: S101 one answer a request
        close = self.closes_next
        return self.finished(answer_bytes(answer, close=close, bodiless=self._asked.method == "HEAD"), close=close)

    @property
    def closes_next(self) -> bool:
        """Whether the connection ends with the answer to the request that was asked."""
        return self._front.is_draining or not (self._asked and self._asked.keep_alive)

    def finished(self, data: bytes, *, close: bool) -> Step:
        """These bytes are the answer; the next request may follow."""
        self._asked = None
        self._reader.finish()
        if close or self._is_closed:
            return self._closed(data)
        return self._next(data) if len(self._reader) else Step(data, None, False, False)

    def overdue(self) -> Step:
        """It takes too long until the request is there."""
        return NOTHING if self.unread_since is None else self._refused(408)

    def ended(self) -> Step:
        """The browser sends nothing more; it may still wait for its answer."""
        self._is_closed = True
        return NOTHING if self._asked else self._closed()

    def unread(self) -> bytes:
        """What was received since the last answer, for somebody else."""
        self._asked = self.unread_since = None
        return self._reader.unread()

    def _next(self, send: bytes = b"") -> Step:
        """The next request, if it is there; `send` goes before whatever follows."""
        try:
            head = self._reader.head()
            if head and not self._front.takes(head.method, head.path):
                return Step(send, None, is_foreign=True, closes=False)
            body = self._reader.body() if head else None
        except TooLargeError as error:
            return self._refused(error.status, send)
        except ForeignError:
            return Step(send, None, is_foreign=True, closes=False)
        if head is None or body is None:
            return Step(send + self._waited_for(head), None, is_foreign=False, closes=False)
        self._asked, self._said_continue, self.unread_since = head, False, None
        return Step(send, (head, body), False, False)

    def _waited_for(self, head: Head | None) -> bytes:
        """Something of the request is missing; its browser may want to hear that its body is welcome."""
        if len(self._reader):
            self.unread_since = self.unread_since or time.monotonic()
        if head is None or not head.expects_continue or self._said_continue:
            return b""
        self._said_continue = True
        return CONTINUE

    def _refused(self, status: int, send: bytes = b"") -> Step:
        return self._closed(send + answer_bytes(Answer(status, "text/plain"), close=True))

    def _closed(self, send: bytes = b"") -> Step:
        self._is_closed = True
        self.unread_since = None
        return Step(send, None, is_foreign=False, closes=True)
