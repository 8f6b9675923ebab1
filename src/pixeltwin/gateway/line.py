"""All that a config makes, but for the outbox, which outlives it: how hits are decided about, who knows customers.

A reload makes a new line beside the old one. What has not changed is handed over: a source with its cache and its
breaker, the memory of identities.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pixeltwin import kinds
from pixeltwin.config import Config, Pixel
from pixeltwin.enrich.memory import Memory
from pixeltwin.enrich.source import Source
from pixeltwin.gateway.items import Relay
from pixeltwin.gateway.policy import policy_of
from pixeltwin.gateway.routes import Routes, routes_of
from pixeltwin.gateway.throttle import Cells
from pixeltwin.kinds import KindSettings
from pixeltwin.mapping.sessions import sessions_of
from pixeltwin.mirror import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`pixels` are the config's by id, `relays` who brings their browsers' copies to Meta."""

    config: Config
    policy: Policy
    routes: Routes
    pixels: Mapping[str, Pixel]
    relays: Mapping[str, Relay]
    sources: dict[str, Source]
    memory: Memory | None

    @property
    def names(self) -> Mapping[str, str]:
        """The pixels' names by id."""
        return {pixel.id: pixel.name for pixel in self.pixels.values()}

    def name_of(self, pixel_id: str) -> str:
        """The pixel's name for metrics."""
        pixel = self.pixels.get(pixel_id)
        return pixel.name if pixel else "other"


def closed_line(config: Config, relay: Relay, cells: Cells) -> Line:
    """The config's line without its sources and its memory. `relay` is what pixels do that name none of their own.

    Hits are counted in the `cells`.
    """
    return Line(
        config=config,
        policy=policy_of(config, cells),
        routes=routes_of(config),
        pixels={pixel.id: pixel for pixel in config.pixels},
        relays={pixel.id: pixel.relay or relay for pixel in config.pixels},
        sources={},
        memory=None,
    )


async def open_line(config: Config, relay: Relay, cells: Cells, *, before: Line) -> Line:
    """The config's line, with what it shares with the one `before`. Raises `OSError` when something cannot be used."""
    made = replace(closed_line(config, relay, cells), sources=dict[str, Source]())
    try:
        for name in config.sources:
            made.sources[name] = _kept_source(name, config, before) or open_source(name, config)
        return replace(made, memory=_kept_memory(config, before) or await open_memory(config))
    except BaseException:
        await close_line(made, but=before)
        raise


async def close_line(line: Line, *, but: Line | None = None) -> None:
    """Close what the line holds, but for what another one holds too."""
    shared = {id(one) for one in _closers(but)} if but else set()
    for closer in _closers(line):
        if id(closer) not in shared:
            await closer.close()


def _closers(line: Line) -> list[Source | Memory]:
    return [*line.sources.values(), *([line.memory] if line.memory else [])]


def open_source(name: str, config: Config) -> Source:
    """The config's source of that name. Raises `OSError` when it cannot be used."""
    settings = _settings_of(name, config)
    source: Source = kinds.module_of(settings).open_source(settings, config.base)
    return source


def _settings_of(name: str, config: Config) -> KindSettings:
    """One of sessions remembers no answer unless it is told to: a login, and a logout, count for the next event."""
    settings = config.sources[name]
    is_told = "cache" in settings.model_fields_set
    if not is_told and name in {session.source for session in sessions_of(config.elements)}:
        return settings.model_copy(update={"cache": None})
    return settings


def _kept_source(name: str, config: Config, before: Line) -> Source | None:
    if name not in before.sources or before.config.base != config.base:
        return None
    is_same = _settings_of(name, before.config) == _settings_of(name, config)
    return before.sources[name] if is_same else None


async def open_memory(config: Config) -> Memory | None:
    """Where identities are remembered; None where none are. Raises `OSError` when it cannot be used."""
    if config.identity.remember is None:
        return None
    engine = kinds.module_of(config.identity.store)
    memory: Memory = await engine.open_memory(config.identity.store, base=config.base)
    return memory


def _kept_memory(config: Config, before: Line) -> Memory | None:
    is_same = before.config.identity.store == config.identity.store and before.config.base == config.base
    return before.memory if is_same and config.identity.remember is not None else None
