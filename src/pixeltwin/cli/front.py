"""A front process, which `pixeltwin run --workers` starts: `python -m pixeltwin.cli.front LANE SOCKET TABLE`."""

import asyncio
import os
import signal
import socket
from typing import NoReturn, cast

import typer

from pixeltwin.cli.collector import collect_seldom
from pixeltwin.cli.ending import finish
from pixeltwin.gateway.front import Behind, Front
from pixeltwin.gateway.throttle import Cells
from pixeltwin.proxy.embedded import Embedded
from pixeltwin.proxy.lanes import Lane
from pixeltwin.telemetry import configure_logging, log


async def run_front(lane: Lane, ours: socket.socket, cells: Cells) -> int:
    """Take hits until the back says that it is enough, or has gone, or SIGTERM does."""
    configure_logging()
    behind = Behind(_end_at_once)
    await behind.connect(ours)
    config = await behind.next_config()
    if config is None:
        return 1
    gateway = Front(config, relay="background", behind=behind, cells=cells)
    server = Embedded(gateway, lane, shared=True)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    following = asyncio.create_task(_follow(behind, gateway, server))
    collect_seldom()
    await server.run()
    if following.done():
        following.result()
    return 0


def _end_at_once() -> NoReturn:
    """As if we had been killed with the process behind us: browsers get no answer to what it may not have kept."""
    log.error("the process behind this front has gone")
    os._exit(1)


async def _follow(behind: Behind, gateway: Front, server: Embedded) -> None:
    """Serve by whatever config there is, until there is none any more."""
    try:
        await server.opened()
        behind.tell_serving()
        while config := await behind.next_config():
            await gateway.apply(config)
            server.apply(config)
            behind.tell_serving()
    finally:
        server.stop()


def main(lane: str, link: int, rates: int) -> None:
    """`link` is the open file of this end of the link, `rates` that of the table of rates."""
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all; the back acts on them
        signal.signal(number, signal.SIG_IGN)
    finish(lambda: asyncio.run(run_front(cast("Lane", lane), socket.socket(fileno=link), Cells(rates))))


if __name__ == "__main__":
    typer.run(main)
