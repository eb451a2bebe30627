"""What comes in from outside, as it is."""

from datetime import date

from dagster import (
    AssetExecutionContext,
    MaterializeResult,
    MetadataValue,
    TableColumn,
    TableRecord,
    TableSchema,
    asset,
)

from bike_share import source
from bike_share.partitions import daily
from bike_share.warehouse import Warehouse

STATION_SCHEMA = TableSchema(
    columns=[
        TableColumn("station_id", "int", description="Stable over the years"),
        TableColumn("name", "string"),
        TableColumn("district", "string"),
        TableColumn("docks", "int", description="Places to leave a bike"),
    ]
)


@asset(
    group_name="ingest", kinds={"python", "duckdb"}, owners=["team:network", "network@example.com"], code_version="1"
)
def stations(warehouse: Warehouse) -> MaterializeResult:
    """Every station of the network."""
    rows = [(one.station_id, one.name, one.district, one.docks) for one in source.stations()]
    warehouse.replace("stations", columns="station_id INT, name TEXT, district TEXT, docks INT", rows=rows)
    return MaterializeResult(
        metadata={
            "dagster/column_schema": STATION_SCHEMA,
            "dagster/row_count": len(rows),
            "docks per station": sum(row[3] for row in rows) / len(rows),
            "map": MetadataValue.url("https://example.com/bike-share/stations"),
            "sample": MetadataValue.table(
                [
                    TableRecord({"station_id": row[0], "name": row[1], "district": row[2], "docks": row[3]})
                    for row in rows[:5]
                ],
                schema=STATION_SCHEMA,
            ),
        }
    )


@asset(group_name="ingest", kinds={"python", "duckdb"}, owners=["team:network"], partitions_def=daily)
def weather(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """The day's weather."""
    found = source.weather(date.fromisoformat(context.partition_key))
    warehouse.replace(
        "weather",
        columns="day DATE, temperature_c DOUBLE, rain_mm DOUBLE",
        rows=[(found.day, found.temperature_c, found.rain_mm)],
        where=f"day = '{context.partition_key}'",
    )
    return MaterializeResult(
        metadata={
            "temperature": MetadataValue.float(found.temperature_c),
            "is rainy": MetadataValue.bool(found.rain_mm > 1),
            "conditions": MetadataValue.json({"temperature_c": found.temperature_c, "rain_mm": found.rain_mm}),
        }
    )


@asset(group_name="ingest", kinds={"python", "duckdb"}, owners=["team:network"], partitions_def=daily)
def raw_trips(context: AssetExecutionContext, warehouse: Warehouse) -> MaterializeResult:
    """The day's trips as the bikes reported them."""
    trips = source.trips(date.fromisoformat(context.partition_key))
    context.log.info("%s trips were reported for %s", len(trips), context.partition_key)
    warehouse.replace(
        "raw_trips",
        columns=(
            "day DATE, trip_id TEXT, bike_id INT, from_station INT, to_station INT, "
            "started_at TIMESTAMP, minutes DOUBLE, is_member BOOLEAN"
        ),
        rows=[
            (
                context.partition_key,
                trip.trip_id,
                trip.bike_id,
                trip.from_station,
                trip.to_station,
                trip.started_at,
                trip.minutes,
                trip.is_member,
            )
            for trip in trips
        ],
        where=f"day = '{context.partition_key}'",
    )
    first = min(trip.started_at for trip in trips)
    return MaterializeResult(
        metadata={
            "dagster/partition_row_count": len(trips),
            "first trip": MetadataValue.timestamp(first.astimezone()),
            "source": MetadataValue.path(f"bikes/{context.partition_key}.log"),
        }
    )
