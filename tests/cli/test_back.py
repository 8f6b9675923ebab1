"""How many front processes there are, and that they share their port with nobody else."""

import os
import socket
from pathlib import Path

import pytest

from pixeltwin.cli import back
from pixeltwin.config import Config, Listen
from pixeltwin.errors import ConfigError


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000\n", 64), ("150000 100000\n", 2), ("50000 100000\n", 1), ("6400000 100000\n", 64), ("?", 64)],
)
def test_a_container_s_quota_counts_like_cores(monkeypatch, tmp_path, quota, cores):
    (file := tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(back, "QUOTA", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert back.cores() == min(cores, back.MOST)


def test_without_a_quota_the_cores_we_may_use_count(monkeypatch, tmp_path):
    monkeypatch.setattr(back, "QUOTA", tmp_path / "nothing")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert back.cores() == 3


def test_a_port_that_the_system_is_to_choose_cannot_be_shared():
    pixels = 'pixels: [{ id: "1234567890123456", access_token: "${SECRET}" }]\n'
    text = f"server: {{ listen: 127.0.0.1:0 }}\n{pixels}"
    config = Config.from_text(text, base=Path(), env={"SECRET": "a-secret-of-the-test"})
    with pytest.raises(ConfigError, match=r"server\.listen.*--workers 1"):
        back._refuse_any_port(Path("pixeltwin.yaml"), config)


async def test_a_port_that_somebody_else_shares_is_refused(monkeypatch):
    monkeypatch.setattr(back, "LEFT_OVER", 0.2)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = Listen("127.0.0.1", other.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await back._reserve(listen)
    await back._reserve(listen)
