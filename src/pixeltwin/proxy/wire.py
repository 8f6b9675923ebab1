"""HTTP/1.1 between a connection's bytes and our own types, without mitmproxy's flows. llhttp parses, strictly."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httptools

from pixeltwin.memo import Memo
from pixeltwin.pixel.answer import EMPTY, Answer
from pixeltwin.pixel.request import HitRequest

END_OF_HEAD: Final = re.compile(rb"\n\r?\n")  # also one that llhttp does not accept: nobody waits for another
REASONS: Final[Mapping[int, str]] = {status.value: status.phrase for status in HTTPStatus}
TLS: Final = b"\x16"  # how a handshake begins, which may be long in coming to something like the end of a head
# headers' names as they are looked up: browsers send the same few dozen with every request
name_of: Final = Memo[bytes, str](lambda name: name.lower().decode("latin-1")).__getitem__
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

type Fields = list[tuple[bytes, bytes]]


class ForeignError(Exception):
    """llhttp does not take it, or it is more than a plain HTTP/1.1 request. Who is more lenient may look at it."""


class TooLargeError(Exception):
    """The request is larger than allowed; `status` is what it is answered."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass  # frozen by its types alone, like a hit
class Head:
    """A request's head. `length` is that of the body in bytes, None when it comes in chunks.

    `fields` are the headers as they were sent, `headers` those that `joined_headers` makes of them.
    """

    method: Final[str]
    target: Final[bytes]
    fields: Final[Fields]
    headers: Final[dict[str, str]]
    length: Final[int | None]
    keep_alive: Final[bool]
    expects_continue: Final[bool]
    path: Final[str]
    query: Final[bytes]

    @property
    def host(self) -> str:
        """As `the_host`."""
        if len(self.headers) == len(self.fields):  # no name twice
            return the_host([self.headers["host"]]) if "host" in self.headers else ""
        return the_host([value.decode("utf-8", "replace") for name, value in self.fields if name.lower() == b"host"])


class Message:
    """One request as llhttp tells it, and after `begin` another."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.target = b""
        self.fields: Fields = []
        self.body = bytearray()
        self.has_head = False
        self.is_complete = False

    def on_url(self, target: bytes) -> None:
        self.target = target

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.is_complete = True


class RequestReader:
    """Reads one request after the other from what a connection sends: `head`, `body`, `finish`, and again.

    `max_head` and `max_body` are in bytes. A body that comes in chunks may be as long with its frames.
    """

    def __init__(self, *, max_head: int, max_body: int) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._bytes = bytearray()  # from the first byte of the request that is being read
        self._renew()
        self._begin()

    def _renew(self) -> None:
        self._message = Message()
        self._parser = httptools.HttpRequestParser(self._message)

    def _begin(self) -> None:
        self._head: Head | None = None
        self._searched = 0
        self._end = 0  # of what was parsed

    def __len__(self) -> int:
        return len(self._bytes)

    def receive(self, data: bytes) -> None:
        """Raises `TooLargeError` when more comes than a request may have: nobody sends that before an answer."""
        self._bytes += data
        if len(self._bytes) > self._max_head + self._max_body:
            raise TooLargeError(413)

    def unread(self) -> bytes:
        """What was received since the request before, the request being read included."""
        return bytes(self._bytes)

    def head(self) -> Head | None:
        """The request's head, None while it is not all there. Raises `ForeignError` or `TooLargeError`."""
        if self._head is None:
            end = _end_of_head(self._bytes, self._searched)
            if (end or len(self._bytes)) > self._max_head:
                raise TooLargeError(431)
            if not end:
                if self._bytes.startswith(TLS):
                    raise ForeignError("TLS")
                self._searched = max(0, len(self._bytes) - 3)
                return None
            self._head = self._parse(end)
        return self._head

    def body(self) -> bytes | None:
        """The body of the request whose head is there, None while it is not. Raises as `head` does."""
        assert self._head is not None  # noqa: S101 asked after `head`
        length = self._head.length
        if length is None:
            return self._chunked_body()
        if not length:
            return b""
        if length > self._max_body:
            raise TooLargeError(413)
        end = self._head_end + length
        if len(self._bytes) < end:
            return None
        self._end = end
        return bytes(self._bytes[self._head_end : end])

    def finish(self) -> None:
        """The request was answered: what follows it is the next."""
        del self._bytes[: self._end]
        if self._message.is_complete:
            self._message.begin()
        else:  # llhttp was not shown the body, and waits for it
            self._renew()
        self._begin()

    def _parse(self, end: int) -> Head:
        message, parser = self._message, self._parser
        try:
            parser.feed_data(self._bytes[:end])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ForeignError(str(error)) from error
        if not message.has_head or parser.get_http_version() != "1.1":
            raise ForeignError("not HTTP/1.1")
        self._head_end = self._end = end
        headers = joined_headers(message.fields)
        path, _, query = message.target.partition(b"?")
        method, length = parser.get_method().decode("ascii"), _length(headers)
        # llhttp's own word is gone once a request without body is complete
        keep_alive = "close" not in headers.get("connection", "").lower()
        expects_continue = headers.get("expect", "").lower() == "100-continue"
        way = path.decode("latin-1")
        return Head(method, message.target, message.fields, headers, length, keep_alive, expects_continue, way, query)

    def _chunked_body(self) -> bytes | None:
        """Parsed line by line, so that no byte of the next request is fed along with this one's last chunk."""
        while not self._message.is_complete:
            if self._end - self._head_end > self._max_body:
                raise TooLargeError(413)
            stop = self._bytes.find(b"\n", self._end) + 1 or len(self._bytes)
            if stop == self._end:
                return None
            try:
                self._parser.feed_data(self._bytes[self._end : stop])
            except httptools.HttpParserError as error:
                raise ForeignError(str(error)) from error
            self._end = stop
        return bytes(self._message.body)


def _end_of_head(data: bytearray, start: int) -> int:
    """Where the head ends that is looked for from `start` on; 0 where it does not."""
    if (at := data.find(b"\r\n\r\n", start)) >= 0:
        return at + 4
    found = END_OF_HEAD.search(data, start)
    return found.end() if found else 0


def request_of(head: Head, body: bytes, peer: str) -> HitRequest:
    """The request that was read just now from the TCP peer of that address."""
    # in their order: with their names it takes twice as long
    return HitRequest(head.method, head.host, head.path, head.query, head.headers, body, peer, time.time(), True)


def _length(headers: Mapping[str, str]) -> int | None:
    """The length that llhttp has found well-formed and unambiguous."""
    if (coding := headers.get("transfer-encoding")) is None:
        return int(headers.get("content-length", "0"))
    if coding.lower() != "chunked":
        raise ForeignError("a transfer coding besides chunked")
    return None


def joined_headers(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; repeated ones joined as HTTP/2 (cookies) and RFC 9110 5.3 (others) say."""
    try:
        joined = {name_of(name): value.decode() for name, value in fields}
    except UnicodeDecodeError:
        return _rejoined(fields)
    return joined if len(joined) == len(fields) else _rejoined(fields)


def _rejoined(fields: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = name_of(raw_name), raw_value.decode("utf-8", "replace")
        if name in joined:
            value = f"{joined[name]}{'; ' if name == 'cookie' else ', '}{value}"
        joined[name] = value
    return joined


def the_host(named: list[str]) -> str:
    """The host of these Host headers, lower-cased, without port; empty when there is not exactly one."""
    return HOSTS[named[0]] if len(named) == 1 else ""


def _host(written: str) -> str:
    host = written.strip().lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


HOSTS: Final = Memo(_host)


def answer_fields(answer: Answer, *, close: bool) -> list[tuple[str, str]]:
    """The answer's headers. A 204 has no length (RFC 9110 8.6)."""
    fields = [("Content-Type", answer.content_type), *answer.headers.items()]
    fields += [("Set-Cookie", cookie.header()) for cookie in answer.cookies]
    if answer.status != HTTPStatus.NO_CONTENT:
        fields.append(("Content-Length", str(len(answer.body))))
    if close:
        fields.append(("Connection", "close"))
    return fields


def answer_bytes(answer: Answer, *, close: bool, bodiless: bool = False) -> bytes:
    """The answer as HTTP/1.1; `bodiless`: to a HEAD."""
    if answer is EMPTY and not close:  # nearly all
        return PRINTED_EMPTY
    head = _printed_head(answer, close=close)
    return head if bodiless else head + answer.body


def _printed_head(answer: Answer, *, close: bool) -> bytes:
    fields = [f"{name}: {value}\r\n" for name, value in answer_fields(answer, close=close)]
    head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}\r\n{''.join(fields)}\r\n"
    return head.encode("utf-8", "replace")


PRINTED_EMPTY: Final = _printed_head(EMPTY, close=False)  # it has no body
