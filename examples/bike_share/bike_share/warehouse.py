"""The DuckDB file, as a resource."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr

DEFAULT_DATABASE = "data/bike_share.duckdb"


class Warehouse(ConfigurableResource):
    """Opens the file for one statement or a few, for DuckDB lets a single process write at a time."""

    path: str = Field(
        default="", description="The file; if empty, BIKE_SHARE_DATABASE, or one below the working directory."
    )
    lock_timeout_s: float = Field(default=60.0, description="How long to wait for another process that writes.")

    _statements: int = PrivateAttr(default=0)

    def teardown_after_execution(self, context: InitResourceContext) -> None:
        if context.log:
            context.log.info("%s statements ran in %s", self._statements, self._file().name)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        connection = self._open()
        try:
            yield connection
        finally:
            connection.close()

    def query(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            self._statements += 1
            return connection.execute(statement, values).fetchall()

    def ensure(self, table: str, *, columns: str) -> None:
        """Make a table that may have no rows yet."""
        self.query(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")

    def replace(self, table: str, *, columns: str, rows: Sequence[Sequence[object]], where: str = "true") -> None:
        """Put rows into a table in place of those that `where` selects; the table is made if need be."""
        with self.connect() as connection:
            self._statements += 1
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
            connection.begin()
            connection.execute(f"DELETE FROM {table} WHERE {where}")
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            connection.commit()

    def derive(self, table: str, *, columns: str, select: str, where: str = "true") -> int:
        """Replace the rows that `where` selects by those of a query, and count what is there then."""
        with self.connect() as connection:
            self._statements += 1
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
            connection.begin()
            connection.execute(f"DELETE FROM {table} WHERE {where}")
            connection.execute(f"INSERT INTO {table} {select}")
            connection.commit()
            counted = connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()
            return int(counted[0]) if counted else 0

    def _file(self) -> Path:
        return Path(self.path or os.environ.get("BIKE_SHARE_DATABASE") or DEFAULT_DATABASE)

    def _open(self) -> duckdb.DuckDBPyConnection:
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self.lock_timeout_s
        while True:
            try:
                return duckdb.connect(str(file))
            except duckdb.IOException as exc:
                if "lock" not in str(exc) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
