"""What Alembic runs for each command: it uses the connection, and the open transaction, of its caller."""

from alembic import context

from isthmus_store.table import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
