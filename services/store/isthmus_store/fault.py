"""Which database exceptions are worth another try: the one place that knows the drivers' codes."""

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from isthmus_store.errors import (
    DatabaseBusyError,
    DatabaseUnavailableError,
    RejectedWriteError,
    StoreError,
    UnusableDatabaseError,
)

_SQLITE_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_SQLITE_UNAVAILABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")
_SQLITE_UNUSABLE = ("SQLITE_ERROR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_AUTH", "SQLITE_PERM")
# Classes of https://www.postgresql.org/docs/current/errcodes-appendix.html: connection, a read-only standby, resources,
# the server's start and shut-down, its system.
_POSTGRES_UNAVAILABLE = ("08", "25006", "53", "57P", "58")
# Log-in, unknown database, and everything about missing tables and rights.
_POSTGRES_UNUSABLE = ("28", "3D", "42")
_POSTGRES_BUSY = ("40001", "40P01", "55P03", "57014")


def translate(exc: SQLAlchemyError | OSError) -> StoreError:
    """Return the store's error for a driver's exception."""
    if isinstance(exc, OSError):
        return DatabaseUnavailableError(detail=_line(exc))
    if isinstance(exc, PoolTimeoutError):
        return DatabaseBusyError(detail="no connection became free in time")
    if isinstance(exc, DBAPIError) and exc.orig is not None:
        return _kind(_code(exc.orig), is_cut=exc.connection_invalidated)(detail=_line(exc.orig))
    return RejectedWriteError(detail=_line(exc))


def _kind(
    code: str, *, is_cut: bool
) -> type[DatabaseBusyError | DatabaseUnavailableError | UnusableDatabaseError | RejectedWriteError]:
    if code.startswith((*_SQLITE_BUSY, *_POSTGRES_BUSY)):
        return DatabaseBusyError
    if is_cut or code.startswith((*_SQLITE_UNAVAILABLE, *_POSTGRES_UNAVAILABLE)):
        return DatabaseUnavailableError
    if code.startswith((*_SQLITE_UNUSABLE, *_POSTGRES_UNUSABLE)):
        return UnusableDatabaseError
    return RejectedWriteError


def _code(orig: BaseException | None) -> str:
    """Return SQLite's error name or PostgreSQL's five-character code; empty when the driver gave neither."""
    name = getattr(orig, "sqlite_errorname", None) or getattr(orig, "sqlstate", None)
    return str(name or "")


def _line(exc: BaseException) -> str:
    """Return the first line: what follows may quote values."""
    return (str(exc).strip() or type(exc).__name__).splitlines()[0]
