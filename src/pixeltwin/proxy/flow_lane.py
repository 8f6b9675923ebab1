"""The hit lane with flows: each request is an `HTTPFlow`, so that mitmproxy's viewers, savers and other addons see it.

The same addon answers it that answers the flows of mitmproxy's own HTTP layer, in its `request` hook.
"""

import time

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import layer
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook, HttpRequestHook, HttpResponseHook

from pixeltwin.proxy.hit_lane import HitLane
from pixeltwin.proxy.wire import Head


class FlowLane(HitLane):
    """One connection's lane."""

    def _serve(self, head: Head, body: bytes) -> layer.CommandGenerator[None]:
        flow = self._flow(head, body)
        yield HttpRequestHeadersHook(flow)
        yield HttpRequestHook(flow)
        if flow.response is None:
            self._front.goes_on(self.context.client)
            yield from self._hand_back()
            return
        flow.response.timestamp_start = flow.response.timestamp_end = time.time()
        yield HttpResponseHook(flow)
        flow.live = False
        close = self._front.is_draining or not head.keep_alive
        if close:
            flow.response.headers["connection"] = "close"
        yield from self._finish(_assembled(flow.response, is_bodiless=head.method == "HEAD"), close=close)

    def _flow(self, head: Head, body: bytes) -> http.HTTPFlow:
        server, now = self.context.server, time.time()
        address = server.address or ("", 0)
        flow = http.HTTPFlow(self.context.client, server, live=True)
        flow.request = http.Request(
            host=address[0],
            port=address[1],
            method=head.method.encode(),
            scheme=b"https" if self.context.client.tls else b"http",
            authority=b"",
            path=head.target,
            http_version=b"HTTP/1.1",
            headers=http.Headers(head.fields),
            content=body,
            trailers=None,
            timestamp_start=now,
            timestamp_end=now,
        )
        return flow


def _assembled(response: http.Response, *, is_bodiless: bool) -> bytes:
    assemble = http1.assemble_response_head if is_bodiless else http1.assemble_response
    data: bytes = assemble(response)  # type: ignore[no-untyped-call]
    return data
