"""Twins to Meta, against the sandbox on a real port."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from tests.factories import PIXEL, UA

from pixeltwin.delivery.destination import Rejected, Taken, TryAgain
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.faults import Fault
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import serving

TOKEN = "a-secret-token"


@pytest.fixture
def meta(tmp_path: Path) -> Sandbox:
    return Sandbox(tokens={PIXEL: TOKEN}, journal=tmp_path / "journal")


@pytest.fixture
async def url(meta: Sandbox) -> AsyncIterator[str]:
    async with serving(create_app(meta), port=0) as base:
        yield base


@pytest.fixture
async def api(url: str) -> AsyncIterator[ConversionsApi]:
    api = ConversionsApi(url, "v26.0", {PIXEL: lambda: TOKEN})
    yield api
    await api.close()


def event(meta: Sandbox, **changes: object) -> bytes:
    return orjson.dumps(
        {
            "event_name": "Lead",
            "event_time": int(meta.clock()),
            "event_id": "e-1",
            "action_source": "website",
            "event_source_url": "https://www.shop.example/",
            "user_data": {"client_user_agent": UA, "fbp": "fb.1.1795461138686.39550"},
            **changes,
        }
    )


async def test_a_batch_is_taken_and_carries_the_test_event_code(meta, api):
    verdict = await api.send(PIXEL, [event(meta), event(meta, event_id="e-2")], test_event_code="TEST123")
    assert isinstance(verdict, Taken)
    entries = meta.report()["events"]
    assert [entry["event_id"] for entry in entries] == ["e-1", "e-2"]
    assert entries[0]["server"]["test_event_code"] == "TEST123"


async def test_the_token_is_in_a_header_and_in_no_url(meta, api, tmp_path):
    await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    line = orjson.loads((tmp_path / "journal").read_bytes().splitlines()[0])
    assert TOKEN not in line["path"] + line["query"] + line["body"]
    assert "authorization" in {name.lower() for name in line["headers"]}


async def test_one_bad_event_rejects_the_batch_with_meta_s_code(meta, api):
    verdict = await api.send(PIXEL, [event(meta), event(meta, event_time=1)], test_event_code="TEST123")
    assert isinstance(verdict, Rejected)
    assert "100/2804003" in verdict.reason


async def test_a_wrong_token_is_a_reason_to_wait_not_to_drop(meta, url):
    api = ConversionsApi(url, "v26.0", {PIXEL: lambda: "expired"})
    verdict = await api.send(PIXEL, [event(meta)], test_event_code="TEST123")
    await api.close()
    assert isinstance(verdict, TryAgain)
    assert "190" in verdict.reason


@pytest.mark.parametrize("fault", ["server_error", "rate_limit", "reset_before_accept", "reset_after_accept"])
async def test_what_may_pass_is_tried_again(meta, api, fault):
    meta.faults.add(Fault(fault, 0), 1)
    assert isinstance(await api.send(PIXEL, [event(meta)], test_event_code="TEST123"), TryAgain)
    assert isinstance(await api.send(PIXEL, [event(meta)], test_event_code="TEST123"), Taken)


async def test_nobody_listening_is_a_reason_to_wait():
    api = ConversionsApi("http://127.0.0.1:9", "v26.0", {PIXEL: lambda: TOKEN})
    verdict = await api.send(PIXEL, [b"{}"], test_event_code="TEST123")
    await api.close()
    assert isinstance(verdict, TryAgain)
