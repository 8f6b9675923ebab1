"""config/compose.yaml and what it mounts: they fit together, and nginx in front of two gateways does what it says.

No container runs here: what Docker would start is started as processes, the files changed in nothing but addresses.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML
from tests.factories import PAGE, UA
from tests.outboxes.engines import schema_of, server
from tests.processes import BIN, ROOT, Meta, Process, free_port, sandbox, started, until

CONFIG = ROOT / "config"
READER = YAML(typ="safe")
COMPOSE = READER.load(CONFIG / "compose.yaml")
GATEWAY = READER.load(CONFIG / "compose.pixeltwin.yaml")
NGINX = (CONFIG / "nginx.conf").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
GATEWAYS = ["gateway-1", "gateway-2"]
WORKERS = ["worker-1", "worker-2"]
VISITOR = "198.51.100.23"


def test_there_are_two_gateways_and_two_workers_with_one_database_behind_nginx() -> None:
    assert set(SERVICES) == {"nginx", *GATEWAYS, *WORKERS, "postgres"}
    assert [SERVICES[name]["command"] for name in WORKERS] == [
        ["pixeltwin", "worker", "-c", "/config/pixeltwin.yaml"]
    ] * 2
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]


def test_every_image_has_a_version_and_every_service_a_health_check() -> None:
    """That of pixeltwin's is in the Dockerfile."""
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[a-z]+:\d+\.\d+[.\w-]*", service["image"]), name
        assert "healthcheck" in service or "build" in service, name


def test_every_secret_comes_from_the_environment_and_is_asked_for() -> None:
    given = {
        name: str(value) for service in SERVICES.values() for name, value in service.get("environment", {}).items()
    }
    for name in ("SHOP_TOKEN", "OUTBOX_DSN", "POSTGRES_PASSWORD"):
        assert re.search(r"\$\{(SHOP_TOKEN|POSTGRES_PASSWORD)", given[name]), name
    assert given["SHOP_TOKEN"].startswith("${SHOP_TOKEN:?")


def test_what_is_mounted_is_there_and_every_volume_is_declared_and_nobody_elses() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service["volumes"]]
    files, volumes = (
        [source for source, *_ in mounts if source.startswith(".") is is_file] for is_file in (True, False)
    )
    assert all((CONFIG / source).is_file() for source in files)
    assert sorted(volumes) == sorted(COMPOSE["volumes"])
    assert GATEWAY["outbox"]["spool"]["path"].startswith("/data/")  # where the volumes are


def test_nginx_knows_the_gateways_and_they_know_nginx() -> None:
    port = GATEWAY["server"]["listen"].rpartition(":")[2]
    assert re.findall(r"server (\S+) max_fails", NGINX) == [f"{name}:{port}" for name in GATEWAYS]
    address = SERVICES["nginx"]["networks"]["default"]["ipv4_address"]
    assert GATEWAY["server"]["trusted_proxies"] == [f"{address}/32"]


def test_gateways_leave_the_sending_to_the_workers() -> None:
    assert GATEWAY["delivery"] == {"senders": False}


def test_the_config_is_fine() -> None:
    env = {**os.environ, "SHOP_TOKEN": "x", "OUTBOX_DSN": "postgresql://pixeltwin:x@postgres/pixeltwin"}
    command = [BIN / "pixeltwin", "validate", "-c", CONFIG / "compose.pixeltwin.yaml"]
    assert subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@dataclass
class Stack:
    """nginx, two gateways, two workers, a database and a sandbox Meta."""

    url: str
    gateways: list[Process]
    workers: list[Process]
    meta: Meta

    def hit(self) -> str:
        """A visitor's hit through nginx; its event id."""
        event_id = secrets.token_hex(8)
        parameters = {"id": GATEWAY["pixels"][0]["id"], "ev": "ViewContent", "eid": event_id, "dl": PAGE}
        headers = {"host": "px.shop.example", "user-agent": UA, "x-forwarded-for": VISITOR}
        answer = httpx.get(f"{self.url}/tr/", params=parameters, headers=headers, trust_env=False, timeout=20)
        assert answer.status_code == 200
        return event_id

    def delivered(self) -> dict[str, dict]:
        return {event["event_id"]: event for event in self.meta.servers()}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not shutil.which("nginx"):
        pytest.skip("no nginx: apt-get install nginx-light")
    pytest.importorskip("asyncpg", reason="no asyncpg: pip install 'pixeltwin[postgres]'")
    folder, ports = tmp_path_factory.mktemp("compose"), [free_port() for _ in GATEWAYS]
    with ExitStack() as running:
        meta = running.enter_context(sandbox(folder))
        env, pixeltwin = {"OUTBOX_DSN": server()}, BIN / "pixeltwin"

        def start(command: str, port: int) -> Process:
            words = (pixeltwin, command, "-c", config(folder, meta, port))
            return running.enter_context(started(*words, log=folder / f"{port}.log", env=env))

        gateways = [start("run", port) for port in ports]
        workers = [start("worker", free_port()) for _ in WORKERS]
        for port, gateway in zip(ports, gateways, strict=True):
            assert until(lambda port=port: answers(f"http://127.0.0.1:{port}/"), patience=90), gateway.output()
        nginx_port = free_port()
        command = ("nginx", "-p", folder, "-g", f"daemon off; pid {folder}/nginx.pid;", "-c")
        subprocess.run([*command, nginx_conf(folder, nginx_port, ports), "-t"], check=True, capture_output=True)
        nginx = running.enter_context(
            started(*command, nginx_conf(folder, nginx_port, ports), log=folder / "nginx.log", port=nginx_port)
        )
        running.callback(nginx.stop)  # which ends its workers too, as killing it would not
        yield Stack(f"http://127.0.0.1:{nginx_port}", gateways, workers, meta)


def config(folder: Path, meta: Meta, port: int) -> Path:
    """compose.pixeltwin.yaml, at addresses of this machine; a worker's has any port. A dead one's lease ends soon."""
    ours = GATEWAY | {"meta": {"graph": meta.url, "pixel": meta.url}, "admin": None}
    ours["delivery"] = ours["delivery"] | {"lease": "20s"}
    ours["server"] = ours["server"] | {"listen": f"127.0.0.1:{port}", "trusted_proxies": ["127.0.0.1/32"]}
    ours["outbox"] = ours["outbox"] | {"schema": schema_of(folder), "spool": {"path": str(folder / f"{port}.db")}}
    path = folder / f"{port}.yaml"
    READER.dump(ours, path)
    return path


def nginx_conf(folder: Path, port: int, gateways: list[int]) -> Path:
    """nginx.conf, at addresses of this machine."""
    text = NGINX.replace("listen 80;", f"listen 127.0.0.1:{port};")
    for name, at in zip(GATEWAYS, gateways, strict=True):
        text = text.replace(f"{name}:8080", f"127.0.0.1:{at}")
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


def answers(url: str) -> bool:
    try:
        return bool(httpx.get(url, trust_env=False).status_code)
    except httpx.TransportError:
        return False


def test_nginx_says_that_it_is_well(stack: Stack) -> None:
    assert httpx.get(f"{stack.url}/nginx-health", trust_env=False).status_code == 204


@pytest.mark.timeout(240)
def test_a_visitor_notices_nothing_of_a_killed_gateway_and_worker_and_all_hits_are_delivered(stack: Stack) -> None:
    before = {stack.hit() for _ in range(20)}
    assert until(lambda: before <= set(stack.delivered()), patience=60), [one.output() for one in stack.workers]
    stack.gateways[0].stop(signal.SIGKILL)
    stack.workers[0].stop(signal.SIGKILL)
    after = {stack.hit() for _ in range(20)}
    assert until(lambda: after <= set(stack.delivered()), patience=60)
    assert {stack.delivered()[one]["user_data"]["client_ip_address"] for one in before | after} == {VISITOR}
