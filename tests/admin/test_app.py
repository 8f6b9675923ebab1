"""The admin API: what it tells, and what it refuses."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from pixeltwin.admin.app import create_app
from pixeltwin.delivery.journal import State
from pixeltwin.delivery.outbox import Depth
from pixeltwin.telemetry import HITS
from tests.admin.factories import PIXEL, View


@pytest.fixture
async def admin(view: View) -> AsyncIterator[httpx.AsyncClient]:
    async with client(view) as admin:
        yield admin


def client(view: View, *hosts: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(view, hosts=hosts))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8090")


def ids(response: httpx.Response) -> list[str]:
    return [event["id"] for event in response.json()["events"]]


async def test_events_come_newest_first_without_hit_and_twin(admin: httpx.AsyncClient, view: View) -> None:
    view.note("a-1")
    view.note("a-2", state=State.SKIPPED, detail="bot", twin=None)
    response = await admin.get("/api/events")
    assert ids(response) == ["a-2", "a-1"]
    assert response.json()["events"][1] == {
        "id": "a-1",
        "received_at": 1795461800.0,
        "pixel_id": PIXEL,
        "pixel_name": "shop",
        "event_name": "Purchase",
        "event_id": "order-1001",
        "source_url": "https://www.shop.example/thanks?o=1",
        "state": "queued",
        "detail": "",
        "relay": "background",
        "rules": ["purchases"],
        "consent": "granted (eu)",
        "origins": {"user_data.fn": "customers"},
        "notes": ["value_without_currency", "personal_data_removed"],
    }


async def test_held_events_can_be_asked_for(admin: httpx.AsyncClient, view: View) -> None:
    view.note("a-1", state=State.HELD, consent="unknown (eu)")
    view.note("a-2")
    assert ids(await admin.get("/api/events?state=held")) == ["a-1"]


async def test_events_are_chosen_before_they_are_counted(admin: httpx.AsyncClient, view: View) -> None:
    view.note("a-1", event_name="Lead")
    view.note("a-2", event_name="Lead", state=State.REFUSED)
    view.note("a-3")
    assert ids(await admin.get("/api/events?limit=1")) == ["a-3"]
    assert ids(await admin.get("/api/events?limit=1&event=Lead")) == ["a-2"]
    assert ids(await admin.get("/api/events?event=Lead&state=queued")) == ["a-1"]
    assert ids(await admin.get("/api/events?event=Lead&state=")) == ["a-2", "a-1"]


@pytest.mark.parametrize("query", ["limit=many", "limit=-1", "limit=1001", "limit=²", "limit=", "state=lost"])
async def test_question_without_sense_is_a_bad_request(admin: httpx.AsyncClient, query: str) -> None:
    response = await admin.get(f"/api/events?{query}")
    assert response.status_code == 400
    assert response.json()["error"].startswith(query.split("=")[0])


async def test_event_shows_hit_and_twin(admin: httpx.AsyncClient, view: View) -> None:
    record = view.note("a-1")
    event = (await admin.get("/api/events/a-1")).json()
    assert event["hit"][1] == ["ev", "Purchase"]
    assert event["twin"] == json.loads(json.dumps(record.twin))
    assert event["pixel_name"] == "shop"
    assert event["notes"] == list(record.notes)


async def test_unknown_event_is_not_found(admin: httpx.AsyncClient) -> None:
    response = await admin.get("/api/events/a-1")
    assert (response.status_code, list(response.json())) == (404, ["error"])


async def test_access_token_is_masked_wherever_it_hides(admin: httpx.AsyncClient, view: View) -> None:
    twin = {"access_token": "EAAB", "custom_data": {"deep": [{"access_token": "EAAB"}]}}
    view.note("a-1", twin=twin, hit=(("access_token", "EAAB"),))
    assert "EAAB" not in (await admin.get("/api/events/a-1")).text


async def test_text_that_is_no_unicode_is_still_shown(admin: httpx.AsyncClient, view: View) -> None:
    view.note("a-1", event_name="\ud800")
    assert (await admin.get("/api/events/a-1")).json()["event_name"] == "\ud800"


async def test_outbox_tells_its_depth_by_destination(admin: httpx.AsyncClient, view: View) -> None:
    view.depths = {"conversions_api": Depth(ready=2, leased=1, dead=3, oldest_at=4.5)}
    depth = {"ready": 2, "leased": 1, "held": 0, "dead": 3, "oldest_at": 4.5}
    assert (await admin.get("/api/outbox")).json() == {"conversions_api": depth}


async def test_ready_until_there_is_a_reason_not_to_be(admin: httpx.AsyncClient, view: View) -> None:
    ready = await admin.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "config": view.config_digest})
    view.not_ready = "the outbox is not open"
    not_ready = await admin.get("/readyz")
    assert not_ready.status_code == 503
    assert not_ready.json()["reason"] == "the outbox is not open"
    assert (await admin.get("/livez")).text == "ok"


async def test_metrics_are_what_prometheus_reads(admin: httpx.AsyncClient) -> None:
    HITS.labels("shop", "queued", "")
    response = await admin.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'pixeltwin_hits_total{outcome="queued",pixel="shop",reason=""}' in response.text


async def test_metrics_are_told_while_the_outbox_cannot_be_asked(admin: httpx.AsyncClient, view: View, monkeypatch):
    async def away() -> None:
        raise OSError("no database")

    monkeypatch.setattr(view, "stats", away)
    assert "pixeltwin_hits_total" in (await admin.get("/metrics")).text


PATHS = ["/", "/page.css", "/page.js", "/detail.js", "/api/events", "/api/outbox", "/livez", "/nothing"]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8090", "127.0.0.1", "127.0.0.1:1", "[::1]:8090"])
async def test_loopback_names_are_answered(admin: httpx.AsyncClient, host: str) -> None:
    assert (await admin.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8090", "localhost@evil", "[::1", "10.0.0.1", ""],
)
async def test_foreign_names_are_misdirected(admin: httpx.AsyncClient, host: str, path: str) -> None:
    assert (await admin.get(path, headers={"Host": host})).status_code == 421


async def test_the_listened_name_is_answered(view: View) -> None:
    async with client(view, "admin.shop.example") as admin:
        assert (await admin.get("/livez", headers={"Host": "admin.shop.example:8090"})).status_code == 200
        assert (await admin.get("/livez", headers={"Host": "10.0.0.1"})).status_code == 421


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
async def test_listening_everywhere_answers_to_addresses_but_not_to_names(view: View, everywhere: str) -> None:
    async with client(view, everywhere) as admin:
        assert (await admin.get("/livez", headers={"Host": "10.0.0.1:8090"})).status_code == 200
        assert (await admin.get("/livez", headers={"Host": "[2001:db8::1]:8090"})).status_code == 200
        assert (await admin.get("/livez", headers={"Host": "evil.example"})).status_code == 421


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_written(admin: httpx.AsyncClient, method: str) -> None:
    response = await admin.request(method, "/api/events")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [*PATHS, "/api/stream"])
async def test_head_ends(admin: httpx.AsyncClient, path: str) -> None:
    assert (await admin.head(path)).status_code == (404 if path == "/nothing" else 200)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["localhost", "evil.example"])
async def test_every_answer_is_locked_down(admin: httpx.AsyncClient, path: str, host: str) -> None:
    headers = (await admin.get(path, headers={"Host": host})).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
    assert policy.endswith("frame-ancestors 'none'; require-trusted-types-for 'script'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers
