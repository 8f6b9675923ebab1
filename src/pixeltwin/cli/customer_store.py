"""What `pixeltwin customers` does. No message repeats a value.

What Meta matches people by is hashed before it is written. Custom data, facts, and ids that Meta wants as they are stay
readable, as far as the source's settings name them.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from pixeltwin.capi.normalize import NORMALIZERS
from pixeltwin.config import load_config
from pixeltwin.enrich.source import IDS, SAME_NAMES, Columns, parted
from pixeltwin.sources import embedded
from pixeltwin.sources.embedded.customer import Customer
from pixeltwin.sources.embedded.importing import KEY_COLUMNS, Report, import_customers
from pixeltwin.sources.embedded.store import Store

FINE: Final = 0
PROBLEM: Final = 1
KEYS: Final = (*NORMALIZERS, *IDS)  # of Meta's


def import_file(
    file: Path, config: Path, *, source: str | None = None, key: str | None = None, columns: Iterable[str] = ()
) -> int:
    """Import and report; PROBLEM if a row was refused."""
    settings, path = find_store(config, source)
    given = pairs(columns)
    store = Store(path)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with _bar(console) as bar:
            task = bar.add_task(file.name, total=file.stat().st_size)
            report = import_customers(
                file,
                store,
                key=(key,) if key else (settings.key, *KEY_COLUMNS),
                columns=importable(settings, given),
                default_country=settings.default_country,
                progress=lambda done: bar.update(task, completed=done),
            )
    finally:
        store.close()
    tell(report, console)
    return PROBLEM if report.refusals else FINE


def put_customer(key: str, values: Iterable[str], config: Path, *, source: str | None = None) -> int:
    """Store one customer; what cannot be used is named."""
    settings, path = find_store(config, source)
    customer = customer_of(key, values)

    async def work() -> list[str]:
        store = embedded.EmbeddedSource(path, settings.columns, settings.default_country)
        try:
            return await store.put_all([customer])
        finally:
            await store.close()

    for name in asyncio.run(work()):
        typer.echo(f"{name} cannot be used and was left out", err=True)
    return FINE


def find_store(config: Path, name: str | None) -> tuple[embedded.Settings, Path]:
    """The embedded source of that name, or the only one, and its file. Raises `ValueError` if there is none."""
    loaded = load_config(config)
    stores = {known: found for known, found in loaded.sources.items() if isinstance(found, embedded.Settings)}
    if name is None and len(stores) == 1:
        name = next(iter(stores))
    if name not in stores:
        known = ", ".join(stores) or "none"
        raise ValueError(f"say with --source which source of kind embedded is meant; {config} has: {known}")
    return stores[name], loaded.base / stores[name].path


def importable(settings: embedded.Settings, given: Mapping[str, str]) -> Columns:
    """The columns to import: those of the settings, those that bear Meta's names, and what was given besides."""
    named = SAME_NAMES if settings.columns.user_data else {}
    hashed, ids = parted({**named, **(settings.map or {}), **given})
    return replace(settings.columns, user_data=hashed, ids=ids)


def pairs(texts: Iterable[str]) -> Mapping[str, str]:
    """`em=…` as what it says, by Meta's keys. Raises `ValueError`, which does not repeat the value."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in KEYS:
            raise ValueError(f"write em=… with one of Meta's keys: {', '.join(KEYS)}")
        found[name] = value
    return found


def customer_of(key: str, texts: Iterable[str]) -> Customer:
    """`em=…`, `custom_data.plan=…` and `profile.orders=…` as a customer. Raises `ValueError` as `pairs` does."""
    readable: dict[str, dict[str, Any]] = {"custom_data": {}, "profile": {}}
    person = []
    for text in texts:
        name, _, value = text.partition("=")
        place, _, inner = name.partition(".")
        if place in readable and inner:
            readable[place][inner] = typed(value)
        else:
            person.append(text)
    return Customer(key, pairs(person), readable["custom_data"], readable["profile"])


def typed(text: str) -> Any:
    """A number, true or false as such, the rest as text."""
    try:
        value = orjson.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def tell(report: Report, console: Console) -> None:
    """What became of a file: counts, and the lines that were refused with the reason, never a value."""
    for line, reason in report.refused:
        console.print(Text(f"line {line}: {reason}", style="yellow"))
    if report.refusals > len(report.refused):
        console.print(Text(f"… and {report.refusals - len(report.refused):,} more", style="yellow"))
    for name, count in sorted(report.unusable.items()):
        console.print(Text(f"{name}: {count:,} values cannot be used and were left out", style="yellow"))
    console.print(f"{report.stored:,} stored, {report.refusals:,} refused")


def _bar(console: Console) -> Progress:
    parts = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    return Progress(*parts, console=console)
