"""Between mitmproxy's flows and pixeltwin's own types."""

import time
from collections.abc import Iterable
from typing import Final

from mitmproxy import http
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.context import Context

from pixeltwin.pixel.answer import Answer
from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import REASONS, Head, answer_fields, joined_headers, the_host

METHODS: Final = ("GET", "POST")
PRIVATE: Final = frozenset({"cookie", "authorization", "forwarded", "via"})  # PROTOCOL 4.4


class RequestData(http.RequestData):
    """What is made of bytes that were parsed, and so of the right types."""

    def __post_init__(self) -> None:
        """Do not look at the type of each field again, which costs as much as parsing them."""


class ResponseData(http.ResponseData):
    """As `RequestData`."""

    def __post_init__(self) -> None:
        """As there."""


def is_reverse(flow: http.HTTPFlow) -> bool:
    return isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)


def new_flow(context: Context, head: Head, body: bytes) -> http.HTTPFlow:
    """The flow of a request that was just read from the context's client."""
    client, server, now = context.client, context.server, time.time()
    host, port, *_ = server.address or ("", 0)
    flow = http.HTTPFlow(client, server, live=True)
    flow.request = http.Request.__new__(http.Request)
    flow.request.data = RequestData(
        host=host,
        port=port,
        method=head.method.encode(),
        scheme=b"https" if client.tls else b"http",
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


def is_fresh(flow: http.HTTPFlow) -> bool:
    """Whether a browser is asking right now. Hooks also fire for loaded and replayed flows: those sent their events."""
    return flow.live is True and flow.is_replay is None and flow.response is None and flow.error is None


def path_of(flow: http.HTTPFlow) -> str:
    """The request's path, without its query."""
    return flow.request.path.partition("?")[0]


def hit_request(flow: http.HTTPFlow, *, host: str, first_party: bool = True) -> HitRequest:
    """The flow's request. The body is taken raw: mitmproxy's accessors would unpack a small bomb into 300 MB."""
    path, _, query = flow.request.data.path.partition(b"?")
    peer = flow.client_conn.peername
    return HitRequest(
        method=flow.request.method,
        host=host,
        path=path.decode("latin-1"),
        query=query,
        headers=joined_headers(flow.request.headers.fields),
        body=flow.request.raw_content or b"",
        peer=peer[0] if peer else "",
        received_at=flow.request.timestamp_start,
        first_party=first_party,
    )


def set_request(flow: http.HTTPFlow, stamped: HitRequest) -> None:
    """Write the browser's copy into the flow, the body's length included, and without a User-Agent that it lacks."""
    target = stamped.path.encode("latin-1") + (b"?" + stamped.query if stamped.query else b"")
    if target != flow.request.data.path:
        flow.request.data.path = target
    if stamped.body != (flow.request.raw_content or b""):
        flow.request.content = stamped.body
    if not stamped.header("user-agent"):
        flow.request.headers.pop("user-agent", None)


def keep_from_upstream(flow: http.HTTPFlow) -> None:
    """Take out what is none of Meta's business: the site's cookies and logins, and what our proxies wrote."""
    for name in list(flow.request.headers):
        if name.lower() in PRIVATE or name.lower().startswith("x-forwarded-"):
            del flow.request.headers[name]


def set_cookies(response: http.Response, cookies: Iterable[SetCookie]) -> None:
    for cookie in cookies:
        response.headers.add("Set-Cookie", cookie.header())


def set_answer(flow: http.HTTPFlow, answer: Answer, *, close: bool = False) -> None:
    """Answer the flow here; mitmproxy asks no upstream."""
    fields = answer_fields(answer, close=close)
    now = time.time()
    flow.response = http.Response.__new__(http.Response)
    flow.response.data = ResponseData(
        http_version=b"HTTP/1.1",
        headers=http.Headers([(name.encode(), value.encode("utf-8", "replace")) for name, value in fields]),
        content=answer.body,
        trailers=None,
        timestamp_start=now,
        timestamp_end=now,
        status_code=answer.status,
        reason=REASONS.get(answer.status, "").encode(),
    )


def host_header(flow: http.HTTPFlow) -> str:
    """The host that the browser asked for, lower-cased, without port; empty when there is not exactly one."""
    named = flow.request.headers.get_all("host")
    if flow.request.is_http2 or flow.request.is_http3:
        named = [flow.request.authority]
    return the_host(named)
