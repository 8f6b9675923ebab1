"""The addon for `mitmdump`, `mitmproxy` and `mitmweb`: mirrors the pixel hits that pass through.

mitmproxy forwards the browser's copy itself (`relay: native`), with the event id in it. Whatever goes wrong in here,
the hit goes on and the fault is counted.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from mitmproxy import contentviews, ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client
from mitmproxy.proxy import layer

from pixeltwin.config import Config, load_config
from pixeltwin.delivery.journal import State
from pixeltwin.errors import ConfigError
from pixeltwin.gateway import Doors, Gateway, Handled, Relay
from pixeltwin.pixel.answer import answer_hit
from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.pixel.skip import Reason
from pixeltwin.proxy import flows
from pixeltwin.proxy.content_view import MetaPixel
from pixeltwin.proxy.lane_front import LaneFront, goes_on, is_hit_path
from pixeltwin.proxy.lanes import LANES, Lane, Lanes
from pixeltwin.proxy.notes import FlowNotes
from pixeltwin.telemetry import HITS, log_into_host

RELAYS: Final[tuple[Relay, ...]] = ("native", "background", "browser", "none")
META_HOST: Final = "www.facebook.com"
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
        self._front = LaneFront()
        self._lane: Lane = "native"
        self._lanes: Lanes | None = None

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
        config = _load(ctx.options.pixeltwin_config)
        before, lane_before, lane = self._config, self._lane, _lane(config)  # a refused one changes nothing
        self._config, self._lane = config, lane
        if before is None or self._doors is None:
            return
        is_same = _is_same_outbox(config, before) and lane == lane_before
        if updated == {"pixeltwin_config"} and is_same:
            self._spawn(_applied(self._doors, self._config))
        else:
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
        if self._front.has_decided(flow):
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

    def client_disconnected(self, client: Client) -> None:
        self._front.forget(client)

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
        if goes_on(handled):
            return
        if relay is not None and handled.relay == "native":
            flows.set_request(flow, relay)
        else:
            flows.set_answer(flow, answer_hit(handled.admission.hit))

    def _is_hit(self, flow: http.HTTPFlow) -> bool:
        """In reverse mode the path decides, since the host is the upstream's; as an explicit proxy the host too."""
        assert self._config is not None  # noqa: S101 a gateway was opened from it
        is_hit = is_hit_path(flows.path_of(flow), self._config.server.paths.hits)
        if not is_hit or flow.request.method not in flows.METHODS:
            return False
        return flows.is_reverse(flow) or flow.request.pretty_host.lower() in _hit_hosts(self._config)

    def _open(self, config: Config) -> asyncio.Task[Doors]:
        self._doors = opening = self._spawn(_opened(config, ctx.options.pixeltwin_relay))
        self._follower = self._spawn(self._notes.follow(self._doors))
        if self._lane != "native":
            self._lanes = Lanes(self._front, self._lane)
            self._lanes.running()
            opening.add_done_callback(self._take_lanes)
        return self._doors

    def _take_lanes(self, opening: asyncio.Task[Doors]) -> None:
        if opening is self._doors and not opening.cancelled() and not opening.exception():
            self._front.doors = opening.result()

    def _close(self) -> asyncio.Task[Any] | None:
        if self._doors is None or self._follower is None:
            return None
        self._front.doors = None
        if self._lanes:
            self._lanes.done()
            self._lanes = None
        return self._spawn(_closed(self._doors, self._follower))

    def _spawn[T](self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _lane(config: Config) -> Lane:
    """The lane that was asked for; by itself the one in which nothing is missed that somebody looks for.

    Lanes of ours forward nothing, so what mitmproxy is to forward has to come its own way.
    """
    options = ctx.options
    forwarded = [pixel.name for pixel in config.pixels if (pixel.relay or options.pixeltwin_relay) == "native"]
    if forwarded and options.pixeltwin_lane not in ("auto", "native"):
        raise _refused(
            f"pixeltwin_lane is {options.pixeltwin_lane!r}, and mitmproxy is to forward the hits of {forwarded[0]} "
            "(relay: native), which its own lane alone does; auto or native would work, or another pixeltwin_relay"
        )
    if forwarded:
        return "native"
    if options.pixeltwin_lane != "auto":
        return cast("Lane", options.pixeltwin_lane)
    is_shown = ctx.master.addons.get("view") or (ctx.master.addons.get("dumper") and options.flow_detail)
    return "flows" if is_shown or options.save_stream_file or options.hardump else "fast"


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


def _is_same_outbox(config: Config, before: Config) -> bool:
    same = config.outbox == before.outbox and config.delivery == before.delivery
    return same and config.base == before.base


async def _applied(opening: asyncio.Task[Doors], config: Config) -> None:
    try:
        await (await opening).gateway.apply(config)
    except OSError as error:
        logger.error("pixeltwin_config was not applied, the one before counts: %s", error)


async def _closed(opening: asyncio.Task[Doors], follower: asyncio.Task[None]) -> None:
    try:
        await (await opening).gateway.close()
    finally:
        follower.cancel()


def _hit_hosts(config: Config) -> frozenset[str]:
    """Where hits go that pass an explicit proxy: to Meta's own host, or to ours."""
    return config.hosts | {META_HOST, urlsplit(config.meta.pixel).hostname or ""}
