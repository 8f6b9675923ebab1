"""What mitmproxy shows of a hit that pixeltwin decided about."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import contentviews, http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import taddons, tflow
from ruamel.yaml import YAML
from tests.factories import PIXEL, UA, hit_query

from pixeltwin.config import Config
from pixeltwin.delivery.journal import State
from pixeltwin.gateway import Doors, Gateway
from pixeltwin.proxy.content_view import MetaPixel
from pixeltwin.proxy.flows import hit_request
from pixeltwin.proxy.notes import FlowNotes

CONFIG = f"""
meta: {{ graph: "http://127.0.0.1:9", pixel: "http://127.0.0.1:9" }}
pixels: [{{ id: "{PIXEL}", access_token: "${{T}}" }}]
rules:
  - {{ name: no-contacts, match: {{ event: Contact }}, then: {{ drop: both }} }}
  - {{ name: margin, match: {{ event: Lead }}, then: {{ custom_data: {{ json: {{ value: 3 }} }} }} }}
consent:
  eu: {{ read: [{{ cookie: ads, granted: [yes], denied: [no] }}], unknown: hold 1h }}
outbox: {{ kind: memory }}
identity: {{ remember: null }}
"""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    gateway = Gateway(Config.from_text(CONFIG, base=tmp_path, env={"T": "t"}), relay="native")
    await gateway.open()
    yield gateway
    await gateway.close()


def flow_of(event: str, cookie: str = "ads=yes", **parameters: str) -> http.HTTPFlow:
    query = hit_query(event, fbp="fb.1.1795461138686.39550", **parameters)
    headers = {"cookie": cookie, "user-agent": UA}
    flow = tflow.tflow()
    flow.request = http.Request.make("GET", f"http://px.shop.example/tr/?{query}", headers=headers)
    return flow


async def noted(gateway: Gateway, notes: FlowNotes, flow: http.HTTPFlow) -> str:
    """Decide about the flow's hit; answers the record's id."""
    handled = await gateway.handle(hit_request(flow, host="px.shop.example"))
    notes.add(flow, handled)
    return handled.record_id


def shown(flow: http.HTTPFlow) -> dict[str, Any]:
    metadata = contentviews.Metadata(flow=flow, http_message=flow.request)
    found: dict[str, Any] = YAML(typ="safe").load(MetaPixel().prettify(b"", metadata))
    return found


@pytest.mark.parametrize(
    ("event", "cookie", "outcome"),
    [
        ("Contact", "ads=yes", ["no twin: dropped_by_rule: no-contacts", "granted (eu)", ["no-contacts"], "withheld"]),
        ("Lead", "ads=no", ["no twin: consent_denied: eu", "denied (eu)", ["margin"], "withheld"]),
        ("Lead", "", ["twin held", "unknown (eu)", ["margin"], "held"]),
        ("Lead", "ads=yes", ["twin queued", "granted (eu)", ["margin"], "native"]),
    ],
)
async def test_outcome_says_what_was_decided_and_by_whom(gateway, event, cookie, outcome):
    flow = flow_of(event, cookie)
    await noted(gateway, FlowNotes(), flow)
    expected = dict(zip(("state", "consent", "rules", "browser's copy"), outcome, strict=True))
    assert shown(flow)["outcome"] == expected


async def test_twin_is_shown_where_there_is_one(gateway):
    one, other = flow_of("Lead", "", eid="a"), flow_of("Contact")
    for flow in (one, other):
        await noted(gateway, FlowNotes(), flow)
    assert shown(one)["twin"]["custom_data"] == {"value": 3}
    assert "twin" not in shown(other)


async def test_flow_without_notes_says_that_it_was_not_mirrored():
    assert shown(flow_of("Lead"))["twin"] == "none: this flow was not mirrored here"


async def test_outcome_follows_the_twin(gateway):
    async def doors() -> Doors:
        return Doors(gateway)

    notes, flow = FlowNotes(), flow_of("Lead", "")
    with taddons.context():
        following = asyncio.create_task(notes.follow(asyncio.create_task(doors())))
        await asyncio.sleep(0)  # until it listens
        record_id = await noted(gateway, notes, flow)
        twin = {"event_name": "Lead", "custom_data": {"customer_type": "new"}}
        gateway.journal.update(
            record_id, state=State.DELIVERED, detail="Meta took it", rules=("margin", "late"), twin=twin
        )
        for _ in range(100):
            if "delivered" in flow.comment:
                break
            await asyncio.sleep(0.01)
        following.cancel()
    assert shown(flow)["outcome"]["state"] == "twin delivered: Meta took it"
    assert shown(flow)["outcome"]["rules"] == ["margin", "late"]
    assert shown(flow)["outcome"]["browser's copy"] == "held"
    assert shown(flow)["twin"] == twin


async def test_notes_are_kept_with_a_recorded_flow(gateway):
    flow = flow_of("Lead", "")
    await noted(gateway, FlowNotes(), flow)
    FlowWriter(file := io.BytesIO()).add(flow)
    file.seek(0)
    [read] = FlowReader(file).stream()
    assert isinstance(read, http.HTTPFlow)
    assert shown(read)["outcome"] == shown(flow)["outcome"]


async def test_hostile_hit_cannot_write_an_outcome_of_its_own(gateway):
    event = "Lead\noutcome: {state: twin delivered}"
    flow = flow_of(event, "ads=no", cd_x="\x1b[2J\noutcome: 1")
    await noted(gateway, FlowNotes(), flow)
    assert shown(flow)["event"]["ev"] == event
    assert shown(flow)["outcome"]["state"] == "no twin: consent_denied: eu"


async def test_matching_data_in_plain_text_is_not_shown(gateway):
    flow = flow_of("Lead", **{"ud[em]": "canary.person@example.com", "udff[fn]": "Canarina"})
    await noted(gateway, FlowNotes(), flow)
    assert "canar" not in str(shown(flow)).lower()
