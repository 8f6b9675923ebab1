"""Three lanes, one behaviour: whatever is sent is answered, mirrored, skipped and refused alike in each of them."""

import asyncio
import dataclasses
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.corpus import HEADERS
from tests.factories import PIXEL, hit_query
from tests.processes import free_port
from tests.shared_hits import Line, shared_hits

from pixeltwin.config import Config
from pixeltwin.gateway import Gateway
from pixeltwin.pixel.stamp import MARK
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.telemetry import HITS

CONFIG = """
server: {{ listen: "127.0.0.1:{port}", public_hosts: [px.shop.example], trusted_proxies: [127.0.0.1/32] {server} }}
meta: {{ graph: "http://127.0.0.1:9", pixel: "http://127.0.0.1:9" }}
pixels: [{{ name: shop, id: "{pixel}", access_token: "${{SECRET}}", ingest_keys: ["${{SECRET}}"] }}]
rules: [{{ name: no-leads, match: {{ event: Lead }}, then: {{ drop: both }} }}]
outbox: {{ kind: memory }}
admin: null
"""
SECRET = "a-secret-of-the-test"
MADE_UP = re.compile(rf"{MARK}[0-9a-f]{{32}}|fb\.\d\.NOW\.\d+")  # ids that nobody gave
PATIENCE = 3.0  # seconds; a stream that is not answered is silent for so long
NOW = time.time_ns() // 1_000_000

WITHIN = "fast, within mitmproxy"  # as mitmdump and TLS have it
OURS = ("fast", "flows", WITHIN)
EVERY_LANE = ("native", *OURS)
Sent = tuple[bytes, int]  # what a connection sends, and how many answers it waits for at most


def head(method: str, target: str, *fields: str, host: str = "px.shop.example") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return "\r\n".join((*lines, "", "")).encode()


def post(target: str, body: bytes, content_type: str, *fields: str) -> bytes:
    return head("POST", target, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *fields) + body


def hit(ev: str = "PageView", **parameters: str) -> bytes:
    return head("GET", f"/tr/?{hit_query(ev, ts=str(NOW), **parameters)}", *VISITOR)


VISITOR = [f"{name}: {value}" for name, value in HEADERS.items()]
FORM = "application/x-www-form-urlencoded"
FORM_HIT = hit_query("AddToCart", ts=str(NOW), cd_value="3", cd_currency="EUR").encode()
CHUNKED = head("POST", "/tr/", f"Content-Type: {FORM}", "Transfer-Encoding: chunked") + b"".join(
    b"%x\r\n%s\r\n" % (len(part), part) for part in (FORM_HIT[:20], FORM_HIT[20:])
)
EVENT = {"event_name": "Lead", "event_time": NOW // 1000, "action_source": "system_generated", "event_id": "server-1"}
EVENT |= {"user_data": {"external_id": "user-42"}}
INGESTED = json.dumps({"accessKey": SECRET, "data": [EVENT]}).encode()

RAW: dict[str, Sent] = {
    "a hit": (hit(), 1),
    "a hit without id": (hit(fbp="fb.1.1795461138686.39550"), 1),
    "a hit with id, twice": (hit(eid="one") * 2, 2),
    "an image": (hit("ViewContent", noscript="1"), 1),
    "a hit that a rule drops": (hit("Lead"), 1),
    "a form": (post("/tr/", FORM_HIT, FORM, *VISITOR), 1),
    "five in a row": (hit() + post("/tr/", FORM_HIT, FORM) + hit("Search") + head("GET", "/nothing") + hit(), 5),
    "chunks": (CHUNKED + b"0\r\n\r\n", 1),
    "chunks, and a hit behind them": (CHUNKED + b"0\r\n\r\n" + hit(), 2),
    "a body that is awaited": (
        head("POST", "/tr/", f"Content-Type: {FORM}", f"Content-Length: {len(FORM_HIT)}", "Expect: 100-continue")
        + FORM_HIT,
        1,
    ),
    "the last of its connection": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}", "Connection: close") + hit(), 2),
    "HEAD": (head("HEAD", "/tr/"), 1),
    "OPTIONS": (head("OPTIONS", "/events", "Origin: https://www.shop.example"), 1),
    "OPTIONS of all": (head("OPTIONS", "*"), 1),
    "DELETE": (head("DELETE", "/tr/"), 1),
    "an unknown method": (head("FROB", "/tr/"), 1),
    "another path": (head("GET", "/tr/../admin"), 1),
    "another host": (head("GET", "/tr/", host="evil.example"), 1),
    "a host with a port": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}", host="PX.shop.example:8080"), 1),
    "two hosts": (head("GET", "/tr/", "Host: evil.example"), 1),
    "no host": (b"GET /tr/ HTTP/1.1\r\n\r\n", 1),
    "absolute form": (head("GET", "http://169.254.169.254/tr/?id=1"), 1),
    "CONNECT": (head("CONNECT", "127.0.0.1:22"), 1),
    "two lengths": (head("POST", "/tr/", "Content-Length: 3", "Content-Length: 4") + b"abcd", 1),
    "length and chunks": (head("POST", "/tr/", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 1),
    "a negative length": (head("POST", "/tr/", "Content-Length: -1"), 1),
    "a coding nobody knows": (head("POST", "/tr/", "Transfer-Encoding: xchunked") + b"0\r\n\r\n", 1),
    "a broken chunk": (CHUNKED + b"zz\r\n", 1),
    "a folded header": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}", "X: a", " b"), 1),
    "a space before the colon": (head("GET", "/tr/", "X : a"), 1),
    "line feeds alone": (b"GET /tr/ HTTP/1.1\nHost: px.shop.example\n\n", 1),
    "NUL in a header": (head("GET", "/tr/", "X: a\0b"), 1),
    "bytes beyond ASCII in a header": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}", "X-Name: Zoë"), 1),
    "bytes beyond ASCII in the URL": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}&cd[name]=Zoë"), 1),
    "an upgrade": (head("GET", f"/tr/?{hit_query(ts=str(NOW))}", "Connection: upgrade", "Upgrade: h2c"), 1),
    "HTTP/1.0": (f"GET /tr/?{hit_query(ts=str(NOW))} HTTP/1.0\r\nHost: px.shop.example\r\n\r\n".encode(), 1),
    "HTTP/0.9": (b"GET /tr/\r\n\r\n", 1),
    "no HTTP": (b"\x00" * 100, 1),
    "a broken multipart": (post("/tr/", b"--b\r\nbroken", "multipart/form-data; boundary=b"), 1),
    "too many parameters": (post("/tr/", b"id=1&ev=a" + b"&p=1" * 10_000, FORM), 1),
    "a body too large for a hit": (post("/tr/", b"id=1&ev=a&x=" + b"x" * 300_000, FORM), 1),
    "a body too large for anything": (head("POST", "/tr/", "Content-Length: 9999999") + b"x" * 1000, 1),
    "a body that was packed": (post("/tr/", b"\x1f\x8b\x08", FORM, "Content-Encoding: gzip"), 1),
    "server events": (post(f"/capi/{PIXEL}/events", INGESTED, "application/json"), 1),
    "server events with a wrong key": (post(f"/capi/{PIXEL}/events", b'{"accessKey": "x"}', "application/json"), 1),
}


async def answered(port: int, sent: Sent) -> list[tuple[int, list[tuple[str, str]], bytes]]:
    """Status, headers and body of what a connection gets for what it sends."""
    stream, count = sent
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    try:
        writer.write(stream)
        async with asyncio.timeout(PATIENCE):
            while len(answers) < count:
                answers.append(await one_answer(reader, stream.startswith(b"HEAD")))
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
    return answers


async def one_answer(reader: asyncio.StreamReader, is_bodiless: bool) -> tuple[int, list[tuple[str, str]], bytes]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    fields = sorted((name.lower(), value) for name, _, value in (line.partition(": ") for line in lines[1:] if line))
    fields = [field for field in fields if field[0] != "connection"]  # mitmproxy closes without a word
    length = 0 if is_bodiless else int(dict(fields).get("content-length", 0))
    status = int(lines[0].split(" ")[1])
    if status == 100:  # may be left out where the body has come already (RFC 9110 10.1.1)
        return await one_answer(reader, is_bodiless)
    body = await reader.readexactly(length)
    # what mitmproxy refuses by itself has a page of its own
    return (status, [], b"") if status in (400, 413) else (status, fields, body)


def normalised(value: Any) -> str:
    """As text, with whatever is random or the time of the run replaced by one word."""
    return MADE_UP.sub("MADE UP", re.sub(r"\b1\d{9}(\d{3})?\b", in_words, json.dumps(value, default=str)))


def in_words(number: re.Match[str]) -> str:
    milliseconds = int(number[0].ljust(13, "0"))
    return "NOW" if abs(milliseconds - NOW) < 21_600_000 else number[0]


def counted() -> Counter[tuple[str, ...]]:
    samples = (sample for family in HITS.collect() for sample in family.samples if sample.name.endswith("_total"))
    return Counter({tuple(sample.labels.values()): int(sample.value) for sample in samples})


@asynccontextmanager
async def serving(lane: str, folder: Path, server: str = "") -> AsyncIterator[tuple[int, Gateway]]:
    """A gateway's port with connections in that lane."""
    port = free_port()
    text = CONFIG.format(port=port, pixel=PIXEL, server=server)
    config = Config.from_text(text, base=folder, env={"SECRET": SECRET})
    gateway = Gateway(config, relay="background", senders=False)  # records stay as they were decided
    door = Embedded(gateway, "fast" if lane == WITHIN else lane)
    if lane == WITHIN:
        door._master.addons.get("lanes").kind = lane
    await gateway.open()
    running = asyncio.create_task(door.run())
    await door.opened()
    try:
        yield port, gateway
    finally:
        door.stop()
        await running


async def outcome(lane: str, streams: Sequence[Sent], folder: Path) -> tuple[list[str], list[str], Counter[Any]]:
    """What a gateway of that lane answered, what it decided, and what it counted."""
    before = counted()
    async with serving(lane, folder) as (port, gateway):
        answers = [normalised(await answered(port, sent)) for sent in streams]
        records = [dataclasses.asdict(record) for record in reversed(gateway.journal.latest(1000))]
    decisions = [normalised({**record, "id": "", "received_at": 0}) for record in records]
    return answers, decisions, counted() - before


def check(streams: Mapping[str, Sent], folder: Path) -> None:
    """The three lanes answer each stream alike, decide alike about each hit, and count alike."""
    expected, *others = [asyncio.run(outcome(lane, list(streams.values()), folder)) for lane in EVERY_LANE]
    assert len(expected[1]) > 15
    for lane, found in zip(EVERY_LANE[1:], others, strict=True):
        for name, theirs, ours in zip(streams, expected[0], found[0], strict=True):
            assert ours == theirs, f"{lane}: {name}"
        for theirs, ours in zip(expected[1], found[1], strict=True):
            assert ours == theirs, lane
        assert found[2] == expected[2], lane


def test_the_three_lanes_answer_and_decide_alike(tmp_path: Path) -> None:
    check(RAW, tmp_path)


def test_every_shared_hit_goes_alike_through_the_three_lanes(tmp_path: Path) -> None:
    check({f"line {line.number}": (as_sent(line), 1) for line in shared_hits()}, tmp_path)


def test_generated_requests_go_alike_through_the_three_lanes(tmp_path: Path) -> None:
    chance = random.Random(6)  # noqa: S311 a seed, so that a failure can be seen again
    streams = [(b"".join(generated(chance) for _ in range(count)), count) for count in (1, 1, 2, 5) * 15]
    check({repr(stream): (stream, count) for stream, count in streams}, tmp_path)


def generated(chance: random.Random) -> bytes:
    """Some request that HTTP/1.1 allows."""
    path = chance.choice(
        ["/tr", "/tr/"] * 4 + ["/tr/x", "/events", "/events/1", f"/capi/{PIXEL}/events", "/", "/%74r/"]
    )
    event = chance.choice(["PageView", "Purchase", "Lead", "Made Up", ""])
    query = hit_query(event, ts=str(NOW), ec=str(chance.randrange(99)), cd_value=chance.choice(["1", "x", ""]))
    host = chance.choice(["px.shop.example"] * 9 + ["PX.SHOP.EXAMPLE", "px.shop.example:80", "evil.example", ""])
    fields = chance.sample([*VISITOR, "X-Empty:", "Cookie: a=b", "Sec-GPC: 1", "Accept: */*"], chance.randrange(8))
    if chance.random() < 0.6:
        return head(
            chance.choice(["GET", "GET", "GET", "HEAD", "PUT", "OPTIONS"]), f"{path}?{query}", *fields, host=host
        )
    content_type = chance.choice([FORM, "text/plain", "application/json", "multipart/form-data; boundary=x"])
    return post(path, query.encode(), content_type, *fields)


@pytest.mark.parametrize("lane", OURS)
async def test_a_browser_that_waits_for_a_100_gets_it_and_then_its_answer(tmp_path: Path, lane: str) -> None:
    async with connected(lane, tmp_path) as (reader, writer, _):
        fields = (f"Content-Type: {FORM}", f"Content-Length: {len(FORM_HIT)}", "Expect: 100-continue")
        writer.write(head("POST", "/tr/", *fields))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(FORM_HIT)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("lane", OURS)
async def test_a_head_that_never_ends_is_refused(tmp_path: Path, lane: str) -> None:
    async with connected(lane, tmp_path) as (reader, writer, _):
        writer.write(b"GET /tr/ HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        assert (await reader.read()).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("lane", OURS)
async def test_the_limits_of_a_reloaded_config_count_for_the_next_connection(tmp_path: Path, lane: str) -> None:
    large = head("GET", f"/tr/?{hit_query(ts=str(NOW))}", "X: " + "x" * (40 << 10))
    async with serving(lane, tmp_path) as (port, gateway):
        assert [status for status, _, _ in await answered(port, (large, 1))] == [200]
        text = CONFIG.format(port=port, pixel=PIXEL, server=", limits: { url: 1KiB }")
        await gateway.apply(Config.from_text(text, base=tmp_path, env={"SECRET": SECRET}))
        assert [status for status, _, _ in await answered(port, (large, 1))] == [431]


@pytest.mark.parametrize("lane", OURS)
async def test_a_request_that_drips_in_is_ended_after_the_read_timeout(tmp_path: Path, lane: str) -> None:
    async with connected(lane, tmp_path, ", limits: { read_timeout: 1s }") as (reader, writer, _):
        began = time.monotonic()
        answer = asyncio.create_task(reader.readline())
        for byte in b"GET /tr/ HTTP/1.1\r\nHost: px.shop.example\r\n":
            writer.write(bytes([byte]))  # each of them puts mitmproxy's own time-out off
            await asyncio.wait((answer,), timeout=0.3)
            if answer.done():
                break
        assert time.monotonic() - began < 10
        assert (await answer).startswith(b"HTTP/1.1 408 ")
        await reader.read()
        assert reader.at_eof()


@pytest.mark.parametrize("lane", OURS)
async def test_a_hit_counts_though_its_browser_has_gone(tmp_path: Path, lane: str) -> None:
    async with connected(lane, tmp_path) as (_, writer, gateway):
        with gateway.journal.follow() as records:
            writer.write(hit(eid="gone"))
            writer.close()
            assert (await records.get()).event_id == "gone"


@pytest.mark.parametrize("lane", OURS)
async def test_a_browser_that_has_said_its_last_word_is_still_answered(tmp_path: Path, lane: str) -> None:
    async with connected(lane, tmp_path) as (reader, writer, _):
        writer.write(hit())
        writer.write_eof()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")


@asynccontextmanager
async def connected(
    lane: str, folder: Path, server: str = ""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, Gateway]]:
    """A connection to a gateway of that lane; `server` are more options of its front door."""
    async with serving(lane, folder, server) as (port, gateway):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer, gateway
        finally:
            writer.close()


def as_sent(line: Line) -> bytes:
    target = line.path + (f"?{line.query}" if line.query else "")
    return post(target, line.body, line.content_type, *VISITOR) if line.body else head("GET", target, *VISITOR)
