"""The sandbox answers like Graph, like `/tr` and like Meta's script host (PROTOCOL 1.1, 1.2, 1.11, 3.1, 3.2, 3.11)."""

import json
from typing import Any

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from tests.sandbox.factories import EVENTS, NOW, PIXEL, TOKEN, event, purchase, user_data


async def report(meta: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await meta.get("/sandbox/events")).json()
    return answer


def multipart(**fields: str) -> dict[str, tuple[None, str]]:
    return {name: (None, value) for name, value in fields.items()}


DATA = json.dumps([event(), purchase(event_id="order-1")])
STRINGS = json.dumps([json.dumps(event()), json.dumps(purchase(event_id="order-1"))])

ENCODINGS: dict[str, dict[str, Any]] = {
    "json": {"json": {"data": json.loads(DATA), "access_token": "t", "test_event_code": "TEST1"}},
    "json strings": {"json": {"data": json.loads(STRINGS), "access_token": "t", "test_event_code": "TEST1"}},
    "urlencoded": {"data": {"data": DATA, "access_token": "t", "test_event_code": "TEST1"}},
    "urlencoded strings": {"data": {"data": STRINGS, "access_token": "t", "test_event_code": "TEST1"}},
    "multipart": {"files": multipart(data=DATA, access_token="t", test_event_code="TEST1")},
    "multipart strings": {"files": multipart(data=STRINGS, access_token="t", test_event_code="TEST1")},
}


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_documented_encoding_is_taken(meta: httpx.AsyncClient, encoding: str) -> None:
    answer = await meta.post(EVENTS, **ENCODINGS[encoding])
    assert answer.status_code == 200
    assert answer.json()["events_received"] == 2
    servers = [entry["server"] for entry in (await report(meta))["events"]]
    assert [server["event"] for server in servers] == json.loads(DATA)
    assert {server["test_event_code"] for server in servers} == {"TEST1"}


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": TOKEN, "json": {"data": [event()]}},
        {"params": {"access_token": "t"}, "json": {"data": [event()]}},
        {"json": {"data": [event()], "access_token": "t"}},
    ],
    ids=["header", "query", "body"],
)
async def test_the_token_stands_in_header_body_or_query(meta: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    answer = await meta.post(EVENTS, **request_)
    assert answer.json().keys() == {"events_received", "messages", "fbtrace_id"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic dDo="}])
async def test_no_token_is_code_190_with_401(meta: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await meta.post(EVENTS, json={"data": [event()], "access_token": ""}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, 190)


@pytest.mark.parametrize(
    ("pixel_id", "token", "status", "code", "subcode"),
    [
        ("111", "right", 200, None, None),
        ("111", "wrong", 401, 190, None),
        ("222", "right", 400, 100, 33),
    ],
)
async def test_given_tokens_only_they_open_only_their_pixels(
    pixel_id: str, token: str, status: int, code: int | None, subcode: int | None
) -> None:
    app = create_app(Sandbox(tokens={"111": "right"}, clock=lambda: NOW))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://meta.test") as meta:
        answer = await meta.post(
            f"/v26.0/{pixel_id}/events",
            json={"data": [event()]},
            headers={"Authorization": f"Bearer {token}"},
        )
    error = answer.json().get("error", {})
    assert (answer.status_code, error.get("code"), error.get("error_subcode")) == (status, code, subcode)


async def test_a_pixel_id_is_a_number(meta: httpx.AsyncClient) -> None:
    answer = await meta.post("/v26.0/my-pixel/events", json={"data": [event()]}, headers=TOKEN)
    assert (answer.status_code, answer.json()["error"]["error_subcode"]) == (400, 33)


@pytest.mark.parametrize("version", ["v21.0", "v24.0", "v25.0", "v26.0"])
async def test_living_versions_are_taken(meta: httpx.AsyncClient, version: str) -> None:
    answer = await meta.post(f"/{version}/{PIXEL}/events", json={"data": [event()]}, headers=TOKEN)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        f"/v20.0/{PIXEL}/events",
        f"/v27.0/{PIXEL}/events",
        f"/v26.1/{PIXEL}/events",
        f"/{PIXEL}/events",
        f"/v26.0/{PIXEL}/event",
        "/",
    ],
)
async def test_dead_versions_and_unknown_paths_are_refused_as_graph_does(meta: httpx.AsyncClient, path: str) -> None:
    answer = await meta.post(path, json={"data": [event()]}, headers=TOKEN)
    assert answer.status_code == 400
    assert answer.json()["error"].keys() >= {"message", "type", "code", "fbtrace_id"}


async def test_the_events_edge_cannot_be_read(meta: httpx.AsyncClient) -> None:
    answer = await meta.get(EVENTS, headers=TOKEN)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "GraphMethodException")


async def test_a_refusal_has_graphs_shape(meta: httpx.AsyncClient) -> None:
    answer = await meta.post(EVENTS, json={"data": [event(), event(event_time=1)]}, headers=TOKEN)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert {key: error[key] for key in ("message", "type", "code", "error_subcode", "is_transient")} == {
        "message": "Invalid parameter",
        "type": "OAuthException",
        "code": 100,
        "error_subcode": 2804003,
        "is_transient": False,
    }
    assert error["error_user_title"] == "Event Timestamp Too Old"
    assert error["error_data"] == {"blame_field_specs": [["data", "1", "event_time"]]}
    assert error.keys() >= {"error_user_msg", "fbtrace_id"}


@pytest.mark.parametrize(
    "request_",
    [
        {"json": {}},
        {"json": {"data": []}},
        {"json": {"data": {"0": event()}}},
        {"json": {"data": "["}},
        {"json": {"data": ["not json"]}},
        {"json": [event()]},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": DATA, "headers": {"Content-Type": "text/plain"}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        {"json": {"data": [event(custom_data={"deep": json.loads("[" * 300 + "]" * 300)})]}},
        {"json": {"data": [event()], "partner_agent": "an-agent-with-too-long-a-name"}},
    ],
    ids=lambda request: str(request)[:40],
)
async def test_what_is_no_batch_is_code_100(meta: httpx.AsyncClient, request_: dict[str, Any]) -> None:
    answer = await meta.post(EVENTS, params={"access_token": "t"}, **request_)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, 100)
    assert (await report(meta))["events"] == []


async def test_a_refused_batch_counts_nothing_and_is_shown_whole(meta: httpx.AsyncClient) -> None:
    batch = [event(), purchase(custom_data=None)]
    await meta.post(EVENTS, json={"data": batch}, headers=TOKEN)
    shown = await report(meta)
    assert shown["events"] == []
    (refused,) = shown["refused"]
    assert (refused["pixel_id"], refused["code"], refused["subcode"]) == (PIXEL, 100, 2804009)
    assert refused["events"] == batch
    assert shown["counts"]["refused"] == 1


async def test_remarks_are_answered_and_kept_with_their_event(meta: httpx.AsyncClient) -> None:
    private = event(event_id="private", user_data=user_data(client_ip_address="10.0.0.1"))
    answer = await meta.post(EVENTS, json={"data": [event(), private]}, headers=TOKEN)
    (remark,) = answer.json()["messages"]
    assert remark.startswith("data[1].user_data.client_ip_address ")
    kept = [entry["server"]["messages"] for entry in (await report(meta))["events"]]
    assert kept == [[], [remark]]


# The pixel's endpoint

HIT = {"id": PIXEL, "ev": "Lead", "eid": "lead-1", "rl": "", "cd[value]": "1"}


@pytest.mark.parametrize("path", ["/tr", "/tr/"])
@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "params": HIT},
        {"method": "POST", "data": HIT},
        {"method": "POST", "files": multipart(**HIT)},
    ],
    ids=["query", "urlencoded", "multipart"],
)
async def test_a_hit_is_taken_in_every_transport(meta: httpx.AsyncClient, path: str, request_: dict[str, Any]) -> None:
    answer = await meta.request(url=path, **request_)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["cache-control"] == "no-store"
    (entry,) = (await report(meta))["events"]
    assert (entry["event_name"], entry["event_id"], entry["verdict"]) == ("Lead", "lead-1", "browser_only")
    assert entry["browser"]["params"] == [list(pair) for pair in HIT.items()]


async def test_a_noscript_hit_gets_a_picture(meta: httpx.AsyncClient) -> None:
    answer = await meta.get("/tr", params={"id": PIXEL, "ev": "PageView", "noscript": "1"})
    assert answer.headers["content-type"] == "image/gif"
    assert answer.content.startswith(b"GIF89a\x01\x00\x01\x00")


async def test_the_headers_and_cookies_of_a_hit_are_shown(meta: httpx.AsyncClient) -> None:
    headers = {"User-Agent": "Mozilla/5.0", "Cookie": "_fbp=1; session=2", "Authorization": "Bearer s"}
    await meta.get("/tr/", params=HIT, headers=headers)
    (entry,) = (await report(meta))["events"]
    assert entry["browser"]["cookies"] == ["_fbp", "session"]
    assert entry["browser"]["headers"]["user-agent"] == "Mozilla/5.0"
    assert entry["browser"]["headers"]["authorization"] == "***"


async def test_a_browser_without_fr_cookie_is_given_one(meta: httpx.AsyncClient) -> None:
    answer = await meta.get("/tr/", params=HIT)
    assert answer.headers["set-cookie"].startswith("fr=")
    again = await meta.get("/tr/", params=HIT, headers={"Cookie": "fr=1"})
    assert "set-cookie" not in again.headers


async def test_the_last_of_several_ids_counts(meta: httpx.AsyncClient) -> None:
    await meta.get(f"/tr/?id={PIXEL}&ev=Lead&eid=first&eid=last")
    assert (await report(meta))["events"][0]["event_id"] == "last"


@pytest.mark.parametrize(
    "request_",
    [
        {"params": {"ev": "Lead"}},
        {"params": {"id": PIXEL}},
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
    ],
    ids=["no id", "no ev", "broken"],
)
async def test_a_hit_that_says_nothing_is_answered_and_counted(
    meta: httpx.AsyncClient, request_: dict[str, Any]
) -> None:
    assert (await meta.post("/tr/", **request_)).status_code == 200
    counts = (await report(meta))["counts"]
    assert (counts["unusable_hits"], counts["events"]) == (1, 0)


async def test_both_copies_of_an_event_are_one_entry(meta: httpx.AsyncClient) -> None:
    await meta.get("/tr/", params=HIT)
    await meta.post(EVENTS, json={"data": [event()]}, headers=TOKEN)
    shown = await report(meta)
    (entry,) = shown["events"]
    assert (entry["verdict"], entry["by"], entry["kept"]) == ("deduplicated", "event_id", "browser")
    assert entry["browser"]["received_at"] == entry["server"]["received_at"] == "2026-11-23T19:23:20.000Z"
    assert shown["counts"]["deduplicated"] == 1


async def test_a_person_is_recognised_through_appendices(meta: httpx.AsyncClient) -> None:
    browser_id = "fb.1.1596403881668.1116446470"
    await meta.get("/tr/", params={"id": PIXEL, "ev": "Lead", "fbp": browser_id})
    given = user_data(fbp=f"{browser_id}.AQYCAQMA")
    await meta.post(EVENTS, json={"data": [event(event_id=None, user_data=given)]}, headers=TOKEN)
    (entry,) = (await report(meta))["events"]
    assert (entry["verdict"], entry["by"]) == ("deduplicated", "fbp")


async def test_forgotten_events_are_gone(meta: httpx.AsyncClient) -> None:
    await meta.get("/tr/", params=HIT)
    assert (await meta.delete("/sandbox/events")).status_code == 204
    shown = await report(meta)
    assert (shown["events"], shown["refused"], set(shown["counts"].values())) == ([], [], {0})


# The pixel's files


@pytest.mark.parametrize(
    "path", ["/en_US/fbevents.js", f"/signals/config/{PIXEL}?v=1&r=stable", "/signals/plugins/cookie.js?v=1"]
)
async def test_the_pixels_files_are_scripts_that_may_be_cached(meta: httpx.AsyncClient, path: str) -> None:
    answer = await meta.get(path)
    assert answer.status_code == 200
    assert "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "public, max-age=1200"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_config_unlocks_the_pixel_it_is_for(meta: httpx.AsyncClient) -> None:
    assert f'instance.configLoaded("{PIXEL}")' in (await meta.get(f"/signals/config/{PIXEL}")).text


async def test_a_config_quotes_nothing_but_digits(meta: httpx.AsyncClient) -> None:
    answer = await meta.get('/signals/config/1");alert("1')
    assert (answer.status_code, answer.text) == (404, "")
