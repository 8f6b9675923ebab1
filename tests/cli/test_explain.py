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


def har_entry(cookie: str) -> dict[str, Any]:
    headers = [{"name": "user-agent", "value": UA}, {"name": "cookie", "value": cookie}]
    request = {"method": "GET", "url": URL, "httpVersion": "HTTP/1.1", "headers": headers, "queryString": []}
    content = {"text": ""}
    response = {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": content}
    times = {"startedDateTime": "2026-11-25T12:00:00.000Z", "time": 1, "timings": {"send": 0, "wait": 1, "receive": 0}}
    return {"request": request, "response": response | {"cookies": []}, **times}
