"""Policy in real processes: consent, customers, remembered identity, and a person whom nobody may find."""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import httpx
import pytest
from tests.factories import PIXEL, UA, hit_query
from tests.processes import UID_KEY, Gateway, Meta, free_port, gateway, until

FBP = "fb.1.1795461138686.4711"
EMAIL, PHONE, NAME = "canary.person@example.org", "+4915112345678", "Canarienne"
# as Meta documents it: trim, lower-case; digits with the country code; lower-case
EM, PH, FN = (hashlib.sha256(text.encode()).hexdigest() for text in (EMAIL, "4915112345678", NAME.lower()))


def hit(running: Gateway, ev: str = "PageView", *, cookies: str = "", fbp: str = FBP, **parameters: str) -> int:
    """A hit from one visitor's browser."""
    query = hit_query(ev, ts=str(time.time_ns() // 1_000_000), fbp=fbp, **parameters)
    headers = {"user-agent": UA, "x-forwarded-for": "203.0.113.9", "cookie": cookies}
    return httpx.get(f"{running.url}/tr/?{query}", headers=headers, trust_env=False).status_code


def twin(meta: Meta, event_id: str) -> dict | None:
    """The server event of that id, once Meta has it."""
    return until(lambda: next((event for event in meta.servers() if event["event_id"] == event_id), None))


def browsers(meta: Meta) -> set[str]:
    """The ids of the browser's copies that Meta has."""
    return {entry["event_id"] for entry in meta.report()["events"] if entry["browser"]}


def metric(running: Gateway, name: str, **labels: str) -> float:
    lines = httpx.get(f"{running.admin}/metrics", trust_env=False).text.splitlines()
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = [line for line in lines if line.startswith(name) and all(label in line for label in wanted)]
    return sum(float(line.rpartition(" ")[2]) for line in found)


@contextmanager
def crm(answer: dict | bytes, seconds: float = 0.0) -> Iterator[str]:
    """A JSON service that knows one customer, as `http` sources ask it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/customers/{{key}}"
    finally:
        server.shutdown()
        server.server_close()


CONSENT = """
consent: { everyone: { read: [{ cookie: ads, granted: [yes], denied: [no] }], unknown: hold 10m } }
"""


def test_held_hits_go_out_with_the_visitor_s_grant(tmp_path, meta):
    with gateway(tmp_path, meta.url, more=CONSENT) as running:
        assert hit(running, "ViewContent", eid="before") == 200
        assert until(lambda: [record["state"] for record in running.records()]) == ["held"]
        time.sleep(1)
        assert meta.report()["counts"]["events"] == 0
        hit(running, "ViewContent", eid="after", cookies="ads=yes")
        assert twin(meta, "before")
        assert twin(meta, "after")
        assert until(lambda: browsers(meta) >= {"before", "after"})
        assert (
            metric(running, "pixeltwin_consent_items_total", effect="released") == 2
        )  # the twin and the browser's copy


def test_a_refusal_purges_what_was_held_and_nothing_reaches_meta(tmp_path, meta):
    with gateway(tmp_path, meta.url, more=CONSENT) as running:
        hit(running, "ViewContent", eid="held")
        hit(running, "ViewContent", eid="refused", cookies="ads=no")
        hit(running, "ViewContent", eid="granted-again", cookies="ads=yes")
        assert twin(meta, "granted-again")
        assert metric(running, "pixeltwin_consent_items_total", effect="purged") == 2
        assert {record["state"] for record in running.records() if record["event_id"] == "held"} == {"dropped"}
        assert {event["event_id"] for event in meta.servers()} | browsers(meta) == {"granted-again"}


def test_another_browser_s_grant_releases_nothing_of_mine(tmp_path, meta):
    with gateway(tmp_path, meta.url, more=CONSENT) as running:
        hit(running, "ViewContent", eid="mine")
        hit(running, "ViewContent", eid="theirs", cookies="ads=yes", fbp="fb.1.1795461138686.4712")
        assert twin(meta, "theirs")
        time.sleep(1)
        assert {event["event_id"] for event in meta.servers()} == {"theirs"}


def test_what_a_browser_told_once_enriches_its_later_hits_also_after_a_restart(tmp_path, meta):
    more = "identity: { remember: 90d, store: { kind: sqlite, path: identities.db } }"
    with gateway(tmp_path, meta.url, more=more) as running:
        hit(running, "Lead", eid="told", **{"ud[em]": EM})
        assert twin(meta, "told")
        running.process.stop()
    with gateway(tmp_path, meta.url, more=more) as running:
        hit(running, eid="later")
        hit(running, eid="stranger", fbp="fb.1.1795461138686.4712")
        later, stranger = twin(meta, "later"), twin(meta, "stranger")
    assert later
    assert stranger
    assert later["user_data"]["em"] == [EM]
    assert "em" not in stranger["user_data"]


def test_a_customer_who_is_put_over_the_api_is_joined_and_forgotten(tmp_path, meta):
    more = """
elements: { customer: { cookie: uid, trust: unsafe } }
sources:
  customers: { kind: embedded, path: customers.db, key: customer, profile: [orders], custom_data: { plan: plan } }
rules: [{ name: loyal, when: "profile.orders > 2.0", then: { custom_data: { json: { customer_type: loyal } } } }]
"""
    with gateway(tmp_path, meta.url, pixel=", enrich: [customers]", more=more) as running:
        customer = {"key": "c-1", "em": EMAIL, "profile": {"orders": 3}, "custom_data": {"plan": "gold"}}
        api, login = f"{running.admin}/api/customers", {"authorization": f"Bearer {UID_KEY}"}
        assert httpx.put(api, json=customer, trust_env=False).status_code == 401
        assert httpx.put(api, json=customer, headers=login, trust_env=False).status_code == 204
        hit(running, "Lead", eid="joined", cookies="uid=c-1")
        joined = twin(meta, "joined")
        assert httpx.delete(f"{api}/c-1", headers=login, trust_env=False).status_code == 204
        hit(running, "Lead", eid="forgotten", cookies="uid=c-1")
        forgotten = twin(meta, "forgotten")
    assert joined
    assert joined["user_data"]["em"] == [EM]
    assert joined["custom_data"] == {"plan": "gold", "customer_type": "loyal"}
    assert forgotten
    assert "em" not in forgotten["user_data"]


SOURCE = """
elements: {{ customer: {{ cookie: uid, trust: unsafe }} }}
enrich: {{ wait: 2s }}
sources: {{ crm: {{ key: customer, timeout: 500ms, cache: null, {source} }} }}
"""


@pytest.mark.parametrize("answer", [b"<html>no JSON</html>", b'{"em": "' + b"x" * 10_000_000 + b'"}', b"[1, 2"])
def test_a_source_that_returns_garbage_costs_a_twin_its_wait_and_nothing_else(tmp_path, meta, answer):
    with (
        crm(answer) as url,
        gateway(
            tmp_path, meta.url, pixel=", enrich: [crm]", more=SOURCE.format(source=f'kind: http, url: "{url}"')
        ) as running,
    ):
        began = time.monotonic()
        hit(running, eid="patient", cookies="uid=c-1")
        assert twin(meta, "patient")
        assert time.monotonic() - began < 10
        assert metric(running, "pixeltwin_enrich_total", source="crm", result="error") >= 1


@pytest.mark.parametrize("source", ["slow", "down"])
def test_twins_go_on_time_without_a_source_that_does_not_answer(tmp_path, meta, source):
    with crm({"em": EMAIL}, seconds=5) as slow:
        url = slow if source == "slow" else f"http://127.0.0.1:{free_port()}/{{key}}"
        options = SOURCE.format(source=f'kind: http, url: "{url}"')
        with gateway(tmp_path, meta.url, pixel=", enrich: [crm]", more=options) as running:
            began = time.monotonic()
            hit(running, eid="anonymous")
            assert twin(meta, "anonymous")
            assert time.monotonic() - began < 2  # who has no key waits for nobody
            hit(running, eid="known", cookies="uid=c-1")
            known = twin(meta, "known")
            assert known
            assert "em" not in known["user_data"]
            assert metric(running, "pixeltwin_enrich_total", source="crm", result="error") >= 1


def test_keys_that_look_like_sql_find_nobody_and_spoil_nothing(tmp_path, meta):
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE customers (id TEXT, em TEXT)")
        database.execute("INSERT INTO customers VALUES ('c-1', ?)", (EMAIL,))
    query = "SELECT id, em FROM customers WHERE id IN :keys"
    source = f'kind: sql, url: "sqlite:///{tmp_path / "crm.db"}", query: "{query}"'.replace(
        '"sqlite', '"${PREFIX:-}sqlite'
    )
    with gateway(tmp_path, meta.url, pixel=", enrich: [crm]", more=SOURCE.format(source=source)) as running:
        for index, key in enumerate(["' OR '1'='1", "c-1' --", "x'); DROP TABLE customers", "%", "\\"]):
            hit(running, eid=f"odd-{index}", cookies=f"uid={quote(key, safe=chr(39) + ' ()=')}")
        hit(running, eid="honest", cookies="uid=c-1")
        honest = twin(meta, "honest")
        odd = [twin(meta, f"odd-{index}") for index in range(5)]
    assert honest
    assert honest["user_data"]["em"] == [EM]
    assert all(event and "em" not in event["user_data"] for event in odd)


def test_a_person_s_plaintext_is_found_nowhere(tmp_path, meta):
    """A canary in every way in: a source, the page's address, matching data, a rule, a server event."""
    row = {"em": EMAIL, "ph": PHONE, "fn": NAME}
    with crm(row) as url:
        more = SOURCE.format(source=f'kind: http, url: "{url}"') + (
            "identity: { remember: 90d, store: { kind: sqlite, path: identities.db } }\n"
            'rules: [{ name: mail, then: { user_data: { em: "{{ mail }}" } } }]\n'
        )
        more = more.replace("elements: {", "elements: { mail: { cookie: mail, transforms: [url_decode] },")
        options = ', enrich: [crm], default_country: DE, ingest_keys: ["${UID_KEY}"]'
        with gateway(tmp_path, meta.url, pixel=options, more=more) as running:
            page = f"https://www.shop.example/thanks/{EMAIL}?email={quote(EMAIL)}&tel={quote(PHONE)}#to={EMAIL}"
            cookies = f"uid=c-1; mail={quote(EMAIL)}"
            leaks = {
                "ud[em]": EMAIL,
                "cd[note]": f"call {PHONE}",
                "cd[contents]": json.dumps([{"id": EMAIL, "quantity": 1}]),
            }
            hit(running, "Lead", eid="canary", dl=page, rl=page, cookies=cookies, **leaks)
            event = {
                "event_name": "Lead",
                "event_time": int(time.time()),
                "action_source": "website",
                "event_id": "posted",
            }
            event |= {
                "event_source_url": page,
                "user_data": {"em": [EMAIL], "ph": PHONE},
                "custom_data": {"note": EMAIL},
            }
            body = {"accessKey": UID_KEY, "data": [event]}
            assert httpx.post(f"{running.url}/capi/{PIXEL}/events", json=body, trust_env=False).status_code == 202
            joined, posted = twin(meta, "canary"), twin(meta, "posted")
            assert until(lambda: "canary" in browsers(meta))
            shown = _shown(running)
        written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert joined
    assert posted
    known = joined["user_data"]
    assert (known["em"], known["ph"], known["fn"]) == ([EM], [PH], [FN])
    assert posted["user_data"]["em"] == [EM]
    everywhere = (json.dumps(meta.report()) + shown).encode() + written
    for word in (EMAIL, quote(EMAIL), PHONE, PHONE[1:], NAME):
        assert word.lower().encode() not in everywhere.lower(), word


def _shown(running: Gateway) -> str:
    """Everything that the admin listener says."""
    paths = ["/", "/api/events", "/api/outbox", "/metrics", *(f"/api/events/{it['id']}" for it in running.records())]
    return "".join(httpx.get(f"{running.admin}{path}", trust_env=False).text for path in paths)
