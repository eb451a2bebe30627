"""What the city wants to know."""

from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    Output,
    TableRecord,
    asset,
    asset_check,
)

from bike_share.partitions import daily
from bike_share.warehouse import Warehouse

STATION_DAYS = "day DATE, station_id INT, departures INT, arrivals INT"
DAILY: dict[str, Any] = {
    "group_name": "analytics",
    "kinds": {"duckdb"},
    "owners": ["team:analytics"],
    "partitions_def": daily,
}


@asset(deps=["clean_trips", "stations"], **DAILY)
def station_days(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """Departures and arrivals of each station on each day."""
    day = f"day = '{context.partition_key}'"
    count = warehouse.derive(
        "station_days",
        columns=STATION_DAYS,
        select=f"""
            SELECT DATE '{context.partition_key}', station_id,
              (SELECT count(*) FROM clean_trips WHERE {day} AND from_station = station_id),
              (SELECT count(*) FROM clean_trips WHERE {day} AND to_station = station_id)
            FROM stations
        """,
        where=day,
    )
    return MaterializeResult(metadata={"dagster/partition_row_count": count})


@asset(deps=["clean_trips"], **DAILY)
def rider_mix(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """Members and occasional riders, and how long they ride."""
    day = f"day = '{context.partition_key}'"
    warehouse.derive(
        "rider_mix",
        columns="day DATE, is_member BOOLEAN, trips INT, mean_minutes DOUBLE",
        select=f"SELECT day, is_member, count(*), avg(minutes) FROM clean_trips WHERE {day} GROUP BY ALL",
        where=day,
    )
    rows = warehouse.query(f"SELECT is_member, trips, mean_minutes FROM rider_mix WHERE {day} ORDER BY is_member")
    records = [TableRecord({"is_member": row[0], "trips": row[1], "mean_minutes": row[2]}) for row in rows]
    return MaterializeResult(metadata={"mix": MetadataValue.table(records)})


@asset(deps=["rider_mix", "weather"], **DAILY)
def weather_effect(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """Trips beside the weather, day by day."""
    day = f"day = '{context.partition_key}'"
    warehouse.derive(
        "weather_effect",
        columns="day DATE, temperature_c DOUBLE, rain_mm DOUBLE, trips INT",
        select=f"""
            SELECT day, any_value(temperature_c), any_value(rain_mm), sum(trips)
            FROM weather JOIN rider_mix USING (day) WHERE {day} GROUP BY day
        """,
        where=day,
    )
    [(trips,)] = warehouse.query(f"SELECT trips FROM weather_effect WHERE {day}")
    return MaterializeResult(metadata={"trips": MetadataValue.int(trips)})


@asset(deps=["station_days", "stations"], group_name="report", kinds={"duckdb"}, owners=["team:analytics"])
def station_ranking(warehouse: Warehouse) -> MaterializeResult:
    """The stations by their traffic over all days."""
    warehouse.ensure("station_days", columns=STATION_DAYS)
    count = warehouse.derive(
        "station_ranking",
        columns="place BIGINT, station_id INT, name TEXT, trips BIGINT",
        select="""
            SELECT row_number() OVER (ORDER BY coalesce(sum(departures + arrivals), 0) DESC, station_id), station_id, name,
              coalesce(sum(departures + arrivals), 0)
            FROM stations LEFT JOIN station_days USING (station_id) GROUP BY station_id, name
        """,
    )
    return MaterializeResult(metadata={"dagster/row_count": count})


@asset_check(asset="station_ranking", description="Each station has its place.")
def every_station_is_ranked(warehouse: Warehouse) -> AssetCheckResult:
    [(missing,)] = warehouse.query("SELECT (SELECT count(*) FROM stations) - (SELECT count(*) FROM station_ranking)")
    return AssetCheckResult(passed=missing == 0, metadata={"missing": missing})


@asset(deps=["station_days", "stations"], group_name="report", kinds={"python"}, owners=["team:network"])
def rebalancing_plan(warehouse: Warehouse) -> Output[list[tuple[str, int]]]:
    """How many bikes to carry to a station (or away) before the morning; handed on through the I/O manager."""
    warehouse.ensure("station_days", columns=STATION_DAYS)
    rows = warehouse.query("""
        SELECT name, CAST(sum(departures - arrivals) AS INT) FROM stations JOIN station_days USING (station_id)
        GROUP BY name HAVING sum(departures - arrivals) <> 0 ORDER BY abs(sum(departures - arrivals)) DESC, name
    """)
    plan = [(str(name), int(bikes)) for name, bikes in rows]
    return Output(plan, metadata={"stations": len(plan), "bikes": sum(bikes for _, bikes in plan if bikes > 0)})


@asset(deps=["station_ranking"], group_name="report", kinds={"markdown"}, owners=["network@example.com"])
def network_summary(rebalancing_plan: list[tuple[str, int]], warehouse: Warehouse) -> Output[str]:
    """A page for the city council."""
    best = warehouse.query("SELECT place, name, trips FROM station_ranking ORDER BY place LIMIT 5")
    lines = ["# The network", "", "| place | station | trips |", "| --- | --- | --- |"]
    lines += [f"| {place} | {name} | {trips} |" for place, name, trips in best]
    lines += [
        "",
        *(f"- {abs(bikes)} bikes {'to' if bikes > 0 else 'from'} {name}" for name, bikes in rebalancing_plan[:3]),
    ]
    page = "\n".join(lines)
    return Output(page, metadata={"page": MetadataValue.md(page), "lines": len(lines)})
