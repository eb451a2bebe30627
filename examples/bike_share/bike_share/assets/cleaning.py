"""Trips that can be believed, apart from those that cannot."""

from collections.abc import Iterator

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetExecutionContext,
    AssetSpec,
    MaterializeResult,
    asset_check,
    multi_asset,
)

from bike_share.partitions import daily
from bike_share.warehouse import Warehouse

COLUMNS = "day DATE, trip_id TEXT, bike_id INT, from_station INT, to_station INT, started_at TIMESTAMP, minutes DOUBLE, is_member BOOLEAN"
#: Above this share of occasional riders the figures are still right, but somebody should look.
USUAL_CASUAL_SHARE = 0.25


@multi_asset(
    specs=[
        AssetSpec(name, deps=["raw_trips"], group_name="cleaning", kinds={"duckdb"}, owners=["team:analytics"])
        for name in ("clean_trips", "rejected_trips")
    ],
    partitions_def=daily,
)
def sort_trips(context: AssetExecutionContext, warehouse: Warehouse) -> Iterator[MaterializeResult]:
    """Puts each reported trip on one of two heaps."""
    day = f"day = '{context.partition_key}'"
    for name, condition in (("clean_trips", "minutes > 0"), ("rejected_trips", "minutes <= 0")):
        select = f"SELECT * FROM raw_trips WHERE {day} AND {condition}"
        count = warehouse.derive(name, columns=COLUMNS, select=select, where=day)
        yield MaterializeResult(asset_key=name, metadata={"dagster/partition_row_count": count})


@asset_check(asset="clean_trips", blocking=True, description="A trip takes time, and ends within a day.")
def durations_make_sense(warehouse: Warehouse) -> AssetCheckResult:
    [(wrong,)] = warehouse.query("SELECT count(*) FROM clean_trips WHERE minutes <= 0 OR minutes > 1440")
    return AssetCheckResult(passed=wrong == 0, metadata={"wrong trips": wrong})


@asset_check(asset="clean_trips", description="Most riders are members.")
def riders_are_mostly_members(context: AssetCheckExecutionContext, warehouse: Warehouse) -> AssetCheckResult:
    [(casual_share,)] = warehouse.query(
        "SELECT coalesce(avg(CASE WHEN is_member THEN 0 ELSE 1 END), 0) FROM clean_trips"
    )
    context.log.info("occasional riders: %.0f %%", 100 * casual_share)
    return AssetCheckResult(
        passed=casual_share <= USUAL_CASUAL_SHARE,
        severity=AssetCheckSeverity.WARN,
        metadata={"casual share": casual_share, "usual at most": USUAL_CASUAL_SHARE},
        description="Once more the occasional riders are many." if casual_share > USUAL_CASUAL_SHARE else "As usual.",
    )
