"""Between mitmproxy's flows and pixeltwin's own types."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from mitmproxy import http
from mitmproxy.proxy import mode_specs

from pixeltwin.pixel.answer import Answer
from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.pixel.request import HitRequest
from pixeltwin.proxy.wire import joined_headers, the_host

METHODS: Final = ("GET", "POST")
PRIVATE: Final = frozenset({"cookie", "authorization", "forwarded", "via"})  # PROTOCOL 4.4


def is_reverse(flow: http.HTTPFlow) -> bool:
    return isinstance(flow.client_conn.proxy_mode, mode_specs.ReverseMode)


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
    headers = {"Content-Type": answer.content_type, **answer.headers, **({"Connection": "close"} if close else {})}
    flow.response = http.Response.make(answer.status, answer.body, headers)
    if answer.status == HTTPStatus.NO_CONTENT:
        del flow.response.headers["content-length"]  # RFC 9110 8.6
    set_cookies(flow.response, answer.cookies)


def host_header(flow: http.HTTPFlow) -> str:
    """The host that the browser asked for, lower-cased, without port; empty when there is not exactly one."""
    named = flow.request.headers.get_all("host")
    if flow.request.is_http2 or flow.request.is_http3:
        named = [flow.request.authority]
    return the_host(named)
