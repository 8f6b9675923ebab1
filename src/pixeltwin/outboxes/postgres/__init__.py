"""Kind `postgres`: one database for many gateways and workers. What `append` has accepted survives a kill of any.

A gateway whose database does not answer in time puts its items into a spool, an outbox of kind `sqlite` on its own
disk, and moves them over when it does. Time is the database's own, so that nodes need not agree about it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, SecretStr

from pixeltwin.delivery.encryption import Encryption
from pixeltwin.delivery.outbox import KEEP_LETTERS, Outbox
from pixeltwin.kinds import KindSettings
from pixeltwin.outboxes import sqlite
from pixeltwin.units import Duration, wrong

EXTRA: Final = "the outbox of kind postgres needs one more package: pip install 'pixeltwin[postgres]'"
APPEND_SECONDS: Final = 0.15  # the spool needs the rest of the 250 ms after which a hit counts as unacked
SCHEMA_NAME: Final = r"^[a-z_][a-z0-9_]{0,47}$"


def _not_here(written: Any) -> None:
    if written is not None:
        raise wrong("write it under outbox.encryption: what comes here is encrypted already")


class Spool(sqlite.Settings):
    """An outbox of kind `sqlite`, with its options; each gateway needs a file of its own."""

    path: Path = Path("data/spool.db")
    encryption: Annotated[None, BeforeValidator(_not_here)] = None


class Settings(KindSettings):
    """`url` is a DSN: `postgresql://user:password@host/database`; of `host1,host2` the primary is found.

    `schema` is made there, with its tables. What the database does not take within `append_timeout` goes to the
    `spool`. `keep_letters`: for how long letters are kept. `encryption`: with which keys what is stored, in the
    spool too, is encrypted.
    """

    kind: Literal["postgres"]
    url: SecretStr
    schema_: Annotated[str, Field(alias="schema", pattern=SCHEMA_NAME)] = "pixeltwin"  # pydantic has a method `schema`
    append_timeout: Duration = APPEND_SECONDS
    keep_letters: Duration = KEEP_LETTERS
    encryption: Encryption | None = None
    spool: Spool = Spool()


async def open_outbox(settings: Settings, *, base: Path, clock: Callable[[], float] = time.time) -> Outbox:
    """Open the outbox, its tables made where there are none. Raises OSError where the database turns us away.

    One that cannot be reached is no reason not to start: what is appended waits in the spool. A clock that is not
    the machine's, a test's, is believed rather than the database.
    """
    try:
        import asyncpg  # type: ignore[import-untyped]  # noqa: F401 - it comes with the extra
    except ImportError as error:
        raise OSError(EXTRA) from error
    from pixeltwin.outboxes.postgres.outbox import PostgresOutbox

    outbox = PostgresOutbox(settings, base, None if clock is time.time else clock)
    await outbox.start()
    return outbox
