"""`pixeltwin diff`: what a new config would change over recorded hits, told hit by hit."""

import json
from pathlib import Path

import pytest
from tests.factories import PIXEL, hit_query
from typer.testing import CliRunner

from pixeltwin.cli import app

OLD = f'pixels: [{{ id: "{PIXEL}", access_token: "${{T}}", events: [Purchase, Lead, Scroll, PageView] }}]\n'
NEW = f"""{OLD}
rules:
  - {{ name: margin, match: {{ event: Purchase }}, then: {{ custom_data: {{ json: {{ value: 38.2 }} }} }} }}
  - {{ name: noise, match: {{ event: Scroll }}, then: {{ drop: both }} }}
  - {{ name: newsletter, match: {{ event: Lead }}, then: {{ rename: Subscribe }} }}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("T", "a-token")
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    hits = [hit_query("Purchase", eid="1", cd_value="129", cd_currency="EUR"), hit_query("Scroll", eid="2")]
    hits += [hit_query("Lead", eid="3"), hit_query("PageView", eid="4")]
    (tmp_path / "day.txt").write_text(
        "".join(f"GET https://px.shop.example/tr/?{hit}&fbp=fb.1.1795461138686.1\n" for hit in hits)
    )
    return tmp_path


def diff(folder: Path, old: str, new: str, *options: str, hits: str = "day.txt") -> tuple[int, str]:
    paths = [str(folder / name) for name in (old, new, hits)]
    ran = CliRunner().invoke(app, ["diff", *paths, "--now", "1795461800", *options])
    return ran.exit_code, ran.output


def told(folder: Path) -> dict[int, dict[str, tuple]]:
    _, output = diff(folder, "old.yaml", "new.yaml", "--json")
    lines = map(json.loads, output.splitlines())
    return {one["hit"]: {it["path"]: (it["old"], it["new"]) for it in one["changes"]} for one in lines}


def test_a_config_that_changes_nothing_says_so_and_exits_0(folder):
    code, output = diff(folder, "old.yaml", "old.yaml")
    assert (code, output.strip()) == (0, "0 of 4 hits would be treated differently")


def test_each_change_is_told_with_what_it_was(folder):
    changes = told(folder)
    assert changes[1] == {"twin.custom_data.value": (129.0, 38.2)}
    assert changes[2]["skip"] == (None, "dropped_by_rule")
    assert changes[2]["relay.withheld"] == (None, True)
    assert changes[3] == {"relay.ev": ("Lead", "Subscribe"), "twin.event_name": ("Lead", "Subscribe")}
    assert 4 not in changes


def test_a_person_reads_old_and_new_and_a_sum(folder):
    code, output = diff(folder, "old.yaml", "new.yaml")
    assert code == 1
    assert "twin.custom_data.value: 129.0 → 38.2" in output
    assert "skip: – → dropped_by_rule" in output
    assert "3 of 4 hits would be treated differently" in output


def test_hits_that_are_none_and_configs_that_cannot_be_read_are_errors(folder):
    (folder / "empty.txt").write_text("# nothing\n")
    (folder / "bad.yaml").write_text("pixels: []")
    assert "holds no hits" in diff(folder, "old.yaml", "new.yaml", hits="empty.txt")[1].replace("\n", " ")
    assert diff(folder, "old.yaml", "bad.yaml")[0] == 1
