"""The browser's copy to Meta: byte for byte, with none of the site's cookies."""

import asyncio
import socket

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.factories import PIXEL, form, hit_query, multipart, parsed, request

from pixeltwin.delivery.destination import Rejected, Taken, Throttled, TryAgain
from pixeltwin.destinations import pixel_relay
from pixeltwin.destinations.pixel_relay import PixelRelay, relay_payload
from pixeltwin.pixel.request import HitRequest
from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import serving


async def relayed(hit: HitRequest) -> dict:
    meta = Sandbox()
    async with serving(create_app(meta), port=0) as url:
        relay = PixelRelay(url)
        assert isinstance(await relay.send(PIXEL, [relay_payload(hit)]), Taken)
        await relay.close()
    return meta.report()["events"][0]["browser"]


async def test_a_query_arrives_as_the_browser_wrote_it():
    hit = request(hit_query() + "&cd[we%20ird%5Bk%5D]=1&x=%ED%A0%80&y=a+b%2B&blank=")
    assert [tuple(pair) for pair in (await relayed(hit))["params"]] == list(parsed(hit).parameters)


async def test_posts_arrive_as_the_browser_wrote_them():
    for hit in (form(hit_query()), multipart([("id", PIXEL), ("ev", "X"), ("cd[n]", "Grüße 🎁")])):
        copy = await relayed(hit)
        assert (copy["method"], [tuple(pair) for pair in copy["params"]]) == ("POST", list(parsed(hit).parameters))


async def test_only_the_headers_that_meta_may_see_go_on():
    headers = {
        "cookie": "session=s3cret; _fbp=fb.1.1.1",
        "authorization": "Bearer s3cret",
        "x-forwarded-for": "10.0.0.1",
        "x-shop-user": "42",
        "accept-language": "de",
        "sec-ch-ua-platform": '"Linux"',
        "referer": "https://www.shop.example/account?token=s3cret",
    }
    copy = await relayed(request(hit_query(), headers=headers))
    assert copy["cookies"] == []
    assert "s3cret" not in str(copy["headers"])
    sent = {name for name in copy["headers"] if name not in ("host", "accept", "accept-encoding", "connection")}
    assert sent == {"user-agent", "accept-language", "sec-ch-ua-platform", "referer"}
    assert copy["headers"]["referer"] == "https://www.shop.example/account"


async def test_a_header_that_would_break_the_request_is_left_out():
    copy = await relayed(request(hit_query(), headers={"user-agent": "a\r\nX-Evil: b"}))
    assert "x-evil" not in copy["headers"]


async def test_a_connection_that_nobody_takes_is_a_reason_to_wait(monkeypatch):
    """The copy has not been sent: to give it up would lose every hit of an outage."""
    monkeypatch.setattr(pixel_relay, "TIMEOUT", aiohttp.ClientTimeout(total=10, connect=0.2))
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, socket.create_connection(silent.getsockname()):
        relay = PixelRelay(f"http://127.0.0.1:{silent.getsockname()[1]}")  # its queue is full: no answer to a SYN
        verdict = await relay.send(PIXEL, [relay_payload(request(hit_query()))])
        await relay.close()
    assert verdict == TryAgain("no connection: ConnectionTimeoutError")


async def test_nobody_listening_is_a_reason_to_wait():
    relay = PixelRelay("http://127.0.0.1:9")
    verdict = await relay.send(PIXEL, [relay_payload(request(hit_query()))])
    await relay.close()
    assert isinstance(verdict, TryAgain)
    assert not verdict.ambiguous


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Taken("HTTP 200")),
        (302, {"location": "https://elsewhere.example/"}, Taken("HTTP 302")),
        (400, {}, Rejected("HTTP 400")),
        (408, {}, TryAgain("HTTP 408")),
        (429, {"retry-after": "30"}, Throttled("HTTP 429", 30.0)),
        (503, {"retry-after": "30"}, TryAgain("HTTP 503", 30.0)),
    ],
)
async def test_every_status_has_its_verdict(status, headers, expected):
    async def tr(request: Request) -> Response:
        return Response(status_code=status, headers=headers)

    async with serving(Starlette(routes=[Route("/tr/", tr)]), port=0) as url:
        relay = PixelRelay(url)
        assert await relay.send(PIXEL, [relay_payload(request(hit_query()))]) == expected
        await relay.close()


async def test_a_hit_that_may_have_arrived_is_not_repeated_but_speaks_against_the_host():
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        relay = PixelRelay(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        verdict = await relay.send(PIXEL, [relay_payload(form(hit_query()))])
        await relay.close()
    assert isinstance(verdict, Rejected)
    assert not verdict.answered
