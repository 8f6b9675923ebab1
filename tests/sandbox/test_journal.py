"""The journal has every request, and no token."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from pixeltwin.sandbox.app import Sandbox, create_app
from tests.sandbox.factories import EVENTS, NOW, PIXEL, event

SECRET = "EAAB-secret"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def journal_of(path: Path, **request: Any) -> dict[str, Any]:
    app = create_app(Sandbox(journal=path, clock=lambda: NOW))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://meta.test") as meta:
        answer = await meta.request(**request)
    assert answer.status_code == 200
    (line,) = lines(path)
    return line


async def test_a_request_is_one_line(tmp_path: Path) -> None:
    request = {"method": "POST", "url": f"/tr/?id={PIXEL}", "content": b"ev=Lead&eid=1"}
    line = await journal_of(tmp_path / "journal.jsonl", **request)
    assert line["at"] == "2026-11-23T19:23:20.000Z"
    assert (line["method"], line["path"], line["query"]) == ("POST", "/tr/", f"id={PIXEL}")
    assert line["body"] == "ev=Lead&eid=1"
    assert line["headers"]["host"] == "meta.test"


async def test_a_journal_grows(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    app = create_app(Sandbox(journal=path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://meta.test") as meta:
        await meta.get("/sandbox/events")
        await meta.get("/nowhere")
    assert [line["path"] for line in lines(path)] == ["/sandbox/events", "/nowhere"]


DATA = json.dumps([event()])


@pytest.mark.parametrize(
    "request_",
    [
        {"headers": {"Authorization": f"Bearer {SECRET}"}, "json": {"data": [event()]}},
        {"params": {"access_token": SECRET, "appsecret_proof": SECRET}, "json": {"data": [event()]}},
        {"json": {"access_token": f'{SECRET}\\"{SECRET}', "data": [event()]}},
        {"data": {"access_token": SECRET, "data": DATA}},
        {"files": {"access_token": (None, SECRET), "data": (None, DATA)}},
    ],
    ids=["header", "query", "json", "urlencoded", "multipart"],
)
async def test_no_token_is_written_down(tmp_path: Path, request_: dict[str, Any]) -> None:
    line = await journal_of(tmp_path / "journal.jsonl", method="POST", url=EVENTS, **request_)
    assert SECRET not in json.dumps(line)
    assert "***" in json.dumps(line)
    assert "event_name" in line["body"]


async def test_a_body_that_is_no_text_is_written_as_escapes(tmp_path: Path) -> None:
    line = await journal_of(tmp_path / "journal.jsonl", method="POST", url="/tr/", content=b"ev=\xff\x00")
    assert line["body"] == "ev=\\xff\x00"
