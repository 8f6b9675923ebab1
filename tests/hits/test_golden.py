"""The exact event for Meta, hit by hit: golden.jsonl was read against PROTOCOL section 5 by hand."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pixeltwin.cli import app

FOLDER = Path(__file__).parent
GOLDEN = [json.loads(line) for line in (FOLDER / "golden.jsonl").read_text().splitlines()]


def explained(*arguments: str, stdin: str = "") -> list[dict]:
    ran = CliRunner().invoke(app, ["explain", "--json", "--now", "1795461800", *arguments], input=stdin)
    assert ran.exit_code == 0, ran.output
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    return [{key: one[key] for key in ("hit", "skip", "twin", "notes")} for one in told]  # what the golden lines have


def test_every_hit_has_its_golden_line():
    assert len(explained(str(FOLDER / "hits.txt"))) == len(GOLDEN)


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_a_hit_becomes_the_event_that_was_read_by_hand(number):
    assert explained(str(FOLDER / "hits.txt"))[number] == GOLDEN[number]


def test_hits_come_from_standard_input_and_as_a_url_too():
    lines = (FOLDER / "hits.txt").read_text()
    url = next(line.removeprefix("GET ") for line in lines.splitlines() if line.startswith("GET "))
    assert explained("-", stdin=lines) == GOLDEN
    assert explained(url) == GOLDEN[:1]


def test_a_har_of_a_whole_page_gives_its_hits_with_their_headers(tmp_path):
    url = "https://px.garden.example/tr/?id=4000000000000001&ev=PageView&dl=https%3A%2F%2Fwww.garden.example%2F"
    headers = [
        {"name": "User-Agent", "value": "Mozilla/5.0"},
        {"name": "Cookie", "value": "_fbp=fb.1.1795000000123.17"},
    ]
    recorded = {"log": {"entries": [_entry(url, headers), _entry("https://www.garden.example/", headers)]}}
    (tmp_path / "page.har").write_text(json.dumps(recorded))
    (only,) = explained(str(tmp_path / "page.har"))
    assert only["twin"]["user_data"] == {"client_user_agent": "Mozilla/5.0", "fbp": "fb.1.1795000000123.17"}


def _entry(url: str, headers: list[dict]) -> dict:
    request = {"method": "GET", "url": url, "httpVersion": "HTTP/1.1", "headers": headers, "queryString": []}
    response = {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "headers": [], "content": {"text": ""}}
    times = {"startedDateTime": "2026-11-23T19:23:20.000Z", "time": 1, "timings": {"send": 0, "wait": 1, "receive": 0}}
    return {"request": request, "response": response | {"cookies": []}, **times}


@pytest.mark.parametrize(("source", "said"), [("nowhere.har", "no file"), ("-", "line 1: begins with 'nonsense'")])
def test_what_cannot_be_read_is_said_plainly(source, said):
    ran = CliRunner().invoke(app, ["explain", source], input="nonsense 1\n")
    assert (ran.exit_code, said in ran.output.replace("\n", " ")) == (1, True)


def test_a_person_can_read_it_too():
    ran = CliRunner().invoke(app, ["explain", str(FOLDER / "hits.txt")])
    for expected in ("event_id = G-1001   ← hit eid", "no twin: automatic_event", "note      event_id_in_custom_data"):
        assert expected in ran.stdout
