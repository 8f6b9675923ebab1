"""A file of customers into the store: read here, hashed on every processor, written in the file's order."""

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from io import TextIOWrapper
from itertools import batched, chain
from pathlib import Path
from typing import Final, NamedTuple

from pixeltwin.capi.normalize import hashes
from pixeltwin.enrich.guarded import is_askable
from pixeltwin.enrich.profiles import EVERY_KEY, Hasher, profile_of, texts_of
from pixeltwin.enrich.records import Record, Refused, csv_records, json_records
from pixeltwin.enrich.source import Columns, Row
from pixeltwin.sources.embedded.store import Store, Stored

JSON_LINES: Final = {".jsonl", ".ndjson", ".json"}
KEY_COLUMNS: Final = ("key", "external_id")  # where the customer's key is, when nobody says
CHUNK: Final = 2000  # rows hashed at once and written in one transaction
MEMO: Final = 4096  # hashes remembered for a chunk: names, cities and countries come again and again
POOL_FROM: Final = 2 << 20  # bytes of a file; below, starting processes takes longer than hashing
KEPT_REFUSALS: Final = 100  # of a report; a wrong file has a refusal a line

NOTHING: Final = "has nothing that Meta matches people by"
NOTHING_NAMED: Final = "has nothing that the source's settings name"

type Chunk = list[Record | Refused]


class Plan(NamedTuple):
    """In which column a row has its customer's key, and where everything else is."""

    key: str
    columns: Columns
    default_country: str | None = None


class Hashed(NamedTuple):
    """What became of a chunk. `unusable` counts values that were left out, by name."""

    rows: list[Stored]
    refused: list[Refused]
    unusable: Counter[str]


@dataclass(slots=True)
class Report:
    """What became of a file. `refused` has the first lines that were not stored, `refusals` is how many there are."""

    stored: int = 0
    refusals: int = 0
    refused: list[Refused] = field(default_factory=list)
    unusable: Counter[str] = field(default_factory=Counter)

    def add(self, done: Hashed) -> None:
        self.stored += len(done.rows)
        self.refusals += len(done.refused)
        self.refused += done.refused[: KEPT_REFUSALS - len(self.refused)]
        self.unusable += done.unusable


def import_customers(
    path: Path,
    store: Store,
    *,
    key: tuple[str, ...],
    columns: Columns = EVERY_KEY,
    default_country: str | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Store every customer of the file; `key` has the columns that may hold a customer's key, best first.

    The file may lack columns that bear one of Meta's keys as their name, and no others of `columns`.
    `progress` is told the bytes read. Raises `OSError`, or `ValueError` for a file that cannot be used at all.
    """
    report = Report()
    with path.open("rb") as file, _hashing(path.stat().st_size) as hash_all:
        text = TextIOWrapper(file, "utf-8-sig", newline="")  # named, as it closes the file when it goes
        first, records = _peek(_records(path, text))
        plan = Plan(_key_column(first, key), _columns(path, first, columns), default_country)
        chunks = (list(chunk) for chunk in batched(records, CHUNK))
        for done in hash_all(plan, chunks):
            store.write(done.rows)
            report.add(done)
            progress(file.tell())
    return report


def hash_chunk(plan: Plan, chunk: Chunk) -> Hashed:
    """What can be stored of these rows."""
    done, remembering = Hashed([], [], Counter()), lru_cache(MEMO)(hashes)
    for record in chunk:
        if isinstance(record, Refused):
            done.refused.append(record)
        elif isinstance(outcome := _stored(plan, record.row, remembering, done.unusable), str):
            done.refused.append(Refused(record.line, outcome))
        else:
            done.rows.append(outcome)
    return done


def _stored(plan: Plan, row: Row, hashes: Hasher, unusable: Counter[str]) -> Stored | str:
    """The row as it is stored, or why it is not."""
    key = "".join(texts_of(row.get(plan.key))).strip()
    if not is_askable(key):
        return f"{plan.key} cannot be a customer's key" if key else f"{plan.key} is empty"
    profile = profile_of(row, plan.columns, plan.default_country, hashes)
    if profile.is_empty:
        return NOTHING_NAMED if plan.columns.custom_data or plan.columns.facts else NOTHING
    if profile.left_out:
        unusable.update(profile.left_out)
    return Store.record(key, profile)


def _records(path: Path, lines: Iterable[str]) -> Iterator[Record | Refused]:
    read = json_records if path.suffix.lower() in JSON_LINES else csv_records
    try:
        yield from read(lines)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8") from None


def _peek(records: Iterator[Record | Refused]) -> tuple[Row, Iterator[Record | Refused]]:
    """The first row, and all records still."""
    before: Chunk = []
    for record in records:
        before.append(record)
        if isinstance(record, Record):
            return record.row, chain(before, records)
    raise ValueError("the file has no rows")


def _key_column(row: Row, candidates: tuple[str, ...]) -> str:
    # no message shows the header: of a file without one it is somebody's data
    if found := next((name for name in candidates if name in row), None):
        return found
    raise ValueError(f"no column is named {' or '.join(candidates)}: say with --key which one has the customer's key")


def _columns(path: Path, row: Row, columns: Columns) -> Columns:
    """Those that the file has. Every line of JSON may have others; a header tells once."""
    if path.suffix.lower() in JSON_LINES:
        return columns
    if missing := [column for column in _needed(columns) if column not in row]:
        raise ValueError(f"no column is named {' or '.join(missing)}")
    there = {name: column for name, column in columns.user_data.items() if column in row}
    if not (there or columns.custom_data or columns.facts or columns.ids):
        raise ValueError("no column bears one of Meta's keys (em, ph, …): say with --map em=… which ones hold them")
    return replace(columns, user_data=there)


def _needed(columns: Columns) -> Iterator[str]:
    renamed = (column for name, column in columns.user_data.items() if column != name)
    return chain(renamed, columns.custom_data.values(), columns.facts.values(), columns.ids.values())


@contextmanager
def _hashing(size: int) -> Iterator[Callable[[Plan, Iterable[Chunk]], Iterator[Hashed]]]:
    """How to hash a file of that size: here, or in a process for each processor."""
    if size < POOL_FROM:
        yield lambda plan, chunks: map(partial(hash_chunk, plan), chunks)
        return
    workers = os.cpu_count() or 1
    # not forked: the progress bar has a thread, and a fork would take its locks along
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield lambda plan, chunks: _in_order(pool, workers * 3, plan, chunks)


def _in_order(pool: ProcessPoolExecutor, ahead: int, plan: Plan, chunks: Iterable[Chunk]) -> Iterator[Hashed]:
    """Hash chunks in the pool, a few ahead: memory stays small however long the file is."""
    running: deque[Future[Hashed]] = deque()
    for chunk in chunks:
        running.append(pool.submit(hash_chunk, plan, chunk))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
