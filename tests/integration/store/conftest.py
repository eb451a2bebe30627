"""A migrated database of each kind, and the rows that most tests need."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from isthmus_store.database import Database

NOW = datetime(2030, 5, 17, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as opened:
        await opened.migrate()
        yield opened
