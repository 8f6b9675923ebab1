"""The senders of one line: a worker for the twins and one for the browsers' copies, and how they come to an end."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from pixeltwin.config import Config
from pixeltwin.delivery.clocks import ClockGuard
from pixeltwin.delivery.destination import Destination
from pixeltwin.delivery.journal import Journal
from pixeltwin.delivery.outbox import Outbox
from pixeltwin.delivery.worker import Worker
from pixeltwin.destinations.conversions_api import ConversionsApi
from pixeltwin.destinations.pixel_relay import PixelRelay
from pixeltwin.gateway.line import Line
from pixeltwin.gateway.relays import Relays
from pixeltwin.gateway.twins import Twins

LINGER: Final = 0.1  # seconds a batch may fill; Meta wants events in real time, batches want company
SETTLING: Final = 1.0  # seconds for the outbox to hear how the posts have ended


class Senders:
    """They send from the moment they are made, in the loop they are made in, until `end` has returned."""

    def __init__(self, line: Line, outbox: Outbox, journal: Journal, guard: ClockGuard) -> None:
        config, names = line.config, line.names
        twins, relays = Twins(config, line.policy, line.sources, journal, line.memory), Relays(names)
        api = ConversionsApi(config.meta.graph, config.meta.graph_version, tokens_of(config))
        relay = PixelRelay(config.meta.pixel)
        self._destinations: tuple[Destination, ...] = (api, relay)
        alike: dict[str, Any] = {"lease_seconds": config.delivery.lease, "names": names, "guard": guard}
        self._workers = (
            Worker(outbox, api, twins.prepare, twins.report, linger=LINGER, **alike),
            Worker(outbox, relay, relays.prepare, relays.report, **alike),
        )
        self._tasks = [asyncio.create_task(worker.run()) for worker in self._workers]

    async def end(self, *, last_post: float, cut: float) -> None:
        """Deliver what is due, with no post that begins after `last_post` seconds or is under way after `cut`.

        What stays waits in the outbox. To call it again is to hasten it.
        """
        loop = asyncio.get_running_loop()
        for worker in self._workers:
            worker.stop()
        timers = [loop.call_later(last_post, self._halt), loop.call_later(cut, self.hurry)]
        _, stuck = await asyncio.wait(self._tasks, timeout=cut + SETTLING)
        for timer in timers:
            timer.cancel()
        for task in stuck:  # the outbox does not answer, or a source
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for destination in self._destinations:
            await destination.close()

    def hurry(self) -> None:
        """Give up the posts that are under way, and send nothing more."""
        for worker in self._workers:
            worker.cut()

    def _halt(self) -> None:
        for worker in self._workers:
            worker.halt()


def tokens_of(config: Config) -> Mapping[str, Callable[[], str]]:
    """The tokens of pixels by id, and those of rules by the rule's name."""
    tokens = {pixel.id: pixel.access_token.get_secret_value for pixel in config.pixels}
    for rule in config.rules:
        if (other := rule.then.pixel) and other.access_token:
            tokens[rule.name] = other.access_token.get_secret_value
    return tokens
