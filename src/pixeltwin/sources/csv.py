"""Kind `csv`: a file with a header, hashed into memory and read again when it changes. For up to 100,000 customers.

A new file that is broken is refused as a whole: the last good one goes on counting.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.profiles import profile_of
from pixeltwin.enrich.records import Refused, csv_records
from pixeltwin.enrich.source import CacheSettings, Profile, SourceSettings
from pixeltwin.telemetry import log

BIGGEST: Final = 64 << 20  # bytes; a bigger file belongs into an embedded store

type Version = tuple[int, int, int]  # when a file was written, its size, which file it is


class Settings(SourceSettings):
    """`path` is relative to the config file. `column` has the customer's key; the first one if it is not named."""

    kind: Literal["csv"]
    path: Path
    column: str | None = None
    cache: CacheSettings | None = None  # all of it is in memory anyway


class CsvQuery:
    """The customers of the file. Reading it may take longer than a look-up: who waits is told later."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self._settings = settings
        self._path = path
        self._customers: Mapping[str, Profile] | None = None
        self._seen: Version | None = None
        self._reading: asyncio.Task[None] | None = None
        self._closing = False

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Profile]:
        version = await asyncio.to_thread(self._version)
        if version != self._seen and self._reading is None:
            self._seen, self._reading = version, asyncio.create_task(self._read())
        if self._reading and self._customers is None:
            await asyncio.shield(self._reading)
        if self._customers is None:
            raise OSError(f"{self._path} cannot be used")
        return {key: found for key in keys if (found := self._customers.get(key))}

    async def close(self) -> None:
        self._closing = True
        if self._reading:
            await self._reading

    async def _read(self) -> None:
        try:
            reading = read_customers(self._path, self._settings, lambda: self._closing)
            self._customers = await asyncio.to_thread(dict, reading)
        except (OSError, ValueError) as error:
            kept = "" if self._customers is None else "the last good file counts on"
            log.warning("a file of customers cannot be used", error=str(error), instead=kept)
        finally:
            self._reading = None

    def _version(self) -> Version | None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def read_customers(path: Path, settings: Settings, is_over: Callable[[], bool]) -> Iterator[tuple[str, Profile]]:
    """Every customer's key and profile, until `is_over`: a thread cannot be stopped.

    Raises `OSError`, or `ValueError` for a file that is broken anywhere.
    """
    columns = settings.columns
    if not path.is_file():  # opening a pipe would wait for somebody who writes into it
        raise OSError(f"{path} is no file")
    with path.open(encoding="utf-8-sig", newline="") as file:
        if os.fstat(file.fileno()).st_size > BIGGEST:
            raise ValueError(f"{path} is bigger than 64 MiB: import it into a source of kind embedded")
        for record in csv_records(file):
            if is_over():
                return
            if isinstance(record, Refused):
                raise ValueError(f"{path}: line {record.line} {record.reason}")
            column = settings.column or next(iter(record.row))
            if column not in record.row:
                raise ValueError(f"{path} has no column {column!r}")
            profile = profile_of(record.row, columns, settings.default_country)
            yield record.row[column].strip(), profile


def open_source(settings: Settings, base: Path) -> Guarded:
    """The file of these settings; it is read at the first look-up."""
    return Guarded(CsvQuery(settings, base / settings.path), settings)
