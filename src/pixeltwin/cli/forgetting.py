"""`pixeltwin customers forget`: whatever is kept of a customer goes, wherever it is kept.

A customer is named by the key of the embedded store, by an e-mail address, a phone number or an external id, in plain
text or hashed. The outbox is not searched: what waits there is on its way.
"""

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import typer

from pixeltwin import kinds
from pixeltwin.capi.hashes import as_sha256
from pixeltwin.capi.normalize import hashes
from pixeltwin.config import Config, load_config
from pixeltwin.enrich.source import Profile
from pixeltwin.sources import embedded
from pixeltwin.sources.embedded.store import Store

TELLING: Final = ("em", "ph", "external_id")  # hashes that are one person's; a city's is half the world's


def forget_customers(keys: Collection[str], config: Path, *, source: str | None = None) -> int:
    """Remove customers; 1 if nothing was known of any of them."""
    loaded = load_config(config)
    stores = _stores(loaded, source)
    if not stores and loaded.identity.remember is None:
        raise ValueError(
            f"{config} keeps no customers: it has no source of kind embedded, and identity.remember is off"
        )
    told = {value for key in keys for value in _hashes_of(key)}
    gone = 0
    for path in stores:
        known, removed = _forgotten(path, keys)
        told |= {value for profile in known for name in TELLING for value in profile.user_data.get(name, ())}
        gone += removed
    remembered = asyncio.run(_forget_remembered(loaded, told))
    more = f", {remembered} remembered" if remembered else ""
    typer.echo(f"{gone} forgotten{more}")
    return 0 if gone or remembered else 1


def _stores(config: Config, name: str | None) -> list[Path]:
    """The embedded stores' files, or the one of that source. Raises `ValueError` for a source that is none."""
    found = {known: it for known, it in config.sources.items() if isinstance(it, embedded.Settings)}
    if name is not None and name not in found:
        known = ", ".join(found) or "none"
        raise ValueError(f"--source {name}: the sources of kind embedded are: {known}")
    return [config.base / it.path for known, it in found.items() if name in (None, known)]


def _hashes_of(key: str) -> Iterable[str]:
    """What the key may be remembered as."""
    if own := as_sha256(key):
        return (own,)
    return (value for name in TELLING for value in hashes(name, key))


def _forgotten(path: Path, keys: Collection[str]) -> tuple[Collection[Profile], int]:
    """What a store knew of the customers, and how many of them it had."""
    store = Store(path)
    try:
        return store.select(keys).values(), store.forget(keys)
    finally:
        store.close()


async def _forget_remembered(config: Config, told: Collection[str]) -> int:
    if config.identity.remember is None or config.identity.store.kind == "memory":  # that of the running gateway alone
        return 0
    memory = await kinds.module_of(config.identity.store).open_memory(config.identity.store, base=config.base)
    try:
        gone: int = await memory.forget(told)
        return gone
    finally:
        await memory.close()
