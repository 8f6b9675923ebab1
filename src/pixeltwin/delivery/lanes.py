"""How each pixel fares, and the host that all of them are sent to: who may be posted for now, who is left alone.

A pixel that is left alone is parked in the outbox, so that every worker knows; when that is over, one event goes first.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pixeltwin.delivery.backoff import LONGEST_PARK, park_seconds
from pixeltwin.delivery.breaker import Breaker, State
from pixeltwin.delivery.destination import Destination, Misconfigured, Throttled
from pixeltwin.delivery.doubt import Doubt
from pixeltwin.delivery.outbox import Outbox, Park
from pixeltwin.telemetry import BREAKERS, PARKED, log

NO_NAMES: Final[Mapping[str, str]] = MappingProxyType({})
HOST: Final = ""  # its label among those of the pixels


class Cause(StrEnum):
    """Why a pixel is parked; the park's reason begins with it."""

    BREAKER = "breaker"
    THROTTLE = "throttle"
    SETUP = "setup"


@dataclass(slots=True, kw_only=True)
class Lane:
    """One pixel. `largest` is how many events a batch may hold, `parks` how often it was parked since it was taken."""

    pixel_id: str
    label: str
    slots: asyncio.Semaphore
    breaker: Breaker = field(default_factory=Breaker)
    largest: int
    parks: int = 0
    cause: Cause | None = None
    complaint: str = ""  # what a human was told already
    doubt: Doubt | None = None
    taken_at: float = -math.inf
    shown: tuple[State, Cause | None] | None = None  # what the gauges say


class Lanes:
    """The pixels of one destination, by id. `names` are the labels that metrics know them by.

    `clock` tells unix seconds, for what the outbox keeps; `ticks` a steady time, which no clock change touches.
    """

    def __init__(
        self,
        destination: Destination,
        outbox: Outbox,
        names: Mapping[str, str] = NO_NAMES,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination = destination
        self._outbox = outbox
        self._names = names
        self._clock = clock
        self._ticks = ticks
        self._lanes: dict[str, Lane] = {}
        self.host = Breaker()
        self._shown: State | None = None  # what the host's gauge says

    def of(self, pixel_id: str) -> Lane:
        if pixel_id not in self._lanes:
            self._lanes[pixel_id] = Lane(
                pixel_id=pixel_id,
                label=self._names.get(pixel_id, "other"),
                slots=asyncio.Semaphore(self._destination.max_posts_of_a_pixel),
                largest=self._destination.max_batch,
            )
        return self._lanes[pixel_id]

    def rest_seconds(self) -> float:
        """For how long the host is left alone from now on."""
        return 0.0 if self.host.is_closed else max(0.0, self.host.until - self._ticks())

    def admits(self, lane: Lane, events: int) -> bool:
        """Whether a post of so many events of the pixel may go now; its end has to be told."""
        if events > 1 and not (self.host.is_closed and lane.breaker.is_closed):
            return False
        now = self._ticks()
        return self.host.state(now) is not State.OPEN and lane.breaker.admits(now) and self.host.admits(now)

    async def answered(self, lane: Lane) -> None:
        """A post was taken, or refused for its data: the host and the pixel's set-up are all right."""
        self.host.succeeded()
        if lane.breaker.succeeded():
            await self._unpark(lane)
        self._show(lane)

    async def failed(self, lane: Lane, reason: str) -> None:
        """Nobody answered, or with a passing fault."""
        now = self._ticks()
        if self.host.failed(now):
            log.warning("the host is left alone", destination=self._destination.name, reason=reason)
        if lane.breaker.failed(now):
            lane.cause = Cause.BREAKER
            await self._store(lane, self._until(lane), reason)
        self._show(lane)

    async def park(self, lane: Lane, verdict: Throttled | Misconfigured) -> None:
        """Leave the pixel alone, the longer the more often."""
        self.host.succeeded()  # it is there, and refuses this pixel alone
        cause = Cause.THROTTLE if isinstance(verdict, Throttled) else Cause.SETUP
        if lane.cause is cause and lane.breaker.state(self._ticks()) is State.OPEN:
            return  # the post was under way when another met the same
        self._tell(lane, verdict)
        after = verdict.after if isinstance(verdict, Throttled) else None
        lane.breaker.open(self._ticks() + park_seconds(lane.parks, after))
        lane.cause, lane.parks = cause, lane.parks + 1
        self._show(lane)
        await self._store(lane, self._until(lane), verdict.reason)

    def _tell(self, lane: Lane, verdict: Throttled | Misconfigured) -> None:
        """One line, that of a set-up fault once until it is mended."""
        of = {"pixel": lane.label, "pixel_id": lane.pixel_id, "destination": self._destination.name}
        if isinstance(verdict, Throttled):
            log.warning("a pixel is throttled", reason=verdict.reason, **of)
        elif lane.complaint != verdict.reason:
            lane.complaint = verdict.reason
            log.error("a pixel is refused: its events wait", reason=verdict.reason, to_do=verdict.remedy, **of)

    async def refresh(self) -> None:
        """Learn of parks that others began or ended, and of those of an earlier run."""
        parks = {
            pixel_id: park
            for (destination, pixel_id), park in (await self._outbox.parks()).items()
            if destination == self._destination.name
        }
        for pixel_id, park in parks.items():
            self._adopt(self.of(pixel_id), park)
        for lane in self._lanes.values():
            if lane.cause and lane.pixel_id not in parks and lane.breaker.state(self._ticks()) is State.OPEN:
                lane.breaker.open(self._ticks())  # somebody ended it by hand
            lane.shown = None  # others may have set the gauges
            self._show(lane)

    async def shorten(self) -> None:
        """The clock was turned back: no park may last until it is there again."""
        latest = self._clock() + LONGEST_PARK
        for (destination, pixel_id), park in (await self._outbox.parks()).items():
            if destination == self._destination.name and park.until > latest:
                await self._outbox.park(destination, pixel_id, until=latest, reason=park.reason)

    def _adopt(self, lane: Lane, park: Park) -> None:
        if lane.breaker.is_closed:
            lane.breaker.open(self._ticks() + park.until - self._clock())
            lane.cause = next((cause for cause in Cause if park.reason.startswith(cause)), Cause.BREAKER)

    async def _unpark(self, lane: Lane) -> None:
        log.info("a pixel is delivered again", pixel=lane.label, pixel_id=lane.pixel_id)
        lane.cause, lane.complaint, lane.parks = None, "", 0
        await self._store(lane, 0.0, "")

    async def _store(self, lane: Lane, until: float, reason: str) -> None:
        reason = f"{lane.cause}: {reason}" if lane.cause else ""
        try:
            await self._outbox.park(self._destination.name, lane.pixel_id, until=until, reason=reason)
        except OSError as error:  # this worker heeds it all the same
            log.error("a park could not be kept", pixel=lane.label, error=str(error))

    def _until(self, lane: Lane) -> float:
        return self._clock() + lane.breaker.until - self._ticks()

    def _show(self, lane: Lane) -> None:
        """Set the gauges, where they say something else: all is asked after every post, and hardly ever changes."""
        name, now = self._destination.name, self._ticks()
        host, pixel = self.host.state(now), lane.breaker.state(now)
        if self._shown is host and lane.shown == (pixel, lane.cause):
            return
        self._shown, lane.shown = host, (pixel, lane.cause)
        BREAKERS.labels(name, HOST).set(host)
        BREAKERS.labels(name, lane.label).set(pixel)
        for cause in Cause:
            PARKED.labels(name, cause).set(sum(other.cause is cause for other in self._lanes.values()))
