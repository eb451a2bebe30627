"""What starts by itself."""

import os
from collections.abc import Iterator
from pathlib import Path

from dagster import (
    AssetSelection,
    RunConfig,
    RunRequest,
    ScheduleDefinition,
    SensorEvaluationContext,
    SkipReason,
    build_schedule_from_partitioned_job,
    define_asset_job,
    sensor,
)

from bike_share.operations import count_bikes, import_file

daily_trips = define_asset_job(
    "daily_trips",
    selection=AssetSelection.groups("ingest", "cleaning", "analytics"),
    description="One day, from the bikes' reports to the figures.",
    tags={"team": "analytics"},
)
network_report = define_asset_job(
    "network_report",
    selection=AssetSelection.groups("report") | AssetSelection.assets("stations"),
    description="What all days together say.",
)
daily_trips_schedule = build_schedule_from_partitioned_job(
    daily_trips, hour_of_day=6, description="The day before, each morning."
)
count_each_minute = ScheduleDefinition(
    name="count_each_minute",
    job=count_bikes,
    cron_schedule="* * * * *",
    description="Counts each minute, to see a schedule at work; it rests until somebody starts it.",
)


@sensor(job=import_file, minimum_interval_seconds=30, description="Imports each file that appears in the inbox, once.")
def inbox(context: SensorEvaluationContext) -> Iterator[RunRequest | SkipReason]:
    folder = Path(os.environ.get("BIKE_SHARE_INBOX") or "data/inbox")
    seen = float(context.cursor or 0)
    files = sorted((path.stat().st_mtime, path) for path in folder.glob("*.txt")) if folder.is_dir() else []
    fresh = [(changed, path) for changed, path in files if changed > seen]
    if not fresh:
        yield SkipReason(f"There is nothing new in {folder}.")
        return
    for changed, path in fresh:
        yield RunRequest(
            run_key=f"{path.name}@{changed}",
            run_config=RunConfig(ops={"import_remarks": {"config": {"path": str(path)}}}),
            tags={"file": path.name},
        )
    context.update_cursor(str(fresh[-1][0]))
