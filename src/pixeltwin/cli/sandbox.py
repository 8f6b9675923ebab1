"""`pixeltwin sandbox`: the sandbox Meta alone."""

import asyncio
import signal
from pathlib import Path

import typer

from pixeltwin.sandbox.app import create_app
from pixeltwin.sandbox.meta import Sandbox
from pixeltwin.sandbox.server import HOST, serving
from pixeltwin.telemetry import configure_logging


async def run_sandbox(*, port: int, journal: Path | None) -> int:
    """Serve until a signal stops it."""
    configure_logging()
    async with serving(create_app(Sandbox(journal=journal)), HOST, port) as url:
        typer.echo(f"sandbox Meta on {url} · what it saw: {url}/sandbox/events", err=True)
        await stop_signal()
    return 0


async def stop_signal() -> None:
    """Return when SIGTERM or SIGINT arrives."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
