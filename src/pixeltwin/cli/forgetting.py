"""`pixeltwin customers forget`: whatever is kept of a customer goes, wherever it is kept.

A customer is named by the key of a source, by an e-mail address, a phone number or an external id, in plain text or
hashed. The gateway that runs does it: the outbox is open there, and the caches are its own. Where none runs, or none
that lets us, it is done here, on the files and in the database.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Final

import typer

from pixeltwin.cli.outbox_access import by_gateway, opened
from pixeltwin.config import Config, load_config
from pixeltwin.enrich.source import Source
from pixeltwin.errors import UnreachableError
from pixeltwin.gateway.forgetting import Forgotten, Keepers, forget
from pixeltwin.gateway.line import open_memory, open_source

AGAIN: Final = 10.0  # seconds until what was on its way to Meta has got there or come back, nearly always
PLACES: Final[Mapping[str, str]] = {
    "customers": "in stores",
    "remembered": "remembered",
    "waiting": "waiting",
    "letters": "letters",
    "cached": "cached",
    "shown": "shown",
}
NO_TOKEN: Final = (
    "what the gateway that runs has in its memory stays: "  # noqa: S105  a sentence
    "set admin.token in the config file and start it again, or stop it first"
)


def forget_customers(keys: Collection[str], config: Path, *, source: str | None = None) -> int:
    """Remove customers; 1 if nothing was known of any of them, or if it could not be done everywhere."""
    loaded = load_config(config)
    if source is not None and source not in loaded.sources:
        raise ValueError(f"--source {source}: the sources are: {', '.join(loaded.sources) or 'none'}")
    return asyncio.run(_forget(loaded, keys, source))


async def _forget(config: Config, keys: Collection[str], source: str | None) -> int:
    told, is_everywhere = await _forgotten(config, keys, source)
    _tell(told)
    found, left = told.total, told.leased
    if left:
        typer.echo(f"{left} are on their way to Meta: once more in {AGAIN:g} s", err=True)
        await asyncio.sleep(AGAIN)
        told, is_everywhere = await _forgotten(config, keys, source)
        _tell(told)
        found, left = found + told.total, told.leased
    if left:
        typer.echo(f"{left} are on their way to Meta still: run this once more", err=True)
    if told.unreadable:
        typer.echo(f"{told.unreadable} of the outbox could not be searched: their encryption key is missing", err=True)
    return 0 if found and is_everywhere and not left and not told.unreadable else 1


def _tell(told: Forgotten) -> None:
    numbers = asdict(told)
    typer.echo("forgotten: " + ", ".join(f"{numbers[name]} {place}" for name, place in PLACES.items()))


async def _forgotten(config: Config, keys: Collection[str], source: str | None) -> tuple[Forgotten, bool]:
    """What went, and whether every place could be reached."""
    async with AsyncExitStack() as stack:
        try:
            gateway = await stack.enter_async_context(by_gateway(config, "it is done here"))
        except UnreachableError:
            return await _forgotten_here(config, keys, source)
        if gateway.may_change:
            return Forgotten(**await gateway.forget(keys, source)), True
    typer.echo(NO_TOKEN, err=True)
    told, _ = await _forgotten_here(config, keys, source)
    return told, False


async def _forgotten_here(config: Config, keys: Collection[str], source: str | None) -> tuple[Forgotten, bool]:
    async with AsyncExitStack() as stack:
        is_everywhere = True
        try:
            outbox = await opened(config)
        except OSError as error:
            typer.echo(f"the outbox was not searched: {error}", err=True)
            outbox, is_everywhere = None, False
        memory = await open_memory(config)
        for closer in (outbox, memory):
            if closer:
                stack.push_async_callback(closer.close)
        keepers = Keepers(sources=await _sources(config, stack), outbox=outbox, memory=memory)
        return await forget(config, keepers, keys, source), is_everywhere


async def _sources(config: Config, stack: AsyncExitStack) -> dict[str, Source]:
    """The sources that can be opened; of one that cannot, the customers' hashes are not learnt."""
    sources: dict[str, Source] = {}
    for name in config.sources:
        try:
            sources[name] = open_source(name, config)
        except OSError as error:
            typer.echo(f"source {name}: {error}", err=True)
        else:
            stack.push_async_callback(sources[name].close)
    return sources
