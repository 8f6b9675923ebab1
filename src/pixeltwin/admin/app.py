"""The admin listener's routes. These here read.

What changes something is in `customers.py`, `outbox.py` and `reload.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import resources
from typing import Any, Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pixeltwin.admin import records
from pixeltwin.admin.customers import Customers, CustomersView
from pixeltwin.admin.errors import number, refusal
from pixeltwin.admin.guard import Guard
from pixeltwin.admin.outbox import OutboxPages, OutboxView
from pixeltwin.admin.records import Filter, Json
from pixeltwin.admin.reload import Reloading, ReloadView
from pixeltwin.admin.stream import changes
from pixeltwin.delivery.journal import Journal, State
from pixeltwin.delivery.outbox import Depth
from pixeltwin.telemetry import REGISTRY

STATIC: Final = resources.files(__package__) / "static"
FILES: Final = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/detail.js": ("detail.js", "text/javascript; charset=utf-8"),
}
MOST: Final = 1000  # events in one answer: what the journal keeps


class AdminView(Protocol):
    """What of a gateway the admin listener shows; the gateway itself fits."""

    @property
    def journal(self) -> Journal: ...
    @property
    def config_digest(self) -> str: ...
    @property
    def pixels(self) -> Mapping[str, str]:
        """Names by pixel id."""

    async def stats(self) -> Mapping[str, Depth]:
        """The outbox's depth by destination; sets the metrics' gauges on the way."""

    def ready(self) -> str | None:
        """Why the gateway cannot take hits; None when it can."""


class FrontsView(Protocol):
    """The front processes of a gateway that has some."""

    def report(self) -> Mapping[str, Any]:
        """How many serve of how many there should be, and what is wrong with them."""


def create_app(
    view: AdminView,
    *,
    hosts: Collection[str] = (),
    customers: CustomersView | None = None,
    outbox: OutboxView | None = None,
    reloading: ReloadView | None = None,
    fronts: FrontsView | None = None,
) -> Starlette:
    """The app. `hosts` are the names it answers to besides loopback's, such as the one it listens on.

    Without `customers`, who have the token, nothing can be written. Without `outbox` its depth alone is shown, without
    `reloading` the config is not read again from here.
    """
    admin = Admin(view, fronts)
    pages = [Route(path, _file(*file)) for path, file in FILES.items()]
    api = [Route(path, endpoint) for path, endpoint in admin.endpoints().items()]
    writing = Customers(customers).routes() if customers else []
    queue = OutboxPages(outbox).routes() if outbox else []
    reload = Reloading(reloading).routes() if reloading else []
    token = (lambda: customers.admin_token) if customers else None
    app = Starlette(
        routes=[*pages, *queue, *api, *writing, *reload],
        middleware=[Middleware(Guard, hosts=hosts, token=token)],
        exception_handlers={HTTPException: refusal},
    )
    app.state.stopping = admin.stopping
    return app


class Admin:
    """The endpoints. Streams end when `stopping` is set."""

    def __init__(self, view: AdminView, fronts: FrontsView | None = None) -> None:
        self._view = view
        self._fronts = fronts
        self.stopping = asyncio.Event()

    def endpoints(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        return {
            "/api/events": self.events,
            "/api/events/{id}": self.event,
            "/api/stream": self.stream,
            "/api/outbox": self.outbox,
            "/livez": self.live,
            "/readyz": self.ready,
            "/metrics": self.metrics,
        }

    async def events(self, request: Request) -> Response:
        wanted = Filter(event=request.query_params.get("event", ""), state=_state(request))
        found = wanted.newest(self._view.journal, _number(request, "limit", 100))
        return Json({"events": [records.summary(record, self._view.pixels) for record in found]})

    async def event(self, request: Request) -> Response:
        if record := self._view.journal.get(request.path_params["id"]):
            return Json(records.full(record, self._view.pixels))
        raise HTTPException(404, "no such event, or no longer in memory")

    async def stream(self, request: Request) -> Response:
        """Every change as it happens, after the last `replay` events as they are now."""
        replay = _number(request, "replay", 0)
        if request.method == "HEAD":  # its body would be thrown away, forever
            return Response(media_type="text/event-stream")
        return StreamingResponse(changes(self._view, self.stopping, replay=replay), media_type="text/event-stream")

    async def outbox(self, _: Request) -> Response:
        return Json({destination: asdict(depth) for destination, depth in (await self._view.stats()).items()})

    async def live(self, _: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(self, _: Request) -> Response:
        reason, config = self._view.ready(), self._view.config_digest
        fronts = {"fronts": self._fronts.report()} if self._fronts else {}
        if reason is None:
            return Json({"ready": True, "config": config, **fronts})
        return Json({"ready": False, "reason": reason, "config": config, **fronts}, 503)

    async def metrics(self, _: Request) -> Response:
        with suppress(OSError):  # a database that is away, for one, is no reason to tell nothing
            await self._view.stats()  # for the gauges
        return Response(generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _file(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = (STATIC / name).read_bytes()

    async def send(_: Request) -> Response:
        return Response(content, headers={"Content-Type": media_type})

    return send


def _number(request: Request, name: str, default: int) -> int:
    return number(request.query_params.get(name, str(default)), name, MOST)


def _state(request: Request) -> State | None:
    text = request.query_params.get("state", "")
    if text and text not in list(State):
        raise HTTPException(400, f"state: one of {', '.join(State)} is wanted, not {text!r}")
    return State(text) if text else None
