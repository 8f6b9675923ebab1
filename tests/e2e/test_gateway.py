"""`pixeltwin run`: real processes, a sandbox Meta, real sockets."""

import signal
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from tests.corpus import HEADERS, NAMED, VISITOR, send, unpaired
from tests.factories import PIXEL, hit_query
from tests.processes import BIN, TOKEN, UID_KEY, Gateway, Meta, free_port, gateway, sandbox, started, until
from tests.shared_hits import shared_hits

GIF = b"GIF89a"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, one_meta: Meta) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), one_meta.url) as started:
        yield started


def now_query(ev: str = "PageView", **parameters: str) -> str:
    return hit_query(ev, ts=str(time.time_ns() // 1_000_000), **parameters)


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=HEADERS | headers, trust_env=False)


def raw(url: str, request: bytes) -> bytes:
    """What a raw socket is answered, up to the end of the connection or a second of silence."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port), timeout=1) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def metric(running: Gateway, name: str, **labels: str) -> float:
    text = get(f"{running.admin}/metrics").text
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    lines = [line for line in text.splitlines() if line.startswith(name) and all(label in line for label in wanted)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_every_shared_hit_ends_as_a_twin_or_a_named_skip(running, meta):
    lines = shared_hits()
    hits = [line for line in lines if line.path.rstrip("/") in ("/tr", "/events")]
    counted = metric(running, "pixeltwin_hits_total")
    codes = send(lines, running.url)
    assert [code for line, code in zip(lines, codes, strict=True) if line in hits] == [200] * len(hits)
    ended = ("delivered", "skipped", "dropped", "duplicate")
    records = until(lambda: (found := running.records()) and all(r["state"] in ended for r in found) and found)
    assert records, [r for r in running.records() if r["state"] not in ended]
    assert {r["detail"] for r in records if r["state"] in ("skipped", "dropped")} <= NAMED
    twins = {
        (r["pixel_id"], r["event_name"], r["event_id"])
        for r in records
        if r["state"] == "delivered" and r["relay"] == "background"
    }
    assert len(twins) > 50
    assert unpaired(twins, meta) == set()
    assert meta.report()["refused"] == []
    assert metric(running, "pixeltwin_hits_total") - counted == len(lines)


def test_the_twin_says_where_the_visitor_came_from_and_the_relayed_copy_carries_no_cookie(running, meta):
    get(f"{running.url}/tr/?{now_query()}")
    pair = until(meta.pairs)[0]
    assert pair["server"]["event"]["user_data"]["client_ip_address"] == VISITOR
    assert pair["server"]["event"]["user_data"]["fbp"] == "fb.1.1795000000000.77"
    sent = pair["browser"]["headers"]
    assert pair["browser"]["cookies"] == []
    assert {name for name in sent if name not in ("host", "accept", "accept-encoding", "connection")} == {
        "user-agent",
        "referer",
    }


def test_a_browser_without_fbp_is_given_one_for_the_whole_site(running):
    answer = httpx.get(f"{running.url}/tr/?{now_query()}", headers={"host": "px.shop.example"}, trust_env=False)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("_fbp=fb.1.")
    assert cookie.endswith("; Max-Age=7776000; Path=/; Domain=shop.example; Secure; SameSite=Lax")


def bridge_post(event_id: str) -> dict:
    return {
        "event_name": "Purchase",
        "event_id": event_id,
        "fb.pixel_id": PIXEL,
        "fb.advanced_matching": {"external_id": "user-42"},
        "website_context": {"location": "https://www.shop.example/thanks", "referrer": ""},
        "conversion_value": {"value": 9.5, "currency": "EUR"},
        "fb.fbp": "fb.1.1795461138686.39550",
    }


def test_an_openbridge_post_and_its_hit_give_one_twin(running, meta):
    origin = {"origin": "https://www.shop.example", "content-type": "text/plain;charset=UTF-8"}
    post = httpx.post(f"{running.url}/events?cee=no", json=bridge_post("ob-1"), headers=origin, trust_env=False)
    assert (post.status_code, post.headers["access-control-allow-origin"]) == (200, origin["origin"])
    assert post.headers["access-control-allow-credentials"] == "true"
    get(f"{running.url}/tr/?{now_query('Purchase', eid='ob-1', cd_value='9.5', cd_currency='EUR')}")
    assert until(meta.pairs)
    known = next(event for event in meta.servers() if event["event_id"] == "ob-1")["user_data"]
    # the documentation's hash of user-42 (PROTOCOL 1.5): sent raw, hashed here as the pixel hashes it
    assert known["external_id"] == ["6d894aa3ee802549d7f340e7c1cf0d1c1cb14cd84f768d92ffaa6785337c4997"]
    assert meta.report()["counts"]["server_duplicates"] == 0


def test_a_preflight_is_answered(running):
    headers = {"origin": "https://www.shop.example", "access-control-request-method": "POST"}
    answer = httpx.options(f"{running.url}/events", headers=headers, trust_env=False)
    assert (answer.status_code, answer.headers["access-control-allow-methods"]) == (204, "POST, OPTIONS")


def server_event(**changes: object) -> dict:
    return {
        "event_name": "Purchase",
        "event_time": int(time.time()),
        "event_id": "renewal-7",
        "action_source": "system_generated",
        "user_data": {"em": ["John_Smith@gmail.com"]},
        "custom_data": {"value": 9.5, "currency": "EUR"},
    } | changes


def test_server_events_are_hashed_kept_and_delivered(tmp_path, meta):
    with gateway(tmp_path, meta.url, pixel=', ingest_keys: ["${UID_KEY}"]') as running:
        url = f"{running.url}/capi/{PIXEL}/events"
        body = {"accessKey": UID_KEY, "data": [server_event(), server_event(event_id="b", event_time=None)]}
        taken = httpx.post(url, json=body, trust_env=False)
        refused = [httpx.post(url, json=body | {"accessKey": key}, trust_env=False) for key in ("wrong", "")]
        assert (taken.status_code, taken.json()["events_received"]) == (202, 1)
        assert taken.json()["refused"] == [{"index": 1, "reason": "missing", "field": "event_time"}]
        assert [answer.status_code for answer in refused] == [401, 401]
        assert until(meta.servers)
        assert b"john_smith" not in b"".join(path.read_bytes().lower() for path in tmp_path.rglob("*db*"))
    # the documentation's hash of john_smith@gmail.com (PROTOCOL 1.5)
    assert meta.servers()[0]["user_data"]["em"] == ["62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"]


def test_without_relay_only_the_twin_reaches_meta(tmp_path, meta):
    with gateway(tmp_path, meta.url, pixel=", relay: none") as running:
        get(f"{running.url}/tr/?{now_query()}")
        assert until(lambda: meta.report()["counts"]["server_only"])
    assert meta.report()["counts"]["events"] == 1


def test_a_script_hit_is_answered_empty_and_an_image_hit_with_an_image(running):
    script, image = get(f"{running.url}/tr/?{now_query()}"), get(f"{running.url}/tr?{now_query(noscript='1')}")
    assert (script.status_code, script.content, script.headers["content-type"]) == (200, b"", "text/plain")
    assert (image.status_code, image.content[:6], image.headers["content-type"]) == (200, GIF, "image/gif")
    assert script.headers["cache-control"] == image.headers["cache-control"] == "no-store"
    assert "server" not in script.headers


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/tr/", "px.shop.example", 200),
        ("/tr/", "PX.shop.example:8080", 200),
        ("/tr/", "evil.example", 421),
        ("/", "evil.example", 421),
        ("/", "px.shop.example", 404),
        ("/tr/../admin", "px.shop.example", 404),
        ("/sandbox/events", "px.shop.example", 404),
    ],
)
def test_another_host_is_misdirected_and_another_path_not_found(running, path, host, status):
    answer = raw(
        running.url, f"GET {path}?{now_query()} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert int(answer.split(b" ")[1]) == status


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET http://169.254.169.254/tr/?id=1 HTTP/1.1\r\nHost: px.shop.example\r\n\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: px.shop.example\r\n\r\n",
        b"GET /tr/ HTTP/1.1\r\nHost: px.shop.example\r\nHost: evil.example\r\n\r\n",
        b"GET /tr/ HTTP/1.1\r\n\r\n",
        b"POST /tr/ HTTP/1.1\r\nHost: px.shop.example\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0",
        b"DELETE /tr/ HTTP/1.1\r\nHost: px.shop.example\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x00" * 100,
    ],
    ids=["absolute form", "CONNECT", "two hosts", "no host", "smuggling", "DELETE", "TLS", "NUL"],
)
def test_a_hostile_request_goes_nowhere_and_breaks_nothing(running, hostile):
    assert not raw(running.url, hostile).startswith(b"HTTP/1.1 200")
    assert get(f"{running.url}/tr/?{now_query()}").status_code == 200


@pytest.mark.parametrize(
    ("content", "content_type", "reason"),
    [
        (b"ev=PageView", "application/x-www-form-urlencoded", "no_pixel_id"),
        (b"id=12ab&ev=PageView", "application/x-www-form-urlencoded", "bad_pixel_id"),
        (b"id=1&ev=a&x=" + b"x" * 300_000, "application/x-www-form-urlencoded", "body_too_large"),
        (b"--b\r\nbroken", "multipart/form-data; boundary=b", "broken_multipart"),
        (b"id=1&ev=a" + b"&p=1" * 10_000, "application/x-www-form-urlencoded", "too_many_parameters"),
        (b"{}", "application/json", "unknown_body_type"),
        (f"id={PIXEL}&ev=%FF%FE&dl=https://a.example/".encode(), "application/x-www-form-urlencoded", ""),
    ],
)
def test_a_broken_hit_is_answered_like_any_other_and_counted(running, content, content_type, reason):
    answer = httpx.post(f"{running.url}/tr/", content=content, headers={"content-type": content_type}, trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")
    assert metric(running, "pixeltwin_hits_total", reason=reason) >= 1
    get(f"{running.url}/tr/?{now_query(eid='later-one')}")
    assert until(lambda: any(r["event_id"] == "later-one" and r["state"] == "delivered" for r in running.records()))


def test_only_pages_of_allowed_origins_are_mirrored(tmp_path, meta):
    with gateway(tmp_path, meta.url, server=', allowed_origins: ["https://*.shop.example"]') as running:
        for origin in ("https://www.shop.example", "https://evil.example", "https://shop.example.evil.example"):
            assert get(f"{running.url}/tr/?{now_query()}", origin=origin).status_code == 200
        assert until(lambda: len(meta.pairs()) == 1)
        assert metric(running, "pixeltwin_hits_total", reason="foreign_origin") == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_begun_and_exits_0_within_10_seconds(tmp_path, meta, number):
    with gateway(tmp_path, meta.url) as running:
        for n in range(20):
            get(f"{running.url}/tr/?{now_query(eid=f'stop-{n}')}")
        began = time.monotonic()
        assert running.process.stop(number) == 0, running.process.output()
        assert time.monotonic() - began < 10
    assert len(meta.pairs()) == 20, running.process.output()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert TOKEN.encode() not in written, "the access token stands in a log or in the outbox"


def test_answered_hits_survive_kill_9(tmp_path):
    """Meta is away, the gateway is killed, both come back: every answered hit is delivered, once."""
    port = free_port()
    with gateway(tmp_path, f"http://127.0.0.1:{port}") as running:
        for n in range(50):
            assert get(f"{running.url}/tr/?{now_query('Lead', eid=f'kill-{n}')}").status_code == 200
        running.process.stop(signal.SIGKILL)
    with sandbox(tmp_path) as meta, gateway(tmp_path, meta.url):
        assert until(lambda: len(meta.pairs()) == 50), meta.report()["counts"]
        counts = meta.report()["counts"]
    assert (counts["server_duplicates"], counts["events"]) == (0, 50)


def test_the_gateway_refuses_a_bad_config_by_name(tmp_path):
    config = tmp_path / "bad.yaml"
    config.write_text('pixels:\n  - id: "1234567890123456"\n    acces_token: x\n')
    with started(BIN / "pixeltwin", "run", "-c", config, log=tmp_path / "log") as process:
        assert process.popen.wait(20) == 1
        for expected in ("bad.yaml:3:5", "acces_token", "access_token"):
            assert expected in process.output()
