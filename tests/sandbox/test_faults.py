"""Faults on order hit the next requests to Graph, and only those."""

import time
from collections.abc import AsyncIterator

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from pixeltwin.sandbox.server import serving
from tests.sandbox.factories import EVENTS, PIXEL, TOKEN, fresh


@pytest.fixture
async def served() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a sandbox Meta behind a real socket: a reset is no reset without one."""
    async with serving(create_app(Sandbox()), port=0) as base, httpx.AsyncClient(base_url=base) as client:
        yield client


async def send(meta: httpx.AsyncClient, event_id: str = "lead-1") -> httpx.Response:
    return await meta.post(EVENTS, json={"data": [fresh(event_id=event_id)]}, headers=TOKEN)


async def counts(meta: httpx.AsyncClient) -> dict[str, int]:
    found: dict[str, int] = (await meta.get("/sandbox/events")).json()["counts"]
    return found


@pytest.mark.parametrize(
    ("fault", "status", "code", "subcode", "transient"),
    [
        ("rate_limit", 400, 80004, None, False),
        ("server_error", 500, 2, None, True),
        ("expired_token", 401, 190, 463, False),
    ],
)
async def test_a_bad_answer_replaces_the_real_one(
    served: httpx.AsyncClient, fault: str, status: int, code: int, subcode: int | None, transient: bool
) -> None:
    await served.post("/sandbox/faults", json={"fault": fault})
    answer = await send(served)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error.get("error_subcode")) == (status, code, subcode)
    assert error["is_transient"] is transient
    assert (await counts(served))["events"] == 0


async def test_a_rate_limit_says_in_minutes_when_to_come_back(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "rate_limit", "seconds": 61})
    usage = (await send(served)).headers["x-business-use-case-usage"]
    assert f'"{PIXEL}"' in usage
    assert '"estimated_time_to_regain_access": 2' in usage


async def test_a_fault_lasts_as_often_as_asked_for(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "server_error", "times": 2})
    assert [(await send(served)).status_code for _ in range(3)] == [500, 500, 200]
    assert (await counts(served))["faults"] == 2


async def test_faults_come_in_the_order_asked_for(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "server_error"})
    await served.post("/sandbox/faults", json={"fault": "expired_token"})
    assert [(await send(served)).status_code for _ in range(3)] == [500, 401, 200]


async def test_a_slow_answer_takes_its_time_and_is_real(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "slow", "seconds": 0.3})
    started = time.monotonic()
    answer = await send(served)
    assert answer.json()["events_received"] == 1
    assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(("fault", "events"), [("reset_before_accept", 0), ("reset_after_accept", 1)])
async def test_a_reset_breaks_the_connection_before_or_after_the_events_are_taken(
    served: httpx.AsyncClient, fault: str, events: int
) -> None:
    await served.post("/sandbox/faults", json={"fault": fault})
    with pytest.raises(httpx.ReadError):
        await send(served)
    assert (await counts(served))["server_only"] == events


async def test_after_a_reset_a_retry_is_seen_as_a_duplicate(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "reset_after_accept"})
    with pytest.raises(httpx.ReadError):
        await send(served)
    assert (await send(served)).status_code == 200
    found = await counts(served)
    assert (found["events"], found["server_duplicates"]) == (1, 1)


async def test_hits_and_scripts_meet_no_fault(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "server_error"})
    assert (await served.get("/tr/", params={"id": PIXEL, "ev": "Lead"})).status_code == 200
    assert (await served.get(f"/signals/config/{PIXEL}")).status_code == 200
    assert (await send(served)).status_code == 500


async def test_cleared_faults_do_not_come(served: httpx.AsyncClient) -> None:
    await served.post("/sandbox/faults", json={"fault": "server_error", "times": 5})
    assert (await served.delete("/sandbox/faults")).status_code == 204
    assert (await send(served)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"fault": "meteor"}',
        b'{"fault": "slow", "times": 0}',
        b'{"fault": "slow", "times": true}',
        b'{"fault": "slow", "seconds": -1}',
        b'{"fault": ["slow"]}',
    ],
)
async def test_a_fault_that_makes_no_sense_is_refused(meta: httpx.AsyncClient, body: bytes) -> None:
    answer = await meta.post("/sandbox/faults", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
