"""Twins to Meta, against the sandbox on a real port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import orjson
import pytest
from structlog.testing import capture_logs
from tests.delivery.scripted_meta import Answer, ScriptedMeta, error, took
from tests.factories import PIXEL, UA

from pixeltwin.delivery.destination import Misconfigured, Rejected, Taken, Throttled, TooBig, TryAgain
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.faults import Fault
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import serving

TOKEN = "a-secret-token"


@pytest.fixture
def meta(tmp_path: Path) -> Sandbox:
    return Sandbox(tokens={PIXEL: TOKEN}, journal=tmp_path / "journal")


@pytest.fixture
async def url(meta: Sandbox) -> AsyncIterator[str]:
    async with serving(create_app(meta), port=0) as base:
        yield base


@pytest.fixture
async def api(url: str) -> AsyncIterator[ConversionsApi]:
    api = ConversionsApi(url, "v26.0", {PIXEL: lambda: TOKEN})
    yield api
    await api.close()


def event(meta: Sandbox, **changes: object) -> bytes:
    return orjson.dumps(
        {
            "event_name": "Lead",
            "event_time": int(meta.clock()),
            "event_id": "e-1",
            "action_source": "website",
            "event_source_url": "https://www.shop.example/",
            "user_data": {"client_user_agent": UA, "fbp": "fb.1.1795461138686.39550"},
            **changes,
        }
    )


async def test_a_batch_is_taken_and_carries_the_test_event_code(meta, api):
    verdict = await api.send(PIXEL, [event(meta), event(meta, event_id="e-2")], test_event_code="TEST123")
    assert isinstance(verdict, Taken)
    entries = meta.report()["events"]
    assert [entry["event_id"] for entry in entries] == ["e-1", "e-2"]
    assert entries[0]["server"]["test_event_code"] == "TEST123"


async def test_the_token_is_in_a_header_and_in_no_url(meta, api, tmp_path):
    await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    line = orjson.loads((tmp_path / "journal").read_bytes().splitlines()[0])
    assert TOKEN not in line["path"] + line["query"] + line["body"]
    assert "authorization" in {name.lower() for name in line["headers"]}


async def test_one_bad_event_rejects_the_batch_with_meta_s_code(meta, api):
    verdict = await api.send(PIXEL, [event(meta), event(meta, event_time=1)], test_event_code="TEST123")
    assert isinstance(verdict, Rejected)
    assert verdict.reason.startswith("HTTP 400, code 100/2804003: Event Timestamp Too Old")
    assert (verdict.code, verdict.blamed, verdict.is_known) == ("100/2804003", (1,), True)


async def test_a_wrong_token_is_a_reason_to_wait_not_to_drop(meta, url):
    api = ConversionsApi(url, "v26.0", {PIXEL: lambda: "expired"})
    verdict = await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    await api.close()
    assert isinstance(verdict, Misconfigured)
    assert (verdict.code, "access token" in verdict.remedy) == ("190", True)


async def test_a_new_token_is_used_from_the_next_post_on(meta, url):
    tokens = iter(["expired", TOKEN])
    api = ConversionsApi(url, "v26.0", {PIXEL: lambda: next(tokens)})
    verdicts = [await api.send(PIXEL, [event(meta)], test_event_code="TEST123") for _ in range(2)]
    await api.close()
    assert [type(verdict) for verdict in verdicts] == [Misconfigured, Taken]


async def test_a_pixel_without_a_token_waits_for_a_human(api):
    assert isinstance(await api.send("999", [b"{}"], test_event_code=""), Misconfigured)


@pytest.mark.parametrize("fault", ["server_error", "reset_before_accept", "reset_after_accept"])
async def test_what_may_pass_is_tried_again(meta, api, fault):
    meta.faults.add(Fault(fault, 0), 1)
    verdict = await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    assert isinstance(verdict, TryAgain)
    assert verdict.ambiguous is fault.startswith("reset")  # the body was on its way: who knows
    assert isinstance(await api.send(PIXEL, [event(meta)], test_event_code="TEST123"), Taken)


@pytest.mark.parametrize(("seconds", "after"), [(0, None), (61, 120.0)])
async def test_a_throttle_tells_how_long_to_wait_if_meta_does(meta, api, seconds, after):
    meta.faults.add(Fault("rate_limit", seconds), 1)
    verdict = await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    assert isinstance(verdict, Throttled)
    assert (verdict.code, verdict.after) == ("80004", after)


async def test_nobody_listening_is_a_reason_to_wait():
    api = ConversionsApi("http://127.0.0.1:9", "v26.0", {PIXEL: lambda: TOKEN})
    verdict = await api.send(PIXEL, [b"{}"], test_event_code="TEST123")
    await api.close()
    assert isinstance(verdict, TryAgain)
    assert not verdict.ambiguous


@asynccontextmanager
async def scripted(answer) -> AsyncIterator[ConversionsApi]:
    async with ScriptedMeta(answer).serving() as meta:
        api = ConversionsApi(meta.url, "v26.0", {PIXEL: lambda: TOKEN}, timeout=httpx.Timeout(0.2))
        yield api
        await api.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(504, b"<html>"), TryAgain("HTTP 504", ambiguous=True)),
        (Answer(503, b"", {"retry-after": "9"}), TryAgain("HTTP 503", 9.0)),
        (Answer(200, b"Service Unavailable"), TryAgain("HTTP 200")),
        (Answer(429, b"", {"retry-after": "9"}), Throttled("HTTP 429", 9.0)),
        (Answer(413, b""), TooBig("HTTP 413")),
        (error(400, 2500, 7), Rejected("HTTP 400, code 2500/7: m", "2500/7", is_known=False)),
        (Answer(200, b'{"events_received":1,"fbtrace_id":"A1"}'), Taken("Meta took it, fbtrace_id A1", missing=1)),
        (Answer(200, b"{}", seconds=0.5), TryAgain("no answer: ReadTimeout", ambiguous=True)),
    ],
)
async def test_every_answer_has_its_verdict(answer, expected):
    async with scripted(answer) as api:
        assert await api.send(PIXEL, [b"{}", b"{}"], test_event_code="") == expected


@asynccontextmanager
async def talking(talk: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[ConversionsApi]:
    """Somebody who reads a request and answers by hand."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            await talk(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        api = ConversionsApi(f"http://127.0.0.1:{port}", "v26.0", {PIXEL: lambda: TOKEN}, longest=0.5)
        yield api
        await api.close()


async def test_an_answer_that_drips_in_is_given_up():
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(20):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with talking(drip) as api, asyncio.timeout(2):
        assert await api.send(PIXEL, [b"{}"], test_event_code="") == TryAgain("no answer: TimeoutError", ambiguous=True)


async def test_half_an_answer_is_ambiguous():
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"events_')
        await writer.drain()

    async with talking(cut) as api:
        verdict = await api.send(PIXEL, [b"{}"], test_event_code="")
    assert isinstance(verdict, TryAgain)
    assert verdict.ambiguous


async def test_a_warning_about_the_api_s_version_is_told_once():
    texts = iter(["v26.0 ends in May", "v26.0 ends in May", "v26.0 ends in April"])
    async with scripted(lambda post: took(post, **{"x-ad-api-version-warning": next(texts)})) as api:
        with capture_logs() as logs:
            for _ in range(3):
                await api.send(PIXEL, [b"{}"], test_event_code="")
    assert [line["warning"] for line in logs] == ["v26.0 ends in May", "v26.0 ends in April"]
