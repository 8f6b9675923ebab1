"""What a config's own sources say about the customers of recorded hits: `--look-up`."""

import asyncio
from types import TracebackType
from typing import Any, Self

from pixeltwin.config import Config
from pixeltwin.enrich.source import Source
from pixeltwin.gateway.dry_run import decide, look_ups_of
from pixeltwin.gateway.line import open_source
from pixeltwin.gateway.look_ups import Found, Keys, Profiles
from pixeltwin.mirror import Policy
from pixeltwin.pixel.request import HitRequest


class Asking:
    """The sources of one config, to be asked about one hit after the other; each is opened when it is first asked.

    `silent` says of each source that did not answer why; the hits go on without it, as they do in a gateway.
    """

    def __init__(self, config: Config, policy: Policy) -> None:
        self.silent: dict[str, str] = {}
        self._config, self._policy = config, policy
        self._sources: dict[str, Source] = {}
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._runner:
            self._runner.run(self._close())

    def profiles(self, request: HitRequest) -> Profiles:
        """What the sources know of the hit's customers and orders."""
        look_ups = look_ups_of(decide(request, self._policy), self._policy)
        return self._runner.run(look_ups.answered(self._ask))

    async def _ask(self, wanted: Keys) -> Found:
        found: dict[str, Any] = {}
        for name, keys in wanted.items():
            try:
                found[name] = await self._source(name).look_up(keys)
            except OSError as error:
                found[name] = None
                self.silent.setdefault(name, str(error) or type(error).__name__)
        return found

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            self._sources[name] = open_source(name, self._config)
        return self._sources[name]

    async def _close(self) -> None:
        for source in self._sources.values():
            await source.close()
