"""config/examples/ is what people copy: every story validates, its cases pass, and they would notice a missing rule."""

import asyncio
import hashlib
import io
import json
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from tests.factories import PAGE, PIXEL, UA
from tests.processes import BIN, ROOT, Meta, free_port, sandbox, started, until
from tests.sources.postgres import postgres
from typer.testing import CliRunner, Result

from pixeltwin.cli import app
from pixeltwin.cli.case import run_case
from pixeltwin.cli.case_file import Cases, read_cases
from pixeltwin.cli.differences import differences
from pixeltwin.config import Config
from pixeltwin.config.schema import schema_text
from pixeltwin.gateway.policy import policy_of

FOLDER = ROOT / "config/examples"
STORIES = sorted(path.stem for path in FOLDER.glob("*.yaml") if path.suffixes == [".yaml"])
README = (FOLDER / "README.md").read_text()

FBP = "fb.1.1795461138686.4711"

FORGED = "anyone can forge a Purchase"  # true of every shop whose orders the gateway cannot ask for
OF_THE_TWIN_ALONE = "only the twin gets this name"  # the extension's Event Name, which has no other copy to think of
# what `validate` may say of a story, each for the reason above
WARNINGS = {
    **{story: [FORGED] for story in STORIES},
    "agency": [FORGED] * 3,
    "adobe": [FORGED, OF_THE_TWIN_ALONE],
    "margin-not-revenue": [],
    "verified-purchases": [],
}


def cases_of(story: str) -> Cases:
    return read_cases(FOLDER / f"{story}.cases.yaml")


def pixeltwin(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env=env)


def loaded(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def written(data: Any) -> str:
    out = io.StringIO()
    YAML().dump(data, out)
    return out.getvalue()


@pytest.mark.parametrize("story", STORIES)
def test_a_story_is_told_in_three_lines(story):
    lines = (FOLDER / f"{story}.yaml").read_text().splitlines()
    assert [line.startswith("# ") for line in lines[:4]] == [True, True, True, False]


@pytest.mark.parametrize("story", STORIES)
def test_a_story_validates_without_a_warning_that_is_not_known_here(story):
    checked = pixeltwin("validate", "-c", FOLDER / f"{story}.yaml", env=dict(cases_of(story).env))
    assert checked.exit_code == 0, checked.output
    warnings = [line for line in checked.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == len(WARNINGS[story]), checked.stderr
    assert all(known in warning for known, warning in zip(WARNINGS[story], warnings, strict=True)), checked.stderr


@pytest.mark.parametrize("story", STORIES)
def test_an_editor_that_has_the_schema_finds_nothing_wrong_with_a_story(story):
    data = json.loads(json.dumps(loaded((FOLDER / f"{story}.yaml").read_text()), default=str))  # YAML has dates
    assert [error.message for error in Draft202012Validator(json.loads(schema_text())).iter_errors(data)] == []


@pytest.mark.parametrize("story", STORIES)
def test_the_cases_of_a_story_pass(story):
    tried = pixeltwin("test", "-c", FOLDER / f"{story}.yaml")
    assert tried.exit_code == 0, tried.output
    assert tried.output.endswith(f"{len(cases_of(story).cases)} case(s), 0 failed\n")


@pytest.mark.parametrize("story", STORIES)
def test_a_rule_that_is_taken_out_of_a_story_is_missed_by_a_case(story):
    data, cases = loaded((FOLDER / f"{story}.yaml").read_text()), cases_of(story)
    for rule in data.get("rules", []):
        others = [other for other in data["rules"] if other is not rule]
        assert any(failures(data | {"rules": others}, cases)), rule["name"]


def failures(data: Any, cases: Cases) -> Iterator[str]:
    """The cases that fail with that config."""
    config = Config.from_text(written(data), base=FOLDER, env=dict(cases.env))
    policy = policy_of(config)
    return (case.name for case in cases.cases if any(differences(case.expect, run_case(case, config, policy), config)))


def test_a_case_s_name_is_its_own():
    for story in STORIES:
        names = [case.name for case in cases_of(story).cases]
        assert len(set(names)) == len(names), story


def test_every_story_is_listed():
    assert sorted(re.findall(r"^\| \[([\w-]+)\]\(\1\.yaml\) \| \S", README, re.MULTILINE)) == STORIES


def test_every_standard_event_has_a_case():
    standard = loaded((FOLDER / "standard-events.yaml").read_text())["pixels"][0]["events"][:17]
    twins = {(case.expect.twin or {}).get("event_name") for case in cases_of("standard-events").cases}
    assert set(standard) <= twins


REFUSED = loaded((FOLDER / "adobe.refused.yaml").read_text())["refused"]


@pytest.mark.parametrize("refused", REFUSED, ids=[one["name"] for one in REFUSED])
def test_the_config_refuses_what_the_extension_would_take(refused, tmp_path):
    data = loaded((FOLDER / "adobe.yaml").read_text())
    (tmp_path / "adobe.yaml").write_text(written(data | {"rules": refused["rules"]}))
    checked = pixeltwin("validate", "-c", tmp_path / "adobe.yaml", env=dict(cases_of("adobe").env))
    assert checked.exit_code == 1
    assert refused["says"] in checked.stderr


def test_the_table_of_adobe_s_features_names_every_case_and_no_other():
    table = README.partition("| their feature | ours | case |")[2]
    named = [name for row in table.strip().splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split(" | ")[-1])]
    known = [*(case.name for case in cases_of("adobe").cases), *(one["name"] for one in REFUSED)]
    assert sorted(named) == sorted(known)


def test_the_readme_s_cases_can_be_read(tmp_path):
    (block,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "shop.cases.yaml").write_text(block)
    assert len(read_cases(tmp_path / "shop.cases.yaml").cases) == 2


def test_the_command_runs_the_cases_beside_a_config():
    """The real command, as CI or a shop owner runs it."""
    ran = subprocess.run(
        [BIN / "pixeltwin", "test", "-c", "config/examples/purchases-only.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "✓ an order that was paid by voucher is a sale of 0" in ran.stdout


def test_the_story_s_query_finds_the_customer_in_postgresql(tmp_path):
    cookies = cases_of("crm-join-sql").cases[0].around.cookies
    with postgres() as url:
        asyncio.run(fill_customers(url))
        (tmp_path / "page.har").write_text(json.dumps(har("Purchase", cookies)))
        env = {**cases_of("crm-join-sql").env, "CRM_DSN": url}
        ran = pixeltwin(
            "explain", "--json", "--look-up", "-c", FOLDER / "crm-join-sql.yaml", tmp_path / "page.har", env=env
        )
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["twin"]["user_data"]["em"] == [sha256("alex@shop.example")]
    assert told["twin"]["user_data"]["ph"][0] == sha256("4915123456789")
    assert told["twin"]["user_data"]["external_id"] == [sha256("1001")]
    assert told["twin"]["custom_data"]["loyalty"] == "gold"
    assert told["rules"] == ["new-customers"]


async def fill_customers(url: str) -> None:
    """The story's table, with the customer of its first case."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "CREATE TABLE customers(id bigint PRIMARY KEY, email text, phone text, first_name text, last_name text, "
            "city text, zip text, country text, segment text, orders_count int, is_dealer bool)"
        )
        await connection.execute(
            "INSERT INTO customers VALUES (1001, ' Alex@Shop.Example ', '0151 23456789', 'Alex', 'Brown', 'Bonn', "
            "'53111', NULL, 'gold', 1, false), (1002, 'buyer@dealer.example', NULL, 'Sam', 'Fox', 'Bonn', '53111', "
            "NULL, 'trade', 7, true)"
        )
    finally:
        await connection.close()


def har(event_name: str, cookies: Mapping[str, str]) -> dict:
    """A page's recording, as a browser's developer tools save it: one hit."""
    query = f"id={PIXEL}&ev={event_name}&dl=https%3A%2F%2Fwww.shop.example%2F&cd%5Bvalue%5D=5&cd%5Bcurrency%5D=EUR"
    headers = [{"name": "Cookie", "value": "; ".join(f"{name}={value}" for name, value in cookies.items())}]
    url = f"https://px.shop.example/tr/?{query}"
    request = {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": headers, "queryString": []}
    content = {"text": ""}
    response = {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": content}
    times = {"startedDateTime": "2026-11-25T12:00:00.000Z", "time": 1, "timings": {"send": 0, "wait": 1, "receive": 0}}
    return {"log": {"entries": [{"request": request, "response": response | {"cookies": []}, **times}]}}


def test_the_story_of_remembered_identity_is_true(tmp_path):
    """One browser's checkout, its next visits with and without consent, and a payment that the shop reports."""
    with sandbox(tmp_path) as meta, story_running("remembered-identity", tmp_path, meta) as url:
        hit(url, "Purchase", "sale", "yes", **{"ud[em]": sha256("john_smith@gmail.com"), "cd[order_id]": "ord-1"})
        assert twin(meta, "sale")["user_data"]["em"] == [sha256("john_smith@gmail.com")]
        hit(url, "PageView", "with-consent", "yes")
        assert twin(meta, "with-consent")["user_data"]["em"] == [sha256("john_smith@gmail.com")]
        hit(url, "PageView", "without", "")
        assert "em" not in twin(meta, "without")["user_data"]
        report_payment(url, "ord-1")
        paid = twin(meta, "payment")
    assert paid["user_data"]["em"] == [sha256("john_smith@gmail.com")]
    assert (paid["user_data"]["fbp"], paid["user_data"]["client_user_agent"]) == (FBP, UA)


@contextmanager
def story_running(story: str, folder: Path, meta: Meta) -> Iterator[str]:
    """The story as people copy it, but for ports that are free here and a Meta of the test's own."""
    port = free_port()
    here = {
        "server": {"listen": f"127.0.0.1:{port}", "trusted_proxies": ["127.0.0.1/32"]},
        "meta": {"graph": meta.url, "pixel": meta.url},
        "admin": None,
    }
    config = folder / f"{story}.yaml"
    config.write_text(written(loaded((FOLDER / config.name).read_text()) | here))
    env = dict(cases_of(story).env)
    with started(BIN / "pixeltwin", "run", "-c", config, log=folder / "gateway.log", port=port, env=env):
        yield f"http://127.0.0.1:{port}"


def hit(url: str, event_name: str, event_id: str, consent: str, **parameters: str) -> None:
    moment = str(time.time_ns() // 1_000_000)
    money = {"cd[value]": "5", "cd[currency]": "EUR"}
    query = {
        "id": PIXEL,
        "ev": event_name,
        "eid": event_id,
        "dl": PAGE,
        "ts": moment,
        "fbp": FBP,
        **money,
        **parameters,
    }
    headers = {
        "host": "px.shop.example",
        "user-agent": UA,
        "x-forwarded-for": "203.0.113.9",
        "cookie": f"remember_me={consent}",
    }
    httpx.get(f"{url}/tr/", params=query, headers=headers, trust_env=False).raise_for_status()


def report_payment(url: str, order_id: str) -> None:
    """As the shop's own server posts it, which knows the order and nothing of the visit."""
    event = {
        "event_name": "Purchase",
        "event_id": "payment",
        "event_time": int(time.time()),
        "action_source": "website",
        "user_data": {},
        "custom_data": {"order_id": order_id, "value": 5, "currency": "EUR"},
    }
    body = {"accessKey": cases_of("remembered-identity").env["SHOP_INGEST_KEY"], "data": [event]}
    answer = httpx.post(f"{url}/capi/{PIXEL}/events", json=body, headers={"host": "px.shop.example"}, trust_env=False)
    assert answer.status_code == 202, answer.text


def twin(meta: Meta, event_id: str) -> dict:
    """The server event of that id, once Meta has it."""
    found = until(lambda: next((event for event in meta.servers() if event["event_id"] == event_id), None))
    assert found, meta.report()
    return found


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
