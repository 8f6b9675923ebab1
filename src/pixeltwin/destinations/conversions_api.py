"""Twins to Meta: `POST {graph}/{version}/{pixel_id}/events` (PROTOCOL 1.1).

HTTP/1.1 with keep-alive: big bodies on one HTTP/2 connection starve on its flow-control window.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import httpx

from pixeltwin.capi.reply import Accepted, GraphError, parse_reply
from pixeltwin.capi.request import MAX_EVENTS, request_body
from pixeltwin.delivery.destination import Rejected, Taken, TryAgain, Verdict

NAME: Final = "conversions_api"
# a short read time-out would only repeat posts that Meta has taken already
TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)


class ConversionsApi:
    """One client for every pixel. A token is asked for at every post, so that a new one is used at once.

    `tokens` are those of pixels by id, and others by the name of their credential.
    """

    name = NAME
    max_batch = MAX_EVENTS

    def __init__(self, graph: str, version: str, tokens: Mapping[str, Callable[[], str]]) -> None:
        self._base = f"{graph}/{version}"
        self._tokens = tokens
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            trust_env=False,  # a proxy variable could lead back through this gateway
            follow_redirects=False,  # the token goes to Graph and nowhere else
        )

    async def send(
        self, pixel_id: str, payloads: Sequence[bytes], *, test_event_code: str, credential: str = ""
    ) -> Verdict:
        token = self._tokens.get(credential or pixel_id)
        if token is None:
            return TryAgain("the pixel is no longer configured")
        try:
            response = await self._client.post(
                f"{self._base}/{pixel_id}/events",
                content=request_body(payloads, test_event_code),
                headers={"content-type": "application/json", "authorization": f"Bearer {token()}"},
            )
        except httpx.HTTPError as error:
            return TryAgain(f"no answer: {type(error).__name__}")
        return _verdict(parse_reply(response.status_code, response.content))

    async def close(self) -> None:
        await self._client.aclose()


def _verdict(reply: Accepted | GraphError) -> Verdict:
    if isinstance(reply, Accepted):
        return Taken(f"Meta took it, fbtrace_id {reply.fbtrace_id}")
    return Rejected(str(reply)) if reply.is_about_the_data else TryAgain(str(reply))
