"""Meta as the oracle plays it, in this process: it shares no line with what is tested, and is fast.

It takes server events and browsers' copies, checks them, refuses a whole batch for one bad event as Graph does, and
keeps what it took with its time. What else can go wrong is a script's: see `Answer`.
"""

import asyncio
import json
import socket
import ssl
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

API, RELAY = "conversions_api", "pixel_relay"
TOO_OLD: Final = (
    7 * 24 * 3600.0
)  # https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/server-event
EARLY: Final = 60.0  # seconds by which clocks may differ
ABORT: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close sends RST instead of FIN
NOT_ENOUGH: Final = 2804050


class Name(NamedTuple):
    """Which event it is, on which of its two ways to Meta."""

    leg: str
    pixel_id: str
    event_name: str
    event_id: str


@dataclass(frozen=True)
class Arrival:
    """One event that Meta took: a server event, or the parameters of a browser's copy."""

    at: float
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Post:
    """A request: the events of a batch, or the parameters of one hit."""

    leg: str
    pixel_id: str
    events: list[dict[str, Any]]
    token: str = ""

    @property
    def ids(self) -> list[str]:
        return [event["event_id" if self.leg == API else "eid"] for event in self.events]


type Send = Callable[[asyncio.StreamWriter, bytes], Awaitable[None]]


async def whole(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    await writer.drain()


async def reset(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """The connection goes away instead of the answer."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    writer.transport.abort()


async def hang(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Nothing is ever said."""
    await asyncio.Event().wait()


async def half_close(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """No answer, but the end of them; what the other side sends would still be read."""
    writer.write_eof()
    await asyncio.Event().wait()


async def cut(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """Half an answer, then the end."""
    writer.write(answer[: len(answer) // 2])
    await writer.drain()
    writer.close()


async def drip(writer: asyncio.StreamWriter, answer: bytes) -> None:
    """A byte now and then, never slow enough for a time-out between two of them."""
    for byte in answer:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Answer:
    """What a script wants said. `takes`: the events are taken all the same. `body` None: what Meta would say."""

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    takes: bool = False
    send: Send = whole


def graph_error(status: int, code: int, subcode: int = 0, **headers: str) -> Answer:
    error = {"message": "m", "type": "OAuthException", "code": code, "error_subcode": subcode, "fbtrace_id": "A"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps({"error": error}).encode(), named)


TAKEN: Final = Answer(takes=True)


class OracleMeta:
    """`took` are the arrivals of each event. Events of the ids in `poison` are refused with their whole batch.

    `script` answers instead where it says something; `token`, once set, is the only one that is taken.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.took: defaultdict[Name, list[Arrival]] = defaultdict(list)
        self.poison: set[str] = set()
        self.script: Callable[[Post], Answer | None] = lambda post: None
        self.token = ""
        self.posts: list[Post] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["OracleMeta"]:
        talks: set[asyncio.Task[None]] = set()

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            talks.add(asyncio.current_task())
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while True:
                    await self._exchange(reader, writer)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0, limit=1 << 22, ssl=tls)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)

    def ids(self, leg: str = API) -> set[str]:
        return {name.event_id for name in self.took if name.leg == leg}

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        post = _post(head[0].split(" ")[1], headers, body)
        self.posts.append(post)
        answer = self.script(post) or self._judge(post)
        if answer.takes:
            self._take(post)
        await answer.send(writer, _bytes(answer, post))

    def _judge(self, post: Post) -> Answer:
        if post.leg == RELAY:
            return TAKEN
        if self.token and post.token != self.token:
            return graph_error(400, 190)
        return graph_error(400, 100, NOT_ENOUGH) if any(map(self._fault_of, post.events)) else TAKEN

    def _fault_of(self, event: dict[str, Any]) -> str:
        """Why Meta would refuse it; empty for a good one."""
        age = self._clock() - event.get("event_time", 0)
        user = event.get("user_data")
        rules = {
            "poison": event.get("event_id") not in self.poison,
            "event_name": isinstance(event.get("event_name"), str) and event["event_name"] != "",
            "event_time": type(event.get("event_time")) is int and -EARLY <= age < TOO_OLD,
            "action_source": event.get("action_source") == "website",
            "event_source_url": str(event.get("event_source_url", "")).startswith("https://"),
            "user_data": isinstance(user, dict) and bool(user.get("client_user_agent")),
        }
        return next((rule for rule, holds in rules.items() if not holds), "")

    def _take(self, post: Post) -> None:
        at = self._clock()
        for event in post.events:
            self.took[_name(post, event)].append(Arrival(at, event))


def _post(target: str, headers: Mapping[str, str], body: bytes) -> Post:
    parts = urlsplit(target)
    if parts.path == "/tr/":
        hit = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return Post(RELAY, hit["id"], [hit])
    _, _version, pixel_id, what = parts.path.split("/")
    assert what == "events", target
    token = headers.get("authorization", "").removeprefix("Bearer ")
    return Post(API, pixel_id, json.loads(body)["data"], token)


def _name(post: Post, event: Mapping[str, Any]) -> Name:
    names = ("event_name", "event_id") if post.leg == API else ("ev", "eid")
    return Name(post.leg, post.pixel_id, *(event[name] for name in names))


def _bytes(answer: Answer, post: Post) -> bytes:
    standard = json.dumps({"events_received": len(post.events), "fbtrace_id": "A"}).encode() if post.leg == API else b""
    body = standard if answer.body is None else answer.body
    lines = [f"HTTP/1.1 {answer.status} x", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
