"""The front processes of a gateway: started, watched, started again, told of another config, ended."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pixeltwin.config import Config
from pixeltwin.gateway.link import Kind, Link
from pixeltwin.telemetry import FRONT_ENDS, log

STARTING: Final = 60.0  # seconds; an import of mitmproxy takes two, on a busy machine more
APPLYING: Final = 10.0  # seconds for a front to take another config, before it is started again with it
STOPPING: Final = 4.5  # seconds to answer what is under way; the rest of a stop is for deliveries
STEADY: Final = 10.0  # seconds; a front that lives longer has not ended for what it met at its start
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 15.0)  # seconds before a start, by the ends in a row that came too soon
LOOP: Final = 3  # such ends in a row are worth telling


class Desk(Protocol):
    """The back's end of the link to one front. `served` counts the configs by which it has come to serve."""

    link: Link
    served: int

    async def hand_on(self, config: Config) -> None:
        """Return when the front serves by the config, or by one that was handed on later."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process, and what it has to say."""

    process: asyncio.subprocess.Process
    desk: Desk

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    async def take(self, config: Config, *, seconds: float) -> bool:
        """Hand the config on; whether it has come to count there, before the process ended and within the time."""
        taking, ending = (asyncio.ensure_future(one) for one in (self.desk.hand_on(config), self.process.wait()))
        await asyncio.wait((taking, ending), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        return not taking.cancel()

    def kill(self) -> None:
        if self.is_alive:
            self.process.kill()


@dataclass(slots=True, eq=False)
class Place:
    """One front's place: who has it, how many in a row have ended too soon, and how the last one did."""

    number: int
    running: Running | None = None
    too_soon: int = 0
    last_code: int | None = None
    task: asyncio.Task[None] | None = None

    @property
    def is_serving(self) -> bool:
        return self.running is not None and self.running.is_alive and self.running.desk.served > 0


class Fronts:
    """`command` starts a front; its end of the link follows, and the open files that all of them are `given`.

    `desk_of` makes the other end for a place.
    """

    def __init__(
        self, count: int, command: Sequence[str], desk_of: Callable[[int], Desk], given: Sequence[int] = ()
    ) -> None:
        self._places = [Place(number) for number in range(count)]
        self._command, self._desk_of, self._given = command, desk_of, given

    async def open(self, config: Config) -> None:
        """Start all of them. Raises `OSError` when one does not come to serve."""
        self._config = config
        await asyncio.gather(*map(self._start, self._places))
        for place in self._places:
            place.task = asyncio.create_task(self._watch(place))

    async def apply(self, config: Config) -> None:
        """Hand another config on; it counts everywhere when this returns. A front that fails is started with it."""
        self._config = config
        await asyncio.gather(*(self._hand_on(place.number, running) for place, running in self._running()))

    async def stop(self, seconds: float) -> None:
        """Let them answer what they have begun to, and end; whoever takes longer is killed."""
        for place in self._places:
            if place.task:
                place.task.cancel()
        for _, running in self._running():
            running.desk.link.send(Kind.STOP)
        if ends := [asyncio.ensure_future(running.process.wait()) for _, running in self._running()]:
            await asyncio.wait(ends, timeout=seconds)
            self.kill()
            await asyncio.wait(ends)

    def kill(self) -> None:
        for _, running in self._running():
            running.kill()

    def ready(self) -> str | None:
        """Why no hit is taken; None while one of them serves."""
        return None if any(place.is_serving for place in self._places) else "no front process serves"

    def report(self) -> Mapping[str, Any]:
        """How many serve of how many there should be, and which keep ending."""
        loops = [place for place in self._places if place.too_soon >= LOOP]
        trouble = [f"front {place.number} keeps ending, last with {place.last_code}" for place in loops]
        return {"serving": sum(place.is_serving for place in self._places), "of": len(self._places), "trouble": trouble}

    def _running(self) -> list[tuple[Place, Running]]:
        return [(place, place.running) for place in self._places if place.running]

    async def _watch(self, place: Place) -> None:
        """Start the front again whenever it has ended."""
        while True:
            began = time.monotonic()
            if place.running:
                place.last_code = await place.running.process.wait()
            place.too_soon = place.too_soon + 1 if time.monotonic() - began < STEADY else 0
            pause = PAUSES[min(place.too_soon, len(PAUSES) - 1)]
            FRONT_ENDS.labels(str(place.number)).inc()
            log.error("a front process has ended", front=place.number, code=place.last_code, starts_in=pause)
            await asyncio.sleep(pause)
            try:
                await self._start(place)
            except OSError as error:
                log.error("a front process does not start", front=place.number, error=str(error))

    async def _start(self, place: Place) -> None:
        """Put a process into the place. Raises `OSError` when it does not come to serve."""
        config, desk = self._config, self._desk_of(place.number)
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().create_unix_connection(lambda: desk.link, sock=ours)
        with theirs:
            fds = (theirs.fileno(), *self._given)
            command = (*self._command, *map(str, fds))
            process = await asyncio.create_subprocess_exec(*command, pass_fds=fds, stdin=asyncio.subprocess.DEVNULL)
        place.running = Running(process, desk)
        if not await place.running.take(config, seconds=STARTING):
            place.running.kill()
            raise OSError(f"front process {place.number} did not come to serve: see what it has logged")

    async def _hand_on(self, number: int, running: Running) -> None:
        if not await running.take(self._config, seconds=APPLYING):
            log.error("a front process did not take the config, and is started again", front=number)
            running.kill()
