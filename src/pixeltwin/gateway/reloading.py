"""Reading the config file again while the gateway runs: all of it counts from the next hit on, or nothing does."""

import asyncio
from collections.abc import Callable, Sequence

from pixeltwin.config import Config
from pixeltwin.errors import ConfigError, Problem
from pixeltwin.gateway.gateway import Gateway
from pixeltwin.telemetry import CONFIG_RELOADS, log


class Reloader:
    """Reloads for one gateway, one reload after the other.

    `read` makes the config that replaces the one it is given, or raises `ConfigError`. `applied` hears of each that
    the gateway has taken.
    """

    def __init__(
        self, gateway: Gateway, read: Callable[[Config], Config], applied: Callable[[Config], None] | None = None
    ) -> None:
        self._gateway = gateway
        self._read = read
        self._applied = applied
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Sequence[Problem]]] = set()

    @property
    def config_digest(self) -> str:
        return self._gateway.config_digest

    async def reload(self) -> Sequence[Problem]:
        """Read the file again; answers what is wrong with it, and then nothing has changed."""
        return await asyncio.shield(self.begin())  # whoever asked may go away

    def begin(self) -> "asyncio.Task[Sequence[Problem]]":
        """As `reload`, without waiting for it."""
        task = asyncio.get_running_loop().create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _reload(self) -> Sequence[Problem]:
        async with self._lock:
            try:
                config = await asyncio.to_thread(self._read, self._gateway.config)
                await self._gateway.apply(config)
            except ConfigError as error:
                return _refused("refused", error.problems)
            except Exception as error:
                if not isinstance(error, OSError):
                    log.exception("a reload failed")
                return _refused("failed", [_unusable(error)])
            if self._applied:
                self._applied(config)
            CONFIG_RELOADS.labels("applied").inc()
            for warning in config.warnings:
                log.warning("config", warning=str(warning))
            log.info("the config was reloaded", config=config.digest)
            return ()


def _refused(result: str, problems: Sequence[Problem]) -> Sequence[Problem]:
    CONFIG_RELOADS.labels(result).inc()
    for problem in problems:
        log.error("the config was not reloaded: nothing has changed", problem=str(problem))
    return problems


def _unusable(error: Exception) -> Problem:
    """What the file names and cannot be had, a source's database for one."""
    found = str(error) if isinstance(error, OSError) else f"a fault of ours: {type(error).__name__}, see the log"
    return Problem("", 0, 0, "the config", found, "mend that, or put the file back")
