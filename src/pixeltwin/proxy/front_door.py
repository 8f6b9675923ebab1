"""The addon behind `pixeltwin run`: answers every request itself, so that no request can choose an upstream.

Another Host than ours is answered 421, another path 404, every hit alike, whatever becomes of it.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from mitmproxy import ctx, http
from mitmproxy.connection import Client

from pixeltwin.config.model import Limits
from pixeltwin.gateway import STOP_SECONDS, Doors, Gateway, Handled
from pixeltwin.pixel import answer
from pixeltwin.pixel.answer import Answer, answer_hit
from pixeltwin.pixel.client_ip import is_proxy
from pixeltwin.pixel.request import HitRequest
from pixeltwin.pixel.skip import Reason
from pixeltwin.proxy import flows

type Tell = Callable[[Answer], None]

IN_FLIGHT_SECONDS: Final = 2.0  # what a stop gives to requests that are being answered
logger = logging.getLogger(__name__)


class FrontDoor:
    """Takes hits for a gateway. `done` lets it finish what it began."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._doors = Doors(gateway)
        self._asked: list[tuple[HitRequest, Tell]] = []
        self._others: set[asyncio.Task[None]] = set()  # the loop itself would let go of them
        self._in_flight = 0
        self._idle: asyncio.Event | None = None  # while a stop waits for what is being answered
        self.is_draining = False
        self.is_open = asyncio.Event()

    def running(self) -> None:
        self.is_open.set()

    @property
    def limits(self) -> Limits:
        return self._gateway.config.server.limits

    def most_connections(self, address: str) -> int | None:
        """How many connections the peer of that address may have at once; None: any number, as our own proxies may."""
        most = self.limits.connections_per_address
        return None if most is None or is_proxy(address, self._gateway.policy.trusted_proxies) else most

    def takes(self, method: str, path: str) -> bool:
        """Everything: nothing goes to an upstream from here."""
        return True

    def goes_on(self, client: Client) -> None:
        """Nothing does."""

    async def request(self, flow: http.HTTPFlow) -> None:
        if flow.request.first_line_format != "relative":  # for another server: this is no open proxy
            flows.set_answer(flow, answer.BAD_REQUEST)
            return
        request = flows.hit_request(flow, host=flows.host_header(flow))
        flows.set_answer(flow, await self.answer(request), close=self.is_draining)

    def ask(self, request: HitRequest, tell: Tell) -> None:
        """Answer any request, from the next turn of the loop on (why: `in_the_next_turn`). Never raises."""
        self._in_flight += 1  # from now on: a stop that begins in this turn waits for it
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._answer_asked)
        self._asked.append((request, tell))

    def _answer_asked(self) -> None:
        asked, self._asked = self._asked, []
        for request, tell in asked:
            if self._is_hit(request):
                self._take(request, tell)
            else:
                task = asyncio.get_running_loop().create_task(self._answer_other(request, tell))
                self._others.add(task)
                task.add_done_callback(self._others.discard)

    async def _answer_other(self, request: HitRequest, tell: Tell) -> None:
        try:
            _bring(tell, await self.answer(request))
        finally:
            self._is_answered()

    def _take(self, request: HitRequest, tell: Tell) -> None:
        """Take a hit; without a task, as most requests are hits."""
        try:
            self._gateway.take(request, partial(self._taken, tell))
        except Exception:
            self._is_answered()
            _bring(tell, self._failed())

    def _taken(self, tell: Tell, handled: Handled) -> None:
        self._is_answered()
        _bring(tell, answer_hit(handled.admission.hit, handled.admission.cookies))

    async def answer(self, request: HitRequest) -> Answer:
        """The answer to any request; never raises."""
        self._in_flight += 1
        try:
            return await self._answer(request)
        except Exception:
            return self._failed()
        finally:
            self._is_answered()

    def _failed(self) -> Answer:
        """The answer when an exception is handled that nobody has thought of."""
        logger.exception("a request could not be answered as it should")
        self._gateway.count_skip(Reason.INTERNAL_ERROR)
        return answer.EMPTY

    def _is_answered(self) -> None:
        self._in_flight -= 1
        if self._idle and not self._in_flight:
            self._idle.set()

    def done(self) -> "asyncio.Task[None]":
        return asyncio.get_running_loop().create_task(self._drain())

    async def _answer(self, request: HitRequest) -> Answer:
        if not request.path.startswith("/"):
            return answer.BAD_REQUEST
        if not self._gateway.routes.are_asked_at(request.host):
            self._gateway.count_skip(Reason.FOREIGN_HOST)
            return answer.MISDIRECTED
        if self._is_hit(request):
            handled = await self._gateway.handle(request)
            return answer_hit(handled.admission.hit, handled.admission.cookies)
        if found := await self._doors.answer(request):
            return found
        self._gateway.count_skip(Reason.OTHER_PATH)
        return answer.NOT_FOUND

    def _is_hit(self, request: HitRequest) -> bool:
        routes = self._gateway.routes
        is_for_hits = request.path in routes.hits and request.method in flows.METHODS
        return is_for_hits and routes.are_asked_at(request.host)

    async def _drain(self) -> None:
        """Stop listening, end idle connections, let requests finish, deliver what is due: in a stop's time."""
        began = time.monotonic()
        self.is_draining = True
        proxyserver = ctx.master.addons.get("proxyserver")
        await proxyserver.servers.update([])  # not documented API: tests/proxy guard it
        if lanes := ctx.master.addons.get("lanes"):
            await lanes.end_idle()  # what they would ask now could not be kept; their browsers ask the next gateway
        if self._in_flight:
            self._idle = asyncio.Event()
            await asyncio.wait([asyncio.ensure_future(self._idle.wait())], timeout=IN_FLIGHT_SECONDS)
        await self._gateway.close(STOP_SECONDS - (time.monotonic() - began))


def _bring(tell: Tell, answer: Answer) -> None:
    """Bring an answer to its connection. Never raises: other hits wait for their turn."""
    try:
        tell(answer)
    except Exception:
        logger.exception("an answer could not be brought to its connection")
