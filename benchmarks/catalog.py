"""The catalog: how soon a page of it comes where assets are many, and their partitions very many."""

import asyncio
import time
from typing import Final

from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_store.database import Database
from sqlalchemy import text

from benchmarks.figure import Measure
from benchmarks.stand import Place

#: Pages that are asked for: of each size, and all over the catalog.
_PAGES: Final = 200
_LOCATION: Final = "catalog"
#: Rows that one statement writes.
_PORTION: Final = 100_000


def measure(at: Place, *, assets: int, partitions: int) -> dict[int, Measure]:
    """Return what pages take, milliseconds, by how many assets a page has."""
    return asyncio.run(_measure(at, assets=assets, partitions=partitions))


async def _measure(at: Place, *, assets: int, partitions: int) -> dict[int, Measure]:
    async with control_plane(at.broker_url, at.database_url) as stand:
        await stand.create_agent()
        await stand.apply(_LOCATION)
        await stand.hear()
        await stand.report(_LOCATION, snapshot=_snapshot(assets))
        await _fill(stand.database, assets=assets, partitions=partitions)
        return {size: Measure.of(await _pages(stand, size=size, assets=assets)) for size in (100, 500)}


def _snapshot(assets: int) -> pb.LocationSnapshot:
    """Return assets that are made day by day, each below another."""
    days = pb.PartitionsSnapshot(kind="time_window", cron_schedule="0 0 * * *", timezone="UTC", format="%Y-%m-%d")
    return pb.LocationSnapshot(
        assets=[
            pb.AssetSnapshot(
                key=pb.AssetKey(path=[f"a{number}"]),
                group=f"group_{number % 50}",
                kinds=["python"],
                owners=["team:data"],
                deps=[pb.AssetKey(path=[f"a{number // 2}"])] if number else [],
                is_executable=True,
                partitions=days,
            )
            for number in range(assets)
        ]
    )


async def _fill(database: Database, *, assets: int, partitions: int) -> None:
    """Write a materialization of each partition: what the monitor would have written of their runs."""
    statements = _POSTGRESQL if database.is_postgresql else _SQLITE
    for first in range(0, partitions, _PORTION):
        span = {"first": first, "last": min(first + _PORTION, partitions) - 1, "assets": assets}
        async with database.write() as tx:
            for statement in statements:
                await tx.execute(text(statement), span)
    async with database.write() as tx:
        await tx.execute(text("ANALYZE"))


async def _pages(stand: Stand, *, size: int, assets: int) -> list[float]:
    took, token = [], ""
    for number in range(_PAGES):
        request = api.ListAssetsRequest(
            page_size=size, page_token=token, selection="group:group_*" if number % 2 else ""
        )
        began = time.perf_counter()
        page: api.ListAssetsPage = await stand.stub.ListAssets(request)
        took.append((time.perf_counter() - began) * 1e3)
        assert page.total == assets
        assert page.assets[0].materialized_partitions
        token = page.next_page_token
    return took


_ASSET = "'[\"a' || ({number} % :assets) || '\"]'"
_INDEX = """
INSERT INTO event_index (deployment, kind, asset, partition, check_name, outcome, run_id, position, occurred_at)
SELECT 'default', 'asset_materialized', {asset}, 'p' || (number / :assets), '', '', 'run-' || (number / 200), number, {at}
FROM {numbers}
"""
_STATE = """
INSERT INTO asset_partitions (deployment, asset, partition, materialized_id, observed_id, planned_id, failed_id)
SELECT deployment, asset, partition, id, 0, 0, 0 FROM event_index
WHERE position BETWEEN :first AND :last AND run_id >= 'run-' AND :assets > 0
"""
_POSTGRESQL = (
    _INDEX.format(
        asset=_ASSET.format(number="number"),
        at="1767225600000000",
        numbers="generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS it (number)",
    ).replace(":assets", "CAST(:assets AS bigint)"),
    _STATE,
)
_SQLITE = (
    "WITH RECURSIVE it (number) AS (SELECT :first UNION ALL SELECT number + 1 FROM it WHERE number < :last)"
    + _INDEX.format(asset=_ASSET.format(number="number"), at="1767225600000000", numbers="it"),
    _STATE,
)
