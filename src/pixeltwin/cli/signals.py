"""What the signals mean: SIGTERM and SIGINT stop, a second one hurries, SIGHUP reads the config file again."""

import asyncio
import signal
from collections.abc import Callable
from typing import Any


def stop_on_signals(stop: Callable[[], Any], hurry: Callable[[], Any]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT, `hurry` at every later one."""
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        for number in signals:
            loop.add_signal_handler(number, hurry)
        stop()

    for number in signals:
        loop.add_signal_handler(number, first)


def reload_on_hangup(reload: Callable[[], Any]) -> None:
    """Call `reload` at every SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
