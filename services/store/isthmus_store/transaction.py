"""Transactions as the store's functions take them: the type says whether a function writes."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, CursorResult, Executable, Table, bindparam, delete, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

_T = TypeVar("_T")
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


class Transaction:
    """An open transaction that sees one state of the database. Made by `Database.read` and `Database.write`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection: Final = connection
        self.is_postgresql: Final = connection.dialect.name == "postgresql"

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[Any]:
        """Run one statement; a sequence of parameters runs it once for each."""
        return await self.connection.execute(statement, parameters)

    async def all(
        self, kind: Callable[..., _T], statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> list[_T]:
        """Return each row as a `kind`, which takes the columns by name."""
        rows: Sequence[Mapping[Any, Any]] = (await self.execute(statement, parameters)).mappings().all()
        return [kind(**row) for row in rows]

    async def first(self, kind: Callable[..., _T], statement: Executable) -> _T | None:
        """Return the first row as a `kind`, or None."""
        row: Mapping[Any, Any] | None = (await self.execute(statement)).mappings().first()
        return None if row is None else kind(**row)


class WriteTransaction(Transaction):
    """A transaction that may write; on SQLite it holds the only write lock from its start."""

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """Return an INSERT of this database that knows ON CONFLICT."""
        return postgresql.insert(table) if self.is_postgresql else sqlite.insert(table)

    def insert_new(self, table: Table, *key: str) -> postgresql.Insert | sqlite.Insert:
        """Return an INSERT that passes over rows whose key is taken; without a key, whatever key of theirs is."""
        return _insert_new(table, key, is_postgresql=self.is_postgresql)

    async def delete_rows(self, table: Table, keys: Collection[tuple[object, ...]], *also: ColumnElement[bool]) -> None:
        """Delete rows by their primary keys, given in the order of its columns, if what is given besides holds of them.

        Each by a statement of its own: where several columns are compared with a list, SQLite reads the whole table.
        """
        columns = tuple(table.primary_key.columns)
        is_row = [column == bindparam(f"b_{column.name}") for column in columns]
        names = [f"b_{column.name}" for column in columns]
        rows = [dict(zip(names, key, strict=True)) for key in keys]
        if rows:
            await self.execute(delete(table).where(*is_row, *also), rows)

    @asynccontextmanager
    async def part(self) -> AsyncIterator[None]:
        """Do something that may fail by itself: what the block wrote is undone when it raises, and nothing else."""
        async with self.connection.begin_nested():
            yield

    async def exclusive(self, name: str) -> None:
        """Wait until no other transaction holds this name, and hold it until this one ends.

        Two that take several names must take them in the same order. SQLite's writer is alone anyway.
        """
        if self.is_postgresql:
            await self.execute(_LOCK, {"name": name})


@cache
def _insert_new(table: Table, key: tuple[str, ...], *, is_postgresql: bool) -> postgresql.Insert | sqlite.Insert:
    # Built once: a statement that is built for each call costs more than the databases take to answer it.
    insertion = (postgresql.insert if is_postgresql else sqlite.insert)(table)
    return insertion.on_conflict_do_nothing(index_elements=key or None)
