"""Every table that there is: whoever needs all of them, as migrations do, imports this and no single subject."""

from typing import Final

from sqlalchemy import MetaData

from isthmus_store.table import (
    alert,
    asset,
    automation,
    backfill,
    event,
    fleet,
    instance,
    instruction,
    leadership,
    queue,
    run,
)
from isthmus_store.table.metadata import METADATA

#: Importing a subject registers its tables.
SUBJECTS: Final = (alert, asset, automation, backfill, event, fleet, instance, instruction, leadership, queue, run)

#: The metadata with all tables in it.
SCHEMA: Final[MetaData] = METADATA
