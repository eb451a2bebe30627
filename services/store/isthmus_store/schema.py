"""Which schema revision this release works with, and whether a database has it: known without loading Alembic."""

from typing import Final

from sqlalchemy import Connection, inspect, text

#: The newest step in `migrations/versions`.
REVISION: Final = "0027"


def is_current(connection: Connection) -> bool:
    """Tell whether the database has this release's schema."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() == REVISION
