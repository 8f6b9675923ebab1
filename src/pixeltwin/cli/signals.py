"""What the signals mean: SIGTERM and SIGINT stop, a second one hurries, SIGHUP reads the config file again."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Final

from pixeltwin.telemetry import log

GIVE_UP: Final = 12.0  # seconds; a stop takes 10 at most, where its disk and its database answer


def stop_on_signals(stop: Callable[[], Any], hurry: Callable[[], Any]) -> None:
    """Call `stop` at the first SIGTERM or SIGINT, `hurry` at every later one.

    A process that is still there after `GIVE_UP` seconds ends as if it was killed, which the outbox survives.
    """
    loop, signals = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)

    def first() -> None:
        for number in signals:
            loop.add_signal_handler(number, hurry)
        watch = threading.Timer(GIVE_UP, _give_up)
        watch.daemon = True
        watch.start()
        stop()

    for number in signals:
        loop.add_signal_handler(number, first)


def _give_up() -> None:
    """Threads that hang in a system call let nobody exit who waits for them."""
    log.error("the stop was given up: a disk or a database does not answer; what was acknowledged is in the outbox")
    os._exit(1)


def reload_on_hangup(reload: Callable[[], Any]) -> None:
    """Call `reload` at every SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
