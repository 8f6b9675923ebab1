"""Flows are made without mitmproxy's look at the types of their fields: here they are looked at."""

from mitmproxy import http
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow
from tests.factories import hit_query

from pixeltwin.pixel.answer import IMAGE, Answer
from pixeltwin.pixel.cookies import SetCookie
from pixeltwin.proxy import flows
from pixeltwin.proxy.wire import RequestReader

COOKIE = SetCookie(name="_fbp", value="fb.1.1795461138686.39550", domain="shop.example")


def made() -> http.HTTPFlow:
    reader = RequestReader(max_head=10_000, max_body=1000)
    fields = "Host: px.shop.example\r\nCookie: _fbp=1\r\nContent-Length: 4"
    reader.receive(f"POST /tr/?{hit_query()} HTTP/1.1\r\n{fields}\r\n\r\nbody".encode())
    head, body = reader.head(), reader.body()
    assert head
    assert body
    return flows.new_flow(Context(tflow.tclient_conn(), Options()), head, body)


def test_a_flow_that_is_made_is_one_that_mitmproxy_would_make():
    flow = made()
    for answer in (IMAGE, Answer(204, "text/plain"), Answer(299, "text/plain", b"x", (COOKIE,))):
        flows.set_answer(flow, answer)
        assert flow.response
        assert vars(http.RequestData(**vars(flow.request.data))) == vars(flow.request.data)
        assert vars(http.ResponseData(**vars(flow.response.data))) == vars(flow.response.data)


def test_a_flow_that_is_made_can_be_saved_loaded_and_copied():
    flow = made()
    flows.set_answer(flow, IMAGE)
    loaded = http.HTTPFlow.from_state(flow.get_state())
    assert loaded.get_state() == flow.get_state()
    assert flow.request.copy().get_state() == flow.request.get_state()
    assert flow.response
    assert flow.response.copy().get_state() == flow.response.get_state()
