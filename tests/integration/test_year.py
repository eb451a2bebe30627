"""The year in short: `make soak` lives a whole one."""

from pathlib import Path

from isthmus_store.database import Database
from soak.__main__ import grown_beyond
from soak.plan import Plan
from soak.year import Year


async def test_a_second_and_a_third_month_leave_no_more_than_the_first(database_url: str, tmp_path: Path) -> None:
    # Ten days are a month here, and less is kept.
    plan = Plan(days=30, runs_a_day=24, locations=4, agents=2, assets_of_location=5, kept_days=8)
    file = tmp_path / "isthmus.db"
    async with Database.open(database_url) as database:
        await database.migrate()
        year = Year(plan, database, file=file if database_url.startswith("sqlite") else None)
        await year.begin()
        await year.live(10)
        first = await year.stock(calls=1)
        await year.live(20)
        last = await year.stock(calls=1)
        assert await year.orphans() == 0
    assert last.tables["runs"] == first.tables["runs"]
    assert grown_beyond(first, last) == []
