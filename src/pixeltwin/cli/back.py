"""`pixeltwin run --workers N`: N front processes on one port, and in this process whatever is behind them."""

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from math import ceil
from pathlib import Path
from typing import Final

from pixeltwin.cli.collector import collect_seldom
from pixeltwin.cli.run import open_gateway, read_config
from pixeltwin.cli.signals import reload_on_hangup, stop_on_signals
from pixeltwin.config import Config, Listen
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway import Reloader
from pixeltwin.gateway.back import Back
from pixeltwin.telemetry import configure_logging, log

MOST: Final = 4  # fronts, unless more are asked for; the process behind them is busy with four: bench_workers.py
LEFT_OVER: Final = 3.0  # seconds for the fronts of a back that was killed to end
QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
FRONT: Final = (sys.executable, "-P", "-m", "pixeltwin.cli.front")  # -P: nothing is imported from the working directory


async def run_back(path: Path, count: int, lane: str = "fast") -> int:
    """Run until a signal stops it; 0 when it ended as it should."""
    configure_logging()
    config = read_config(path)
    for warning in config.warnings:
        log.warning("config", warning=str(warning))
    _refuse_any_port(path, config)
    await _reserve(config.server.listen)
    gateway, stopping = Back(config, relay="background", count=count, command=(*FRONT, lane)), asyncio.Event()
    reloader = Reloader(gateway, lambda running: read_config(path, running))
    async with AsyncExitStack() as stack:
        await open_gateway(gateway, stack, reloader)
        stop_on_signals(stopping.set, gateway.hurry)
        reload_on_hangup(reloader.begin)
        admin = str(config.admin.listen) if config.admin else "off"
        log.info("pixeltwin runs", listen=str(config.server.listen), admin=admin, config=config.digest, workers=count)
        collect_seldom()
        await stopping.wait()
        await gateway.close()
    log.info("pixeltwin has stopped")
    return 0


def cores() -> int:
    """How many front processes there are unless somebody says so: one for each core that we may use, at most `MOST`."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, _quota() or available, MOST)


def _quota() -> int | None:
    """The cores that a container may use; None where nobody says so."""
    try:
        quota, period = map(int, QUOTA.read_text().split())
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return None
    return max(1, ceil(quota / period))


def _refuse_any_port(path: Path, config: Config) -> None:
    if config.server.listen.port == 0:
        found, remedy = "port 0, of which every front process would make another", "name a port, or use --workers 1"
        raise ConfigError([Problem(str(path), 0, 0, "server.listen", found, remedy)])


async def _reserve(listen: Listen) -> None:
    """Make sure that nobody else listens there: processes that share a port would share it with anybody.

    Raises `OSError`.
    """
    deadline = time.monotonic() + LEFT_OVER
    while True:
        try:
            server = await asyncio.start_server(lambda *_: None, listen.host, listen.port, start_serving=False)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            server.close()
            return
