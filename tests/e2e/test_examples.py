"""What a reader may paste is run: the config files, and the README's YAML and commands."""

import re
from pathlib import Path

import httpx
import pytest
from tests.processes import BIN, ROOT, free_port, started
from typer.testing import CliRunner

from pixeltwin.cli import app
from pixeltwin.config import Config

README = (ROOT / "README.md").read_text()
COMMANDS = [
    *(command.name or command.callback.__name__ for command in app.registered_commands if command.callback),
    *(group.name for group in app.registered_groups if group.name),
]
NAMES = ("SHOP_TOKEN", "UID_KEY", "INGEST_KEY", "ADMIN_TOKEN", "PARTNER_TOKEN")
ENV = dict.fromkeys(NAMES, "a-secret")
BESIDE = """
pixels: [{ id: "1234567890123456", access_token: "${SHOP_TOKEN}" }]
elements: { customer_id: { signed_cookie: uid, key: "${UID_KEY}" } }
"""


def yaml_blocks() -> list[str]:
    """The README's configs; sections that stand alone are shown without the pixels that go with them."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    return [block if "pixels:" in block else f"{BESIDE}{block}" for block in blocks]


@pytest.mark.parametrize("text", yaml_blocks())
def test_the_readme_s_configs_load(text, tmp_path):
    assert Config.from_text(text, base=tmp_path, env=ENV).pixels


def test_the_readme_names_only_commands_that_exist():
    named = set(
        re.findall(r"pixeltwin (\w+)(?: |`|\n)", " ".join(re.findall(r"`[^`]*`|```sh.*?```", README, re.DOTALL)))
    )
    known = set(COMMANDS)
    assert named
    assert named <= known


def test_every_command_explains_itself():
    for name in COMMANDS:
        assert CliRunner().invoke(app, [name, "--help"]).exit_code == 0


@pytest.mark.parametrize("name", ["minimal.yaml", "full.yaml"])
def test_the_shipped_configs_run(name, tmp_path):
    """As they are, but for ports that are free here."""
    port, admin = free_port(), free_port()
    text = (ROOT / "config" / name).read_text()
    text = text.replace("listen: 127.0.0.1:8080", f"listen: 127.0.0.1:{port}")
    text = text.replace("listen: 127.0.0.1:8090", f"listen: 127.0.0.1:{admin}")
    if "server:" not in text:
        text += f"\nserver: {{ listen: 127.0.0.1:{port} }}\nadmin: {{ listen: 127.0.0.1:{admin} }}\n"
    config = tmp_path / name
    config.write_text(text)
    with started(BIN / "pixeltwin", "run", "-c", config, log=tmp_path / "log", port=port, env=ENV) as process:
        assert httpx.get(f"http://127.0.0.1:{admin}/readyz", trust_env=False).status_code == 200
        assert process.stop() == 0, process.output()


def test_the_dockerfile_installs_as_the_readme_does():
    dockerfile = Path(ROOT / "Dockerfile").read_text()
    for step in ("-r config/requirements.lock", "--no-deps ."):
        assert step in dockerfile
        assert step in README


def test_the_lock_names_no_registry():
    assert not re.search(r"https?://|--index-url|--find-links", (ROOT / "config/requirements.lock").read_text())
