"""The year in short: `make soak` lives a whole one."""

from pathlib import Path

import pytest
from isthmus_store.database import Database
from soak.__main__ import grown_beyond
from soak.plan import Plan
from soak.year import Year


@pytest.mark.timeout(600)
async def test_a_second_and_a_third_month_leave_no_more_than_the_first(database_url: str, tmp_path: Path) -> None:
    # A month has so many days here, and less than it is kept.
    is_sqlite = database_url.startswith("sqlite")
    month = 9 if is_sqlite else 5
    plan = Plan(days=3 * month, runs_a_day=16, locations=4, agents=2, assets_of_location=5, kept_days=month - 2)
    async with Database.open(database_url) as database:
        await database.migrate()
        year = Year(plan, database, file=tmp_path / "isthmus.db" if is_sqlite else None)
        await year.begin()
        await year.live(month)
        first = await year.stock(calls=1)
        await year.live(2 * month)
        last = await year.stock(calls=1)
        assert await year.orphans() == 0
    assert last.tables["runs"] == first.tables["runs"]
    # What PostgreSQL deleted is used again once it was vacuumed, which it is a minute later: as long as this whole year.
    few = (4 if is_sqlite else 64) * 1024 * 1024
    first.file_bytes, last.file_bytes = max(first.file_bytes, few), max(last.file_bytes, few)
    assert grown_beyond(first, last) == []
