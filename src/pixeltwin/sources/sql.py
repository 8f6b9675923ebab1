"""Kind `sql`: your own query over customers in PostgreSQL or SQLite, run once a look-up in a read-only transaction.

Keys are bound parameters, never part of the text (THREATS T20).
"""

import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import SecretStr, model_validator

from pixeltwin.enrich.guarded import Guarded
from pixeltwin.enrich.source import Row, SourceSettings
from pixeltwin.units import wrong

if TYPE_CHECKING:
    from sqlalchemy import URL, TextClause
    from sqlalchemy.ext.asyncio import AsyncEngine

EXTRA: Final = "sources of kind sql need more packages: pip install 'pixeltwin[sql]'"
DRIVERS: Final = {"postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
# how a transaction is told to read alone; an SQLite file is opened so
OPTIONS: Final[Mapping[str, Mapping[str, bool]]] = {"postgresql": {"postgresql_readonly": True}, "sqlite": {}}
IN_KEYS: Final = re.compile(r"\bIN\s*:(\w+)", re.IGNORECASE)
UNTIL: Final = "until"  # when a connection's query has to end, in its `info`
STEPS: Final = 10_000  # of SQLite's machine between looks at the clock: less than a millisecond
WHOLE_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)  # as the database writes it; fits into 64 bits


class Settings(SourceSettings):
    """`url` is a DSN such as `postgresql://user:password@host/shop` or `sqlite:///crm.db`.

    `query` selects customers `WHERE id IN :keys` (or the element's name in place of `keys`). `column` of its result has
    the customer's key; the first one if it is not named. `key_type: integer` for a key column of numbers.
    """

    kind: Literal["sql"]
    url: SecretStr
    query: str
    column: str | None = None
    key_type: Literal["text", "integer"] = "text"

    @property
    def parameter(self) -> str:
        """What stands for the keys in the query."""
        found = IN_KEYS.search(self.query)
        return found[1] if found else ""

    @model_validator(mode="after")
    def _asks_for_keys(self) -> Self:
        if self.parameter not in {"keys", self.key}:
            raise wrong("let the query select what was asked for alone: … WHERE id IN :keys", at=("query",))
        return self


class SqlQuery:
    """The query over a small pool of connections, made when they are needed."""

    def __init__(self, settings: Settings, engine: "AsyncEngine", statement: "TextClause") -> None:
        self._settings = settings
        self._engine = engine
        self._statement = statement

    async def fetch(self, keys: Collection[str]) -> Mapping[str, Row]:
        from sqlalchemy.exc import SQLAlchemyError

        if not (values := bound(keys, self._settings.key_type)):
            return {}
        try:
            async with self._engine.connect() as connection:
                connection.info[UNTIL] = time.monotonic() + self._settings.timeout
                result = await connection.execute(self._statement, {self._settings.parameter: values})
                rows = result.all()
        except SQLAlchemyError as error:
            raise OSError(_reason(error)) from None  # its text has the parameters, and the database's may have rows
        columns = tuple(result.keys())
        column = self._settings.column or columns[0]
        if column not in columns:
            raise OSError(f"the query has no column {column!r}")
        named = (dict(zip(columns, row, strict=True)) for row in rows)  # a third of what SQLAlchemy's mappings cost
        return {str(row[column]): row for row in named}

    async def close(self) -> None:
        await self._engine.dispose()


def bound(keys: Collection[str], key_type: str) -> Sequence[str | int]:
    """The keys as parameters, the last repeated up to a power of two: a few statements, which stay prepared."""
    values = list(keys) if key_type == "text" else [int(key) for key in keys if WHOLE_NUMBER.fullmatch(key)]
    missing = (1 << (len(values) - 1).bit_length()) - len(values) if values else 0
    return values + values[-1:] * missing


def open_source(settings: Settings, base: Path) -> Guarded:
    """A pool for the database of these settings; a relative SQLite path counts from `base`. Connects when asked."""
    try:
        import aiosqlite  # noqa: F401 - SQLAlchemy would miss it at the first look-up only
        import asyncpg  # type: ignore[import-untyped]  # noqa: F401
        from sqlalchemy.ext.asyncio import create_async_engine
    except ImportError as error:
        raise OSError(EXTRA) from error
    url = _url(settings, base)
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=2,
        max_overflow=2,
        pool_pre_ping=False,  # a connection that died costs one repeated look-up, a ping costs every one
        execution_options=OPTIONS[url.get_backend_name()],
        connect_args={"timeout": settings.timeout} if is_sqlite else {},  # for a file that somebody has locked
    )
    if is_sqlite:
        _end_in_time(engine)
    return Guarded(SqlQuery(settings, engine, _statement(settings, is_sqlite=is_sqlite)), settings)


def _end_in_time(engine: "AsyncEngine") -> None:
    """Let queries end when their time is up: SQLite's thread would finish one that nobody waits for any more."""
    from sqlalchemy import event

    def watch(connection: Any, record: Any) -> None:
        def is_late() -> bool:
            return bool(time.monotonic() > record.info.get(UNTIL, math.inf))

        connection.run_async(lambda driver: driver.set_progress_handler(is_late, STEPS))

    event.listen(engine.sync_engine, "connect", watch)


def _statement(settings: Settings, *, is_sqlite: bool) -> "TextClause":
    """The query. To PostgreSQL all keys are one parameter, an array: so many single ones take longer than the rest."""
    from sqlalchemy import ARRAY, BigInteger, String, bindparam, text

    kind = BigInteger() if settings.key_type == "integer" else String()
    statement = text(settings.query if is_sqlite else IN_KEYS.sub(r"= ANY(:\1)", settings.query))
    if others := statement.compile().params.keys() - {settings.parameter}:
        raise ValueError(f"the query of a sql source has parameters of no value: {', '.join(sorted(others))}")
    keys = bindparam(settings.parameter, expanding=is_sqlite, type_=kind if is_sqlite else ARRAY(kind))
    return statement.bindparams(keys)


def _url(settings: Settings, base: Path) -> "URL":
    """The URL with the driver that is used. An SQLite file is opened for reading alone, and never created."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(settings.url.get_secret_value())
        driver = DRIVERS[url.get_backend_name()]
    except (ArgumentError, KeyError):
        raise ValueError("the url of a sql source is postgresql://… or sqlite:///path") from None
    url = url.set(drivername=driver)
    if driver == DRIVERS["sqlite"]:
        path = (base / (url.database or "")).absolute()
        url = url.set(database=path.as_uri(), query={"mode": "ro", "uri": "true"})
    if mode := url.query.get("sslmode"):  # as libpq calls what asyncpg calls ssl
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": mode})
    return url


def _reason(error: Any) -> str:
    """What kind of error it is, and nothing of its text."""
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None)
    return f"{type(original.__cause__ or original).__name__}{f' ({state})' if state else ''}"
