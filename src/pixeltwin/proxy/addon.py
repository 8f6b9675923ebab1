"""The addon for `mitmdump`, `mitmproxy` and `mitmweb`: mirrors the pixel hits that pass through.

mitmproxy forwards the browser's copy itself (`relay: native`), with the event id in it. Whatever goes wrong in here,
the hit goes on and the fault is counted.
"""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from mitmproxy import contentviews, ctx, exceptions, http
from mitmproxy.addonmanager import Loader

from pixeltwin.config import Config, load_config
from pixeltwin.delivery.journal import State
from pixeltwin.errors import ConfigError
from pixeltwin.gateway import Doors, Gateway, Handled, Relay
from pixeltwin.pixel.answer import answer_hit
from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.pixel.skip import Reason
from pixeltwin.proxy import flows
from pixeltwin.proxy.content_view import MetaPixel
from pixeltwin.proxy.notes import FlowNotes
from pixeltwin.telemetry import HITS, log_into_host

RELAYS: Final[tuple[Relay, ...]] = ("native", "background", "browser", "none")
META_HOST: Final = "www.facebook.com"
SANDBOX_PATHS: Final = ("/privacy_sandbox/pixel/register/trigger", "/privacy_sandbox/pixel/register/trigger/")
logger = logging.getLogger(__name__)


class PixelMirror:
    """Mirrors hits as `pixeltwin_config` says.

    `running` and `done` are plain functions that return a task: mitmproxy calls the hooks of a reloaded script
    through a synchronous dispatcher, which refuses coroutine functions and stops watching the file.
    """

    def __init__(self) -> None:
        self._config: Config | None = None
        self._doors: asyncio.Task[Doors] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._notes = FlowNotes()
        self._cookies: dict[str, tuple[SetCookie, ...]] = {}  # for the answers under way, by flow
        self._tasks: set[asyncio.Task[Any]] = set()  # asyncio itself holds tasks weakly
        self._lanes: Lanes | None = None
        self._going_on: set[str] = set()  # connections whose request was decided about in a lane

    def load(self, loader: Loader) -> None:
        loader.add_option("pixeltwin_config", str, "", "pixeltwin's config file, for instance config/minimal.yaml.")
        loader.add_option(
            "pixeltwin_relay",
            str,
            "native",
            "Who brings the browser's copy to Meta, for pixels whose config does not say: native (mitmproxy forwards "
            "it), background (answered here, relayed from the outbox), browser or none (answered here).",
            choices=RELAYS,
        )
        loader.add_option(
            "pixeltwin_lane",
            str,
            "auto",
            "How hits are read in reverse mode: fast (no flows), flows (quick, and every hit is a flow), native "
            "(mitmproxy's own HTTP layer); auto: native where mitmproxy forwards hits itself, flows where somebody "
            "looks at them or saves them, else fast.",
            choices=("auto", *LANES),
        )
        contentviews.add(MetaPixel())
        log_into_host()

    def configure(self, updated: set[str]) -> None:
        if not updated & {"pixeltwin_config", "pixeltwin_relay", "pixeltwin_lane"}:
            return
        _check("pixeltwin_relay", RELAYS)
        _check("pixeltwin_lane", ("auto", *LANES))
        self._config = _load(ctx.options.pixeltwin_config)
        if self._doors is not None:  # changed while running
            self._close()
            self._open(self._config)

    def running(self) -> asyncio.Task[Any] | None:
        if self._config is None:
            return None  # configure said why
        return self._open(self._config)

    def done(self) -> asyncio.Task[Any] | None:
        return self._close()

    def next_layer(self, nextlayer: layer.NextLayer) -> None:
        if self._lanes is not None:
            self._lanes.next_layer(nextlayer)

    async def request(self, flow: http.HTTPFlow) -> None:
        if flow.client_conn.id in self._going_on:  # decided about in its lane
            self._going_on.discard(flow.client_conn.id)
            return
        try:
            if self._doors is not None and flows.is_fresh(flow):
                await self._take(flow, await asyncio.shield(self._doors))
        except Exception:
            logger.exception("pixeltwin let a hit pass without a twin")
            HITS.labels("other", State.SKIPPED, Reason.INTERNAL_ERROR).inc()

    def response(self, flow: http.HTTPFlow) -> None:
        """Meta's cookies are for its own domain, a browser refuses them from the site's; ours take their place."""
        if flow.response and (cookies := self._cookies.pop(flow.id, None)) is not None:
            flow.response.headers.pop("set-cookie", None)
            flows.set_cookies(flow.response, cookies)

    def error(self, flow: http.HTTPFlow) -> None:
        self._cookies.pop(flow.id, None)

    async def _take(self, flow: http.HTTPFlow, doors: Doors) -> None:
        if self._is_hit(flow):
            await self._mirror(flow, doors.gateway)
        elif flows.is_reverse(flow) and (answer := await doors.answer(flows.hit_request(flow, host=""))):
            flows.set_answer(flow, answer)

    async def _mirror(self, flow: http.HTTPFlow, gateway: Gateway) -> None:
        reverse = flows.is_reverse(flow)
        host = flows.host_header(flow) if reverse and ctx.options.keep_host_header else ""
        handled = await gateway.handle(flows.hit_request(flow, host=host, first_party=reverse))
        self._notes.add(flow, handled)
        if reverse:
            flows.keep_from_upstream(flow)
            self._cookies[flow.id] = handled.admission.cookies
        self._forward_or_answer(flow, handled)

    def _forward_or_answer(self, flow: http.HTTPFlow, handled: Handled) -> None:
        """Hits of pixels that nobody configured go on as they came: here mitmproxy is the browser's way to Meta.

        What consent or a rule withholds, or holds, is answered here.
        """
        relay = handled.admission.relay
        if _goes_on(handled):
            return
        if relay is not None and handled.relay == "native":
            flows.set_request(flow, relay)
        else:
            flows.set_answer(flow, answer_hit(handled.admission.hit))

    def _is_hit(self, flow: http.HTTPFlow) -> bool:
        """In reverse mode the path decides, since the host is the upstream's; as an explicit proxy the host too."""
        assert self._config is not None  # noqa: S101 a gateway was opened from it
        if not flows.is_hit_on(flow, self._hit_paths):
            return False
        return flows.is_reverse(flow) or flow.request.pretty_host.lower() in _hit_hosts(self._config)

    @property
    def is_draining(self) -> bool:
        return False  # connections go on to whoever answers them next

    def takes(self, method: str, path: str) -> bool:
        doors = self._doors
        is_open = doors is not None and doors.done() and not self._closed
        return is_open and (path in self._hit_paths or doors.result().takes(path))

    def goes_on(self, client: Client) -> None:
        self._going_on.add(client.id)

    async def answer(self, request: HitRequest) -> Answer | None:
        """The answer to a request in a lane, as `request` answers a flow that mitmproxy does not forward."""
        try:
            return await self._answer(request)
        except Exception:
            logger.exception("pixeltwin let a hit pass without a twin")
            HITS.labels("other", State.SKIPPED, Reason.INTERNAL_ERROR).inc()
            return None

    async def _answer(self, request: HitRequest) -> Answer | None:
        assert self._doors is not None  # noqa: S101 nothing is taken before
        doors = self._doors.result()
        if not ctx.options.keep_host_header:  # mitmproxy's own layer would have overwritten it
            request = replace(request, host="")
        if request.path not in self._hit_paths or request.method not in flows.METHODS:
            return await doors.answer(request)
        handled = await doors.gateway.handle(request)
        if _goes_on(handled):
            return None
        return answer_hit(handled.admission.hit, handled.admission.cookies)

    def _open(self, config: Config) -> asyncio.Task[Doors]:
        self._doors = self._spawn(_opened(config, ctx.options.pixeltwin_relay))
        self._follower = self._spawn(self._notes.follow(self._doors))
        return self._doors

    def _close(self) -> asyncio.Task[Any] | None:
        if self._doors is None or self._follower is None:
            return None
        return self._spawn(_closed(self._doors, self._follower))

    def _spawn[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _goes_on(handled: Handled) -> bool:
    """Whether the hit goes to Meta as it came: it is of a pixel that nobody configured."""
    return handled.admission.relay is None and not handled.admission.withheld


def _check(option: str, choices: Sequence[str]) -> None:
    """mitmproxy does not hold --set to an option's choices."""
    if (found := getattr(ctx.options, option)) not in choices:
        raise _refused(f"{option} is {found!r}; one of {', '.join(choices)} would work")


def _load(path: str) -> Config:
    if not path:
        raise _refused("pixeltwin_config is not set; try --set pixeltwin_config=config/minimal.yaml")
    try:
        return load_config(Path(path))
    except ConfigError as error:
        raise _refused(f"pixeltwin_config:\n{error}") from error


def _refused(text: str) -> exceptions.OptionsError:
    return exceptions.OptionsError(text)


async def _opened(config: Config, relay: Relay) -> Doors:
    gateway = Gateway(config, relay=relay)
    await gateway.open()
    logger.info("pixeltwin mirrors the hits of %s", ", ".join(pixel.name for pixel in config.pixels))
    return Doors(gateway)


async def _closed(opening: asyncio.Task[Doors], follower: asyncio.Task[None]) -> None:
    try:
        await (await opening).gateway.close()
    finally:
        follower.cancel()


def _hit_hosts(config: Config) -> frozenset[str]:
    """Where hits go that pass an explicit proxy: to Meta's own host, or to ours."""
    return config.hosts | {META_HOST, urlsplit(config.meta.pixel).hostname or ""}
