"""`pixeltwin explain` with a config: who relays the browser's copy, and with which test event code the twin goes."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.factories import UA
from typer.testing import CliRunner

from pixeltwin.cli import app

URL = "https://px.shop.example/tr/?id=1&ev=Lead&dl=https%3A%2F%2Fwww.shop.example%2F"


def explained(folder: Path, options: str, *arguments: str) -> str:
    config = folder / "shop.yaml"
    config.write_text(f'pixels: [{{ id: "1", access_token: "${{SHOP_TOKEN}}", {options} }}]')
    ran = CliRunner().invoke(app, ["explain", "-c", str(config), *arguments, URL], env={"SHOP_TOKEN": "any"})
    assert ran.exit_code == 0, ran.output
    return ran.stdout


@pytest.mark.parametrize(
    ("relay", "said", "is_relayed"),
    [
        ("background", "browser   relayed, changed", True),
        ("none", "browser   not relayed: its pixel's `relay` says so", False),
        ("browser", "browser   not relayed: its pixel's `relay` says so", False),
    ],
)
def test_it_says_whether_the_browser_s_copy_is_relayed(tmp_path, relay, said, is_relayed):
    assert said in explained(tmp_path, f"relay: {relay}")
    assert json.loads(explained(tmp_path, f"relay: {relay}", "--json"))["relayed"] is is_relayed


def test_it_names_the_test_event_code(tmp_path):
    assert "test      shown under Test Events as TEST7" in explained(tmp_path, "test_event_code: TEST7")
    assert json.loads(explained(tmp_path, "test_event_code: TEST7", "--json"))["test_event_code"] == "TEST7"
    assert json.loads(explained(tmp_path, "relay: none", "--json"))["test_event_code"] is None


SESSIONS = """
pixels: [{ id: "1", access_token: "${SHOP_TOKEN}", enrich: [customers] }]
elements: { visitor: { session: sid, source: sessions, fact: customer, key: "${SESSION_KEY}" } }
sources:
  sessions: { kind: sql, url: "${DB}", query: "SELECT id, customer FROM sessions WHERE id IN :keys", key: visitor,
              map: {}, profile: [customer], timeout: 30s }
  customers: { kind: sql, url: "${DB}", query: "SELECT id, em FROM customers WHERE id IN :keys", key: visitor,
               timeout: 30s }
"""


@pytest.mark.parametrize(
    ("sid", "options", "said"),
    [
        ("canary-of-ann", [], "customer  session of sid, customers: would be looked up"),
        ("canary-of-ann", ["--look-up"], "customer  session of sid, customers: known"),
        ("canary-of-nobody", ["--look-up"], "customer  session of sid, customers: not known"),
    ],
)
def test_it_tells_whose_session_is_looked_up_and_not_its_id(tmp_path, sid, options, said):
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE sessions AS SELECT 'canary-of-ann' AS id, 'c-1' AS customer")
        shop.execute("CREATE TABLE customers AS SELECT 'c-1' AS id, 'ann@shop.example' AS em")
    (tmp_path / "shop.yaml").write_text(SESSIONS)
    (tmp_path / "one.har").write_text(json.dumps({"log": {"entries": [har_entry(f"sid={sid}")]}}))
    env = {"SHOP_TOKEN": "any", "SESSION_KEY": "k" * 32, "DB": "sqlite:///shop.db"}
    for as_json in ([], ["--json"]):
        arguments = ["explain", "-c", str(tmp_path / "shop.yaml"), *options, *as_json, str(tmp_path / "one.har")]
        ran = CliRunner().invoke(app, arguments, env=env)
        assert ran.exit_code == 0, ran.output
        assert "canary" not in ran.output
        assert "session:" not in ran.output
        assert as_json or said in ran.stdout
        assert ('"em"' in ran.stdout) == (bool(as_json) and said.endswith(": known"))


POLICY = """
pixels: [{ id: "1", access_token: "${SHOP_TOKEN}", enrich: [crm], verify: { Purchase: orders } }]
elements: { order: { custom_data: order_id }, customer: { query: uid, trust: unsafe } }
consent: { us: { read: [{ cookie: ads, denied: ["no"], granted: ["yes"] }], unknown: { twin: limit, relay: allow } } }
sources:
  crm: { kind: http, url: "http://127.0.0.1:9/{key}", key: customer, profile: [staff], timeout: 30s }
  orders: { kind: http, url: "http://127.0.0.1:9/{key}", key: order, map: {},
            custom_data: { value: total, currency: currency }, timeout: 30s }
rules:
  - { name: leads, match: { event: Lead }, then: { custom_data: { json: { a: 1 } } } }
  - { name: costly, when: event.custom_data.value > 1000.0, then: { custom_data: { json: { a: 1 } } } }
  - { name: open, then: { server_event: { limited_data_use: false } } }
  - { name: staff, when: "profile.staff == 'yes'", then: { drop: twin } }
  - { name: noise, match: { event: Scroll }, then: { drop: both } }
  - { name: late, then: { custom_data: { json: { b: 1 } } } }
"""
ORDER = "&cd[order_id]=A-1&cd[value]=12&cd[currency]=EUR&uid=c-1"


def of_policy(folder: Path, hit: str, *options: str) -> str:
    """What is said of a hit under that policy, whose sources cannot be reached."""
    (folder / "policy.yaml").write_text(POLICY)
    url = f"https://px.shop.example/tr/?id=1&dl=https%3A%2F%2Fwww.shop.example%2F&ud[em]={'1' * 64}&{hit}"
    arguments = ["explain", "-c", str(folder / "policy.yaml"), *options, url]
    ran = CliRunner().invoke(app, arguments, env={"SHOP_TOKEN": "any"})
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_what_consent_has_limited_again_no_rule_is_said_to_have_set(tmp_path):
    assert "data_processing_options[0] = LDU   ← consent" in of_policy(tmp_path, "ev=Contact")
    assert "data_processing_options[0] = LDU   ← hit dpo" in of_policy(tmp_path, "ev=Contact&dpo=LDU&dpoco=0&dpost=0")


def test_every_hit_s_action_source_says_where_it_came_from(tmp_path):
    assert "action_source = website   ← gateway" in of_policy(tmp_path, "ev=Contact")


def test_a_purchase_that_nobody_looked_up_is_shown_as_it_would_be_and_says_who_would_verify_it(tmp_path):
    said = of_policy(tmp_path, f"ev=Purchase{ORDER}")
    assert "order     would be verified by orders, whose amount would count" in said
    assert "custom_data.value = 12" in said
    assert "no twin" not in said
    assert json.loads(of_policy(tmp_path, f"ev=Purchase{ORDER}", "--json"))["would_be_verified_by"] == ["orders"]


def test_a_purchase_without_an_order_says_that_nobody_could_be_asked(tmp_path):
    said = of_policy(tmp_path, "ev=Purchase&cd[value]=12&cd[currency]=EUR")
    assert "order     names none that orders could be asked for" in said
    assert "no twin: not_verified" in said


def test_rules_that_did_not_hold_are_named_with_the_part_that_did_not(tmp_path):
    assert "rules     did not hold: leads (match), costly (when), noise (match)\n" in of_policy(tmp_path, "ev=Contact")
    not_held = json.loads(of_policy(tmp_path, "ev=Scroll", "--json"))["rules_not_held"]
    assert not_held == {"leads": "match", "costly": "when", "late": "not asked"}


def test_a_source_that_is_down_is_named_and_the_rest_is_explained(tmp_path):
    said = of_policy(tmp_path, f"ev=Purchase{ORDER}", "--look-up")
    assert "customer  crm: no answer (ConnectError)" in said
    assert "order     would be verified by orders, which gives no answer (ConnectError)" in said
    assert "custom_data.value = 12" in said
    told = json.loads(of_policy(tmp_path, f"ev=Purchase{ORDER}", "--look-up", "--json"))
    assert told["no_answer"] == {"crm": "ConnectError", "orders": "ConnectError"}


@pytest.mark.parametrize("name", ["nope.har", "recordings/nope"])
def test_what_is_named_like_a_file_is_said_not_to_be_there(tmp_path, name):
    (tmp_path / "policy.yaml").write_text(POLICY)
    for options in ([], ["-c", str(tmp_path / "policy.yaml")]):
        ran = CliRunner().invoke(app, ["explain", *options, name], env={"SHOP_TOKEN": "any"})
        assert ran.exit_code == 1
        assert f"'{name}' is no URL and no file; a URL, a HAR, a flow file, a hits file" in ran.output


def har_entry(cookie: str) -> dict[str, Any]:
    headers = [{"name": "user-agent", "value": UA}, {"name": "cookie", "value": cookie}]
    request = {"method": "GET", "url": URL, "httpVersion": "HTTP/1.1", "headers": headers, "queryString": []}
    content = {"text": ""}
    response = {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": content}
    times = {"startedDateTime": "2026-11-25T12:00:00.000Z", "time": 1, "timings": {"send": 0, "wait": 1, "receive": 0}}
    return {"request": request, "response": response | {"cookies": []}, **times}
