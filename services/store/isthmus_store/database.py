"""The connection to SQLite or PostgreSQL: pools, transactions, migration.

SQLite takes one writer at a time, so that writers wait in line for the one connection that writes, and begin with
BEGIN IMMEDIATE: a deferred transaction that reads first and writes later loses updates silently. Readers have
connections of their own and, in WAL mode, never wait for the writer.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.private import private_file
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from isthmus_store import revival, schema
from isthmus_store.address import parse_address
from isthmus_store.errors import DatabaseUnavailableError
from isthmus_store.fault import translate
from isthmus_store.transaction import Transaction, WriteTransaction

_log = get_logger(__name__)

#: Milliseconds that a SQLite writer waits for the writer of another process.
_BUSY_TIMEOUT_MS = 15_000
#: What SQLite's write-ahead log is cut to, bytes, once a slow reader that made it long is gone.
_JOURNAL_BYTES = 64 * 1024 * 1024
#: Seconds that a caller waits for a free connection.
_POOL_TIMEOUT_S = 30.0
_READERS = 8
_WRITERS = 8

_T = TypeVar("_T", bound=Transaction)


class Database:
    """The store's database. Use as `async with Database.open(url) as database`."""

    def __init__(self, *, writer: AsyncEngine, reader: AsyncEngine, looker: AsyncEngine) -> None:
        self._writer = writer
        self._reader = reader
        self._looker = looker

    def __repr__(self) -> str:
        return f"<Database {self._writer.url.render_as_string(hide_password=True)}>"

    @classmethod
    @asynccontextmanager
    async def open(cls, address: str) -> AsyncIterator[Self]:
        """Open the pools; connections are made when first needed, so that the database may be away still.

        Args:
            address: as in "sqlite:///folder/isthmus.db" or "postgresql://user:password@host/name".

        Raises:
            UnsupportedDatabaseError: for any other kind of address.
        """
        url = parse_address(address)
        engines = _sqlite_engines if url.drivername.startswith("sqlite") else _postgresql_engines
        writer, reader, looker = engines(url)
        try:
            yield cls(writer=writer, reader=reader, looker=looker)
        finally:
            await reader.dispose()
            await writer.dispose()

    @property
    def is_postgresql(self) -> bool:
        """Whether this is PostgreSQL; SQLite otherwise."""
        return self._writer.dialect.name == "postgresql"

    async def migrate(self) -> None:
        """Bring the schema to this release's revision. Safe when several processes call it at once.

        Raises:
            SchemaMismatchError: the database was written by a newer release.
            TransientStoreError: the database is away or locked.
        """
        async with self.write() as tx:
            is_current = await tx.connection.run_sync(schema.is_current)
        if is_current:
            return
        # Alembic costs memory that a process without anything to migrate need not have.
        from isthmus_store.migration import upgrade

        async with self.write() as tx:
            was, now = await tx.connection.run_sync(upgrade)
        if was != now:
            _log.info("store_migrated", database=repr(self), from_revision=was, to_revision=now)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Open a transaction that sees one unchanging state and never waits for writers."""
        async with _begun(self._reader, Transaction) as tx:
            yield tx

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Transaction]:
        """Open what single statements are read on, each by itself: cheaper than `read`, which takes three round trips.

        Two statements may see two states of the database.
        """
        async with _begun(self._looker, Transaction) as tx:
            yield tx

    @asynccontextmanager
    async def write_at_once(self) -> AsyncIterator[WriteTransaction]:
        """Open what a single statement is written on, which is a transaction by itself: cheaper than `write` by two trips.

        On SQLite it is the same as `write`, which costs no trips there.

        Raises:
            StoreError: As `write` does; where the database went away, it is unknown whether the statement was done.
        """
        async with _begun(self._looker if self.is_postgresql else self._writer, WriteTransaction) as tx:
            yield tx

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteTransaction]:
        """Open a transaction that commits when the block ends, and rolls back when it raises.

        Raises:
            DatabaseBusyError: nothing was written.
            DatabaseUnavailableError: when the commit was under way, whether it was done is unknown.
            RejectedWriteError: a value in a statement is at fault.
            UnusableDatabaseError: the schema, the rights or the file is at fault.
        """
        async with _begun(self._writer, WriteTransaction) as tx:
            yield tx


@asynccontextmanager
async def _begun(engine: AsyncEngine, kind: Callable[[AsyncConnection], _T]) -> AsyncIterator[_T]:
    """Yield a transaction; translate what the driver raises, and nothing that the caller's own code raises."""
    try:
        # Closing rolls back what was not committed; SQLAlchemy shields it, so that a cancelled caller leaves nothing open.
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(engine.connect())
                await connection.begin()
            except OSError as exc:
                raise DatabaseUnavailableError(detail=str(exc) or type(exc).__name__) from exc
            yield kind(connection)
            await connection.commit()
    except SQLAlchemyError as exc:
        raise translate(exc) from exc


def _postgresql_engines(url: URL) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine]:
    writer = create_async_engine(
        url,
        pool_size=_WRITERS,
        max_overflow=_READERS,
        pool_timeout=_POOL_TIMEOUT_S,
        # The one used last: it has its statements prepared, and planned.
        pool_use_lifo=True,
        hide_parameters=True,
    )
    event.listen(writer.sync_engine, "connect", _set_up_postgresql)
    revival.watch(writer)
    # One pool for all: the options are set as a connection is handed out.
    reader = writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return writer, reader, writer.execution_options(isolation_level="AUTOCOMMIT")


def _set_up_postgresql(connection: Any, _record: object) -> None:
    # PostgreSQL believes that a walk along an index costs much, and compiles it: 0.1 s for what takes less than 1 ms.
    connection.run_async(lambda driver: driver.execute("SET jit = off"))


def _keep_private(file: Path) -> None:
    """Make SQLite's file for this user alone; what SQLite puts beside it takes the file's own mode."""
    # Where there is no such folder, or somebody else's file, the first connection will say so.
    with suppress(OSError):
        private_file(file)
        for beside in (Path(f"{file}{ending}") for ending in ("-wal", "-shm")):
            if beside.exists():  # Made by a release that did not look.
                private_file(beside)


def _sqlite_engines(url: URL) -> tuple[AsyncEngine, AsyncEngine, AsyncEngine]:
    _keep_private(Path(str(url.database)))
    # Autocommit at the driver, so that the BEGIN below is the only one.
    options: dict[str, Any] = {
        "connect_args": {"isolation_level": None},
        "max_overflow": 0,
        # What is logged of an error must not quote what was to be written.
        "hide_parameters": True,
        "pool_timeout": _POOL_TIMEOUT_S,
    }
    writer = create_async_engine(url, pool_size=1, **options)
    reader = create_async_engine(url, pool_size=_READERS, **options)
    event.listen(writer.sync_engine, "connect", _set_up_sqlite_writer)
    event.listen(writer.sync_engine, "begin", _begin_immediate)
    event.listen(reader.sync_engine, "connect", _set_up_sqlite_reader)
    event.listen(reader.sync_engine, "begin", _begin_deferred)
    return writer, reader, reader


def _set_up_sqlite_writer(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        # NORMAL may lose the last commits when the power fails: instructions and acknowledged telemetry among them.
        "synchronous = FULL",
        f"journal_size_limit = {_JOURNAL_BYTES}",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_up_sqlite_reader(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
