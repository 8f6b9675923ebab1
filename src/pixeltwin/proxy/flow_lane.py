"""The hit lane with flows: each request is an `HTTPFlow`, so that mitmproxy's viewers, savers and other addons see it.

The same addon answers it that answers the flows of mitmproxy's own HTTP layer, in its `request` hook.
"""

import time

from mitmproxy import addonmanager, ctx, http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, layer
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpRequestHook, HttpResponseHook

from pixeltwin.proxy import flows
from pixeltwin.proxy.conversation import Step
from pixeltwin.proxy.hit_lane import Answering, HitLane
from pixeltwin.proxy.wire import Head


class FlowLane(HitLane):
    """One connection's lane."""

    def _answer(self, head: Head, body: bytes) -> Answering:
        flow = flows.new_flow(self.context, head, body)
        yield from _heard(HttpRequestHeadersHook(flow))
        yield from _heard(HttpRequestHook(flow))
        if flow.response is None:
            self._front.goes_on(self.context.client)
            return Step(b"", None, is_foreign=True, closes=False)
        flow.response.timestamp_start = flow.response.timestamp_end = time.time()
        yield from _heard(HttpResponseHook(flow))
        flow.live = False
        if close := self._conversation.closes_next:
            flow.response.headers["connection"] = "close"
        return self._conversation.finished(_assembled(flow.response, is_bodiless=head.method == "HEAD"), close=close)


def _heard(hook: commands.StartHook) -> layer.CommandGenerator[None]:
    """The hook, if an addon waits for it; each would cost a task of its own. `update` follows every hook of a flow."""
    addons = addonmanager.traverse(ctx.master.addons.chain)
    if any(hasattr(addon, hook.name) or hasattr(addon, "update") for addon in addons):
        yield hook


def _assembled(response: http.Response, *, is_bodiless: bool) -> bytes:
    assemble = http1.assemble_response_head if is_bodiless else http1.assemble_response
    data: bytes = assemble(response)  # type: ignore[no-untyped-call]
    return data
