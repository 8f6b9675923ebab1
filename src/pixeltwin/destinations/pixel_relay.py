"""The browser's own copy to Meta's `/tr/`, when no browser and no proxy brings it there (`relay: background`).

The site's cookies are none of Meta's business and its query strings little: only the headers of `FORWARDED` go on,
and the Referer is cut to origin and path (PROTOCOL 4.4, THREATS T6).
"""

import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from pixeltwin.capi.reply import asked_wait
from pixeltwin.delivery.destination import Rejected, Taken, Throttled, TryAgain, Verdict
from pixeltwin.pixel.request import HitRequest

NAME: Final = "pixel_relay"
TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
CONNECTIONS: Final = 32
FORWARDED: Final = ("user-agent", "accept-language", "content-type")
FORWARDED_PREFIX: Final = "sec-ch-ua"
TOO_MANY: Final = 429
RETRY_STATUS: Final = frozenset({408, *range(500, 600)})


def relay_payload(request: HitRequest) -> bytes:
    """What the outbox keeps of a browser's copy. Bytes travel as latin-1 text, one character a byte."""
    return orjson.dumps(
        {
            "query": request.query.decode("latin-1"),
            "headers": forwarded_headers(request),
            "body": request.body.decode("latin-1"),
        }
    )


def forwarded_headers(request: HitRequest) -> dict[str, str]:
    """The headers that Meta gets of the browser's request."""
    kept = {
        name: value
        for name, value in request.headers.items()
        if value and (name in FORWARDED or name.startswith(FORWARDED_PREFIX)) and value.isprintable()
    }
    if referer := _without_query(request.header("referer")):
        kept["referer"] = referer
    return kept


class PixelRelay:
    """Pooled connections to Meta's pixel endpoint: aiohttp, as httpx costs 5 to 15 times its CPU on single hits."""

    name = NAME
    takes_repeats = False  # a browser does not repeat a hit either, and Meta might count it twice
    max_batch = 1
    max_posts = CONNECTIONS
    max_posts_of_a_pixel = CONNECTIONS  # a post is one hit: two at a time would be 25 hits a second

    def __init__(self, pixel: str) -> None:
        self._endpoint = f"{pixel}/tr/"
        self._session = aiohttp.ClientSession(
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),  # Meta's cookies belong to no visitor of ours
            auto_decompress=False,
        )

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str = "", credential: str = ""
    ) -> Verdict:
        kept: dict[str, Any] = orjson.loads(payloads[0])
        url = URL(f"{self._endpoint}?{kept['query']}" if kept["query"] else self._endpoint, encoded=True)
        body = kept["body"].encode("latin-1")
        try:
            async with self._session.request(
                "POST" if body else "GET", url, data=body or None, headers=kept["headers"], allow_redirects=False
            ) as response:
                return _verdict(response.status, asked_wait(response.headers, time.time()))
        except aiohttp.ClientConnectorError as error:
            return TryAgain(f"no connection: {type(error).__name__}")
        except (aiohttp.ClientError, TimeoutError) as error:
            # it may have arrived, see takes_repeats
            return Rejected(f"no answer: {type(error).__name__}", answered=False)

    async def close(self) -> None:
        await self._session.close()


def _verdict(status: int, after: float | None) -> Verdict:
    if status == TOO_MANY:
        return Throttled(f"HTTP {status}", after)
    if status in RETRY_STATUS:
        return TryAgain(f"HTTP {status}", after)
    return Taken(f"HTTP {status}") if status < 400 else Rejected(f"HTTP {status}")


def _without_query(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    cut = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return cut if parts.netloc and cut.isascii() and cut.isprintable() else ""
