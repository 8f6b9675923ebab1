"""A copy that is withheld or held is answered by the proxy, which asks no upstream for it."""

import pytest
from mitmproxy.test import tflow

from pixeltwin.gateway import Gateway
from pixeltwin.mirror import Admission
from pixeltwin.proxy.addon import PixelMirror
from tests.factories import PIXEL, hit_query, request

from .factories import FBP, SHOP, Line

EU = "consent: { eu: { read: [{ cookie: ads, granted: [yes], denied: [no] }], unknown: hold 30m } }\n"
CONFIG = (
    f"{SHOP}{EU}outbox: {{ kind: memory }}\nrules: [{{ name: x, match: {{ event: Contact }}, then: {{ drop: both }} }}]"
)
YES = {"cookie": "ads=yes"}


async def answered(query: str, headers: dict[str, str], relay: str = "native") -> tuple[bool, Admission]:
    """Whether the proxy answers the hit itself; else it goes on to Meta."""
    gateway = Gateway(Line(CONFIG).config, relay=relay)  # not opened: nothing is kept, and nothing hangs on that
    handled = await gateway.handle(request(query, headers=headers))
    flow = tflow.tflow()
    flow.request.path = f"/tr/?{query}"
    PixelMirror()._forward_or_answer(flow, handled)
    return flow.response is not None, handled.admission


@pytest.mark.parametrize(
    ("query", "headers", "relay", "is_answered"),
    [
        (hit_query(fbp=FBP), YES, "native", False),
        (hit_query(fbp=FBP), YES, "background", True),
        (hit_query(fbp=FBP), {"cookie": "ads=no"}, "native", True),
        (hit_query(fbp=FBP), {}, "native", True),
        (hit_query(), {}, "native", True),
        (hit_query("Contact", fbp=FBP), YES, "native", True),
        (hit_query("SubscribedButtonClick", fbp=FBP), {"cookie": "ads=no"}, "native", True),
        (hit_query(id="9999999999999999"), {"cookie": "ads=no"}, "native", False),
        ("x=1", {}, "native", False),
    ],
    ids=[
        "granted",
        "relayed from the outbox",
        "denied",
        "held",
        "unknown browser",
        "dropped by a rule",
        "denied, and never mirrored",
        "of somebody else's pixel",
        "no hit",
    ],
)
async def test_what_is_withheld_is_answered_and_not_forwarded(query, headers, relay, is_answered):
    assert (await answered(query, headers, relay))[0] is is_answered


async def test_a_forwarded_copy_is_the_decided_one():
    gateway = Gateway(Line(CONFIG).config, relay="native")
    handled = await gateway.handle(request(hit_query(), headers=YES))
    flow = tflow.tflow()
    PixelMirror()._forward_or_answer(flow, handled)
    assert handled.admission.draft.event["event_id"] in flow.request.path
    assert PIXEL in flow.request.path
