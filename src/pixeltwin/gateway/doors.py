"""The endpoints that are answered here in every proxy mode: OpenBridge posts, and events of the shop's own servers."""

from dataclasses import replace
from typing import Final

import orjson

from pixeltwin.gateway.gateway import Gateway
from pixeltwin.mapping.ingest import Refused
from pixeltwin.mirror import Ingested, admit_openbridge
from pixeltwin.pixel.answer import EMPTY, NOT_FOUND, Answer
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason, Skip

STATUS: Final = {
    Reason.BAD_ACCESS_KEY: 401,
    Reason.BODY_TOO_LARGE: 413,
    Reason.OUTBOX_FAILED: 503,
    Reason.OUTBOX_BUSY: 503,
}
RETRY_AFTER: Final = {"Retry-After": "5"}  # seconds
METHODS: Final = "POST, OPTIONS"


class Doors:
    """Takes what is posted as JSON. A page's script reads the answer of OpenBridge, so it gets the CORS headers."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def answer(self, request: HitRequest) -> Answer | None:
        """The answer to a request on one of these paths, None for a request on any other."""
        routes = self.gateway.routes
        if routes.bridge.fullmatch(request.path):
            return await self._openbridge(request)
        if found := routes.ingest.fullmatch(request.path):
            return await self._ingested(found[1], request)
        return None

    async def _openbridge(self, request: HitRequest) -> Answer:
        headers = self._cors(request)
        if request.method == "OPTIONS":
            return replace(EMPTY, status=204, headers=headers)
        if request.method != "POST":
            return NOT_FOUND
        handled = await self.gateway.handle(request, admit_openbridge)
        return replace(EMPTY, headers=headers, cookies=handled.admission.cookies)

    async def _ingested(self, pixel_id: str, request: HitRequest) -> Answer:
        """202 for what was kept, as Meta's gateway endpoint answers; its SDKs take anything else for a failure."""
        if request.method != "POST":
            return NOT_FOUND
        taken = await self.gateway.ingest(pixel_id, request)
        if isinstance(taken, Skip):
            answer = _json(STATUS.get(taken.reason, 400), {"error": {"message": taken.reason}})
            return replace(answer, headers={**answer.headers, **RETRY_AFTER}) if answer.status == 503 else answer
        return _json(202 if _accepted(taken) else 400, _report(taken))

    def _cors(self, request: HitRequest) -> dict[str, str]:
        origin = request.header("origin")
        headers = {**EMPTY.headers, "Vary": "Origin"}
        admits = self.gateway.policy.admits_origin
        if not origin.isprintable() or not origin or (admits and not admits(origin)):
            return headers
        return {
            **headers,
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": "content-type",
        }


def _accepted(taken: Ingested) -> int:
    return sum(not isinstance(event, Refused) for event in taken.events)


def _report(taken: Ingested) -> dict[str, object]:
    refused = [
        {"index": index, "reason": event.reason, "field": event.field}
        for index, event in enumerate(taken.events)
        if isinstance(event, Refused)
    ]
    return {"events_received": _accepted(taken), "refused": refused}


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, "application/json", orjson.dumps(body))
