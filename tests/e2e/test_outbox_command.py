"""`pixeltwin outbox` in real processes: beside a gateway that runs, which holds the file, and without one."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

import httpx
from tests.factories import PIXEL, UA, hit_query
from tests.processes import BIN, TOKEN, UID_KEY, Gateway, Meta, gateway, until, write_config

from pixeltwin.capi.event import ServerEvent, UserData
from pixeltwin.delivery.outbox import NewItem, Refused
from pixeltwin.mirror import Draft
from pixeltwin.outboxes import sqlite

API = "conversions_api"
HOLD = "consent: { everyone: { read: [{ cookie: ads, granted: [yes], denied: [no] }], unknown: hold 10m } }"


def cli(*arguments: object) -> tuple[int, str, str]:
    ran = subprocess.run(
        [BIN / "pixeltwin", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "SHOP_TOKEN": TOKEN, "UID_KEY": UID_KEY},
    )
    return ran.returncode, ran.stdout, ran.stderr


def letters(folder: Path, *event_ids: str) -> list[int]:
    """Letters of purchases that Meta would take, written by a gateway that has gone; their numbers."""

    async def work() -> list[int]:
        outbox = await sqlite.open_outbox(sqlite.Settings(path="outbox.db"), base=folder)
        await outbox.append([twin(event_id) for event_id in event_ids])
        lease = await outbox.lease(API, limit=100, seconds=60)
        await outbox.settle(lease, {item.seq: Refused("Meta: not now", "100/2804050") for item in lease.items})
        await outbox.close()
        return sorted(item.seq for item in lease.items)

    return asyncio.run(work())


def twin(event_id: str) -> NewItem:
    event = ServerEvent(
        event_name="Purchase",
        event_time=int(time.time()),
        event_id=event_id,
        event_source_url="https://www.shop.example/thanks",
        action_source="website",
        user_data=UserData(client_ip_address="203.0.113.9", client_user_agent=UA),
        custom_data={"value": 24.9, "currency": "EUR"},
    )
    draft = Draft(pixel_id=PIXEL, event=event.as_json())
    return NewItem(destination=API, pixel_id=PIXEL, key=event_id.encode(), payload=draft.as_bytes())


def changed(config: Path, old: str, new: str) -> Path:
    """A config beside the one of the gateway that runs."""
    text = config.read_text()
    assert old in text
    other = config.with_name("other.yaml")
    other.write_text(text.replace(old, new))
    return other


def event_ids(meta: Meta) -> list[str]:
    return [event["event_id"] for event in meta.servers()]


def test_letters_of_a_gateway_that_runs_are_listed_retried_and_purged(tmp_path, meta):
    wanted, unwanted = letters(tmp_path, "wanted", "unwanted")
    with gateway(tmp_path, meta.url) as running:
        config = ("-c", running.config)
        code, told, warned = cli("outbox", "ls", "--letters", "--json", *config)
        assert (code, warned) == (0, "")
        assert [(one["seq"], one["event_id"]) for one in map(json.loads, told.splitlines())] == [
            (wanted, "wanted"),
            (unwanted, "unwanted"),
        ]
        assert cli("outbox", "retry", wanted, *config)[:2] == (0, "1 back in the queue\n")
        assert until(lambda: event_ids(meta)) == ["wanted"]
        assert cli("outbox", "purge", unwanted, "--yes", *config)[:2] == (0, "1 purged\n")
        assert cli("outbox", "ls", "--letters", "--json", *config)[:2] == (0, "")
        depth = until(lambda: (told := running_outbox(running.admin))["tally"][API]["delivered"] and told)
        assert (depth["tally"][API]["discarded"], depth["tally"][API]["requeued"]) == (1, 1)
    assert event_ids(meta) == ["wanted"]


def running_outbox(admin: str) -> dict:
    return httpx.get(f"{admin}/api/outbox", trust_env=False).json()


def test_letters_of_a_gateway_that_is_stopped_go_out_with_its_next_start(tmp_path, meta):
    (seq,) = letters(tmp_path, "patient")
    config = write_config(tmp_path, meta.url)
    code, told, _ = cli("outbox", "show", seq, "-c", config)
    assert (code, told.splitlines()[0]) == (0, "Purchase patient of pixel shop: dead")
    assert cli("outbox", "retry", "--all", "-c", config)[:2] == (0, "1 back in the queue\n")
    with gateway(tmp_path, meta.url):
        assert until(lambda: event_ids(meta)) == ["patient"]


def test_a_gateway_that_runs_changes_nothing_without_its_token(tmp_path, meta):
    letters(tmp_path, "kept")
    with gateway(tmp_path, meta.url) as running:
        without = changed(running.config, ', token: "${UID_KEY}"', "")
        code, _, said = cli("outbox", "purge", "--all", "--yes", "-c", without)
        assert (code, "set admin.token" in said) == (1, True)
        wrong = changed(running.config, 'token: "${UID_KEY}"', 'token: "${SHOP_TOKEN}"')
        code, _, said = cli("outbox", "retry", "--all", "-c", wrong)
        assert (code, "bearer token" in said) == (1, True)
        assert len(cli("outbox", "ls", "--letters", "--json", "-c", without)[1].splitlines()) == 1
    assert event_ids(meta) == []


def test_a_file_that_is_held_and_a_gateway_that_cannot_be_asked_are_exit_code_3(tmp_path, meta):
    with gateway(tmp_path, meta.url) as running:
        mute = running.config.with_name("mute.yaml")
        lines = running.config.read_text().splitlines()
        mute.write_text("\n".join("admin: null" if line.startswith("admin:") else line for line in lines))
        code, _, said = cli("outbox", "ls", "-c", mute)
        assert (code, "in use" in said, "no admin listener" in said) == (3, True, True)


def test_explain_finds_what_a_running_gateway_holds(tmp_path, meta):
    with gateway(tmp_path, meta.url, more=HOLD) as running:
        query = hit_query(
            "ViewContent", ts=str(time.time_ns() // 1_000_000), eid="held-1", fbp="fb.1.1795461138686.4711"
        )
        headers = {"user-agent": UA, "x-forwarded-for": "203.0.113.9"}
        assert httpx.get(f"{running.url}/tr/?{query}", headers=headers, trust_env=False).status_code == 200
        code, told, _ = cli("explain", "held-1", "--json", "-c", running.config)
        found = {one["destination"]: one for one in map(json.loads, told.splitlines())}
        assert code == 0
        assert found[API]["event"]["event_id"] == "held-1"
        assert {one["state"] for one in found.values()} == {"held"}
        assert set(found) == {API, "pixel_relay"}
        assert cli("explain", "held-2", "-c", running.config)[0] == 1
        table = cli("outbox", "ls", "-c", running.config)[1].splitlines()
        assert [line.split()[:5] for line in table[1:3]] == [
            ["shop", API, "0", "0", "1"],
            ["shop", "pixel_relay", "0", "0", "1"],
        ]


EM, OTHERS = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f", "b" * 64


def visit(running: Gateway, browser: int, event_id: str, cookie: str = "", **parameters: str) -> None:
    query = hit_query(
        "Lead", ts=str(time.time_ns() // 1_000_000), eid=event_id, fbp=f"fb.1.1795461138686.{browser}", **parameters
    )
    headers = {"user-agent": UA, "x-forwarded-for": "203.0.113.9", "cookie": cookie}
    assert httpx.get(f"{running.url}/tr/?{query}", headers=headers, trust_env=False).status_code == 200


def test_who_is_forgotten_while_a_gateway_runs_never_gets_to_meta(tmp_path, meta):
    """Two people's events wait for consent; one of them is forgotten, then both consent."""
    with gateway(tmp_path, meta.url, more=HOLD) as running:
        visit(running, 1, "hers", **{"ud[em]": EM})
        visit(running, 2, "his", **{"ud[em]": OTHERS})
        code, told, warned = cli("customers", "forget", "john_smith@gmail.com", "-c", running.config)
        assert (code, warned) == (0, "")
        assert told == "forgotten: 0 in stores, 0 remembered, 2 waiting, 0 letters, 0 cached, 1 shown\n"
        shown = httpx.get(f"{running.admin}/api/events/{running.records()[-1]['id']}", trust_env=False).text
        assert (EM in shown, EM.encode() in everything(tmp_path)) == (False, False)
        for browser in (1, 2):
            visit(running, browser, f"granted-{browser}", "ads=yes")
        assert until(lambda: len(ids := event_ids(meta)) == 3 and set(ids)) == {"his", "granted-1", "granted-2"}
        assert cli("customers", "forget", EM, "-c", running.config)[0] == 1
    assert EM not in json.dumps(meta.report())


def test_without_the_token_nobody_is_forgotten_in_a_gateway_and_that_is_said(tmp_path, meta):
    with gateway(tmp_path, meta.url, more=HOLD) as running:
        visit(running, 1, "hers", **{"ud[em]": EM})
        other = changed(running.config, ', token: "${UID_KEY}"', "")
        code, told, warned = cli("customers", "forget", EM, "-c", other)
        assert (code, "0 waiting" in told) == (1, True)
        assert "set admin.token" in warned
        assert "was not searched" in warned
    code, told, _ = cli("customers", "forget", EM, "-c", running.config)
    assert (code, "2 waiting" in told) == (0, True)
    assert EM.encode() not in everything(tmp_path)


def everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("outbox.db*"))
