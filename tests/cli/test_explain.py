"""`pixeltwin explain` with a config: who relays the browser's copy, and with which test event code the twin goes."""

import json
from pathlib import Path

import pytest
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
