"""What Alembic runs for each command: it uses the connection, and the open transaction, of its caller."""

from alembic import context

from isthmus_store.table.catalog import SCHEMA

context.configure(connection=context.config.attributes["connection"], target_metadata=SCHEMA)
context.run_migrations()
