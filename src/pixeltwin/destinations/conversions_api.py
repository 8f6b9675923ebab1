"""Twins to Meta: `POST {graph}/{version}/{pixel_id}/events` (PROTOCOL 1.1).

HTTP/1.1 with keep-alive: big bodies on one HTTP/2 connection starve on its flow-control window.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx

from pixeltwin.capi.reply import Accepted, Fault, GraphError, parse_reply
from pixeltwin.capi.request import MAX_EVENTS, request_body
from pixeltwin.delivery.destination import (
    Misconfigured,
    Rejected,
    Taken,
    Throttled,
    TooBig,
    TryAgain,
    Verdict,
)
from pixeltwin.telemetry import API_WARNINGS, log

NAME: Final = "conversions_api"
MAX_POSTS: Final = 8  # at a time; more of them win nothing (DELIVERY 2f)
# a short read time-out would only repeat posts that Meta has taken already
TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
LONGEST: Final = 13.0  # seconds for all of a post: httpx starts its clock again with every chunk that drips in
UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
GATEWAY_TIMEOUT: Final = 504  # somebody in between waited in vain: Meta may have taken the batch
NO_PIXEL: Final = Misconfigured(
    "no access token is configured", "put the pixel back into the config, or discard what waits for it"
)
WARNING: Final = "x-ad-api-version-warning"
MOST_WARNINGS: Final = 20  # texts that are told apart


class ConversionsApi:
    """One client for every pixel. A token is asked for at every post, so that a new one is used at once.

    `tokens` are those of pixels by id, and others by the name of their credential.
    """

    name = NAME
    takes_repeats = True  # by event name and id, for 48 hours
    max_batch = MAX_EVENTS
    max_posts = MAX_POSTS
    max_posts_of_a_pixel = 2

    def __init__(
        self,
        graph: str,
        version: str,
        tokens: Mapping[str, Callable[[], str]],
        *,
        clock: Callable[[], float] = time.time,
        timeout: httpx.Timeout = TIMEOUT,
        longest: float = LONGEST,
    ) -> None:
        self._base = f"{graph}/{version}"
        self._tokens = tokens
        self._clock = clock
        self._longest = longest
        self._warnings: set[str] = set()
        self._client = httpx.AsyncClient(
            timeout=timeout,
            limits=httpx.Limits(max_connections=MAX_POSTS, max_keepalive_connections=MAX_POSTS),
            trust_env=False,  # a proxy variable could lead back through this gateway
            follow_redirects=False,  # the token goes to Graph and nowhere else
        )

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        token = self._tokens.get(credential or pixel_id)
        if token is None:
            return NO_PIXEL
        try:
            async with asyncio.timeout(self._longest):
                response = await self._client.post(
                    f"{self._base}/{pixel_id}/events",
                    content=request_body(payloads, test_event_code),
                    headers={"content-type": "application/json", "authorization": f"Bearer {token()}"},
                )
        except UNSENT as error:
            return TryAgain(f"no connection: {type(error).__name__}")
        except (httpx.HTTPError, TimeoutError) as error:
            return TryAgain(f"no answer: {type(error).__name__}", ambiguous=True)
        self._heed(response.headers.get(WARNING, ""))
        return _verdict(
            parse_reply(response.status_code, response.content, response.headers, self._clock()), len(payloads)
        )

    async def close(self) -> None:
        await self._client.aclose()

    def _heed(self, warning: str) -> None:
        """Say once what Meta says with every answer."""
        if not warning:
            return
        API_WARNINGS.inc()
        if warning not in self._warnings and len(self._warnings) < MOST_WARNINGS:
            self._warnings.add(warning)
            log.warning("Meta warns about the version of its API that is used", warning=warning[:300])


def _verdict(reply: Accepted | GraphError, sent: int) -> Verdict:
    if isinstance(reply, Accepted):
        return Taken(f"Meta took it, fbtrace_id {reply.fbtrace_id}", max(0, sent - reply.events_received))
    return VERDICTS[reply.fault](reply)


VERDICTS: Final[Mapping[Fault, Callable[[GraphError], Verdict]]] = {
    Fault.TRANSIENT: lambda no: TryAgain(str(no), no.after, no.status == GATEWAY_TIMEOUT, no.codes),
    Fault.THROTTLE: lambda no: Throttled(str(no), no.after, no.codes),
    Fault.SETUP: lambda no: Misconfigured(str(no), no.remedy, no.codes),
    Fault.DATA: lambda no: Rejected(str(no), no.codes, no.blamed),
    Fault.UNKNOWN: lambda no: Rejected(str(no), no.codes, no.blamed, is_known=False),
    Fault.TOO_BIG: lambda no: TooBig(str(no), no.codes),
}
