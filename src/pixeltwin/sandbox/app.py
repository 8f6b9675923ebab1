"""The sandbox Meta as an ASGI app: Graph, the hit endpoint and the pixel's files on one origin.

DESIGN section 5 lists the paths; PROTOCOL 1.11, 3.1, 3.2 and 3.11 say how Meta answers on them.
"""

import asyncio
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pixeltwin.sandbox import answers, graph
from pixeltwin.sandbox.answers import Refusal
from pixeltwin.sandbox.faults import Fault, parse_fault
from pixeltwin.sandbox.journal import Journal, masked_headers
from pixeltwin.sandbox.meta import CURRENT_VERSION, Hit, Sandbox

__all__ = ["Sandbox", "create_app"]

FBEVENTS: Final = Path(__file__).with_name("static") / "fbevents.js"
SCRIPT: Final = "application/x-javascript; charset=utf-8"
# connect.facebook.net lets scripts be cached for about 20 minutes; a worker needs the second header.
SCRIPT_HEADERS: Final = {"Cache-Control": "public, max-age=1200", "Access-Control-Allow-Origin": "*"}
NO_STORE: Final = {"Cache-Control": "no-store"}
PIXEL_GIF: Final = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00"
    b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
# What Meta sets on a browser without it (PROTOCOL 3.11): a gateway has to keep it from the visitor.
FR_COOKIE: Final = "fr=0sandbox; Max-Age=7776000; Path=/; Domain=.facebook.com; Secure; HttpOnly; SameSite=None"

CONFIG: Final = """\
fbq.registerPlugin("%(id)s", {__fbEventsPlugin: 1, plugin: function (fbq, instance, config) {
  instance.optIn("%(id)s", "FirstPartyCookies", true);
  instance.configLoaded("%(id)s");
}});
"""


def create_app(sandbox: Sandbox) -> Starlette:
    """An app that is Meta as far as a pixel and a gateway can tell. Its state is all in `sandbox`."""
    journal = [Middleware(Journal, path=sandbox.journal, clock=sandbox.clock)] if sandbox.journal else []
    app = Starlette(routes=ROUTES, middleware=journal, exception_handlers={HTTPException: refuse_request})
    app.router.redirect_slashes = False  # Graph does not redirect
    app.state.sandbox = sandbox
    return app


class Json(Response):
    """A JSON answer with Graph's content type."""

    media_type = "application/json; charset=UTF-8"

    def render(self, content: Any) -> bytes:
        """orjson: the report may be long."""
        return orjson.dumps(content)


class Reset(Response):
    """No answer: the TCP connection is reset under the client."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reset, and wait until the server has noticed; it would answer 500 otherwise."""
        reset = scope.get("state", {}).get("reset")
        if reset is None:
            raise ConnectionResetError("reset by the sandbox")
        reset()
        while (await receive())["type"] != "http.disconnect":
            continue


def refuse(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    """A refusal as Graph answers it."""
    return Json(refusal.body(), refusal.status, headers)


def _sandbox(request: Request) -> Sandbox:
    sandbox: Sandbox = request.app.state.sandbox
    return sandbox


# Graph


async def take_events(request: Request) -> Response:
    """`POST /v{N}.0/{pixel_id}/events`, on a good day or under a fault."""
    fault = _sandbox(request).faults.take() or Fault("slow")
    pixel_id = request.path_params["pixel_id"]
    if fault.refusal:
        return refuse(fault.refusal, fault.headers(pixel_id))
    if fault.name == "reset_before_accept":
        return Reset()
    await asyncio.sleep(fault.seconds)
    answer = _sandbox(request).take_events(request.path_params["version"], pixel_id, await graph.read(request))
    if fault.name == "reset_after_accept":
        return Reset()
    return refuse(answer) if isinstance(answer, Refusal) else Json(answer)


async def refuse_unversioned(request: Request) -> Response:
    """`POST /{pixel_id}/events`: Marketing API edges want a version (PROTOCOL 1.1)."""
    return refuse(answers.deprecated_version(CURRENT_VERSION))


async def refuse_request(request: Request, error: Exception) -> Response:
    """What no route took, in Graph's shape."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    if status == 404:
        return refuse(answers.unknown_path(request.url.path))
    if status == 405:
        return refuse(answers.unsupported_method(request.method))
    return refuse(Refusal(detail="The request could not be read."))


# The pixel's endpoint and files


async def take_hit(request: Request) -> Response:
    """`/tr`: every hit is fine with Meta; a noscript image gets a picture (PROTOCOL 3.11)."""
    hit = Hit(
        method=request.method,
        params=await _hit_params(request),
        headers=masked_headers(request),
        cookies=sorted(request.cookies),
    )
    _sandbox(request).see_hit(hit)
    picture = hit.get("noscript") == "1"
    answer = Response(
        PIXEL_GIF if picture else b"", media_type="image/gif" if picture else "text/plain", headers=NO_STORE
    )
    if "fr" not in request.cookies:
        answer.headers["Set-Cookie"] = FR_COOKIE
    return answer


async def _hit_params(request: Request) -> list[tuple[str, str]]:
    params = parse_qsl(request.url.query, keep_blank_values=True)
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("multipart/form-data"):
        return params + await _multipart_params(request)
    return params + parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True)


async def _multipart_params(request: Request) -> list[tuple[str, str]]:
    try:
        async with request.form(max_part_size=graph.MAX_PART) as form:
            return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    except HTTPException:
        return []  # counted as unusable


async def serve_pixel(request: Request) -> Response:
    """`/{locale}/fbevents.js`: our own pixel; Meta's script is not ours to ship."""
    return FileResponse(FBEVENTS, media_type=SCRIPT, headers=SCRIPT_HEADERS)


async def serve_config(request: Request) -> Response:
    """`/signals/config/{id}`: the least that unlocks a pixel (PROTOCOL 3.2), with its cookies on."""
    pixel_id = request.path_params["pixel_id"]
    if not (pixel_id.isascii() and pixel_id.isdigit()):
        return Response(status_code=404)
    return Response(CONFIG % {"id": pixel_id}, media_type=SCRIPT, headers=SCRIPT_HEADERS)


async def serve_plugin(request: Request) -> Response:
    """`/signals/plugins/{name}.js`: our pixel has no plugins to load."""
    return Response("", media_type=SCRIPT, headers=SCRIPT_HEADERS)


# The sandbox's own controls


async def show_events(request: Request) -> Response:
    """`GET /sandbox/events`."""
    return Json(_sandbox(request).report(), headers=NO_STORE)


async def forget_events(request: Request) -> Response:
    """`DELETE /sandbox/events`."""
    _sandbox(request).reset()
    return Response(status_code=204)


async def add_fault(request: Request) -> Response:
    """`POST /sandbox/faults`: `{"fault": name, "times": n, "seconds": s}`."""
    try:
        fault, times = parse_fault(orjson.loads(await request.body()))
    except ValueError as error:  # of which orjson's is one
        return Json({"error": str(error)}, 400)
    faults = _sandbox(request).faults
    faults.add(fault, times)
    return Json({"pending": len(faults)})


async def clear_faults(request: Request) -> Response:
    """`DELETE /sandbox/faults`."""
    _sandbox(request).faults.clear()
    return Response(status_code=204)


ROUTES: Final = [
    Route("/v{version:int}.0/{pixel_id}/events", take_events, methods=["POST"]),
    Route("/sandbox/events", show_events, methods=["GET"]),
    Route("/sandbox/events", forget_events, methods=["DELETE"]),
    Route("/sandbox/faults", add_fault, methods=["POST"]),
    Route("/sandbox/faults", clear_faults, methods=["DELETE"]),
    Route("/tr", take_hit, methods=["GET", "POST"]),
    Route("/tr/", take_hit, methods=["GET", "POST"]),
    Route("/{locale}/fbevents.js", serve_pixel, methods=["GET"]),
    Route("/signals/config/{pixel_id}", serve_config, methods=["GET"]),
    Route("/signals/plugins/{name}.js", serve_plugin, methods=["GET"]),
    Route("/{pixel_id}/events", refuse_unversioned, methods=["POST"]),
]
