"""The front of the lanes inside mitmdump: answers the hits that mitmproxy does not forward."""

import logging
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from mitmproxy import ctx, http
from mitmproxy.connection import Client

from pixeltwin.config.model import Limits
from pixeltwin.delivery.journal import State
from pixeltwin.gateway import Doors, Handled
from pixeltwin.pixel.answer import Answer, answer_hit
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason
from pixeltwin.proxy import flows
from pixeltwin.telemetry import HITS

SANDBOX_PATHS: Final = ("/privacy_sandbox/pixel/register/trigger", "/privacy_sandbox/pixel/register/trigger/")
logger = logging.getLogger(__name__)


class LaneFront:
    """Takes hits while there are `doors`."""

    def __init__(self) -> None:
        self.doors: Doors | None = None
        self._going_on: set[str] = set()  # connections whose request was decided about, and goes on

    @property
    def limits(self) -> Limits:
        return self.doors.gateway.config.server.limits if self.doors else Limits()

    @property
    def is_draining(self) -> bool:
        return False  # whoever comes after us in a reload takes the connections over

    def takes(self, method: str, path: str) -> bool:
        if self.doors is None:
            return False
        routes = self.doors.gateway.routes
        return is_hit_path(path, routes.hits) or routes.posts(path)

    async def answer(self, request: HitRequest) -> Answer | None:
        try:
            return await self._answer(request)
        except Exception:
            logger.exception("pixeltwin let a hit pass without a twin")
            HITS.labels("other", State.SKIPPED, Reason.INTERNAL_ERROR).inc()
            return None

    def goes_on(self, client: Client) -> None:
        self._going_on.add(client.id)

    def has_decided(self, flow: http.HTTPFlow) -> bool:
        """Whether the flow is the request that goes on, which needs no second decision."""
        is_known = flow.client_conn.id in self._going_on
        self.forget(flow.client_conn)
        return is_known

    def forget(self, client: Client) -> None:
        self._going_on.discard(client.id)

    async def _answer(self, request: HitRequest) -> Answer | None:
        doors = self.doors
        if doors is None:
            return None
        if not ctx.options.keep_host_header:  # mitmproxy's own layer would have overwritten it
            request = replace(request, host="")
        if not is_hit_path(request.path, doors.gateway.routes.hits) or request.method not in flows.METHODS:
            return await doors.answer(request)
        handled = await doors.gateway.handle(request)
        return None if goes_on(handled) else answer_hit(handled.admission.hit, handled.admission.cookies)


def is_hit_path(path: str, hits: Collection[str]) -> bool:
    """Whether browsers send hits there through mitmproxy; `hits` are the config's paths."""
    return path in hits or path in SANDBOX_PATHS


def goes_on(handled: Handled) -> bool:
    """Whether the hit goes to Meta as it came: its pixel is nobody's here, and mitmproxy is the browser's way to Meta.

    What consent or a rule withholds goes nowhere.
    """
    return handled.admission.relay is None and not handled.admission.withheld
