"""What may go wrong with the database, told apart by what to do about it. All of it is an OSError."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # it has no types


class DatabaseError(OSError):
    """What the others have in common, and whatever else may happen."""


class LostError(DatabaseError):
    """It may work the next time: the connection was lost, or another node was in the way."""


class BadItemError(DatabaseError):
    """The database cannot store such a value; the connection is well."""


class UnwelcomeError(DatabaseError):
    """The server is there and does not want us: a fault of the set-up, which time does not heal."""


MEANINGS: Final[tuple[tuple[tuple[type[Exception], ...], type[DatabaseError]], ...]] = (
    ((asyncpg.DataError,), BadItemError),
    (
        (
            asyncpg.InvalidAuthorizationSpecificationError,
            asyncpg.InvalidCatalogNameError,
            asyncpg.InsufficientPrivilegeError,
            asyncpg.ClientConfigurationError,
        ),
        UnwelcomeError,
    ),
    (
        (
            asyncpg.PostgresConnectionError,
            asyncpg.OperatorInterventionError,  # shut down, crashed, starting, or an administrator said so
            asyncpg.TransactionRollbackError,  # a deadlock
            asyncpg.InterfaceError,  # the connection was closed
        ),
        LostError,
    ),
)
HELP: Final = "; look at outbox.url"


@contextmanager
def os_errors() -> Iterator[None]:
    """Raise what asyncpg raises as an OSError that tells its kind, and nothing that may be of an item."""
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        kind = next((ours for theirs, ours in MEANINGS if isinstance(error, theirs)), DatabaseError)
        raise kind(f"the outbox's database: {_reason(error)}{HELP if kind is UnwelcomeError else ''}") from None
    except DatabaseError:
        raise
    except OSError as error:
        kind = LostError if isinstance(error, ConnectionError) else DatabaseError
        raise kind(f"the outbox's database: {type(error).__name__}") from error


def _reason(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return f"{type(error).__name__}{f' ({state})' if state else ''}"
