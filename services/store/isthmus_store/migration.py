"""Brings a database's schema to this release's revision, by the steps in `migrations/`."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from isthmus_store.errors import SchemaMismatchError

#: Key of PostgreSQL's advisory lock: any number that nothing else in the database uses.
_LOCK_KEY: Final = 0x1573_4A05
_FOLDER: Final = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> tuple[str | None, str | None]:
    """Upgrade within the connection's transaction; returns the revisions before and after.

    Two processes take turns: PostgreSQL by an advisory lock, which ends with the transaction, SQLite by the write lock
    that the transaction holds since its BEGIN IMMEDIATE. Both databases undo a step that fails half-way.

    Raises:
        SchemaMismatchError: the database has a revision that this release does not know.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    before = _revision(connection)
    head = ScriptDirectory.from_config(config).get_current_head()
    if before != head:
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            raise SchemaMismatchError(found=str(before), known=str(head)) from exc
    return before, head


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
