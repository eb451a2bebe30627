"""The keys of partitions as this side counts them, beside those that Dagster counts for the same definitions."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import (
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    HourlyPartitionsDefinition,
    MonthlyPartitionsDefinition,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    TimeWindowPartitionsDefinition,
    WeeklyPartitionsDefinition,
)
from isthmus.v1.telemetry_pb2 import PartitionsSnapshot
from isthmus_code_server.definitions.dagster.described.partitions import partitions_snapshot
from isthmus_control_plane.backfills.keys import UncountableError, dynamic_names, keys_of

AT = datetime(2026, 4, 15, 12, 30, tzinfo=UTC)
NO_KEYS: Mapping[str, Sequence[str]] = {}

DEFINITIONS = {
    "days": DailyPartitionsDefinition("2026-03-01"),
    "days of a zone": DailyPartitionsDefinition("2026-03-01", timezone="America/New_York"),
    "days that begin late": DailyPartitionsDefinition("2026-03-01", hour_offset=2, timezone="Europe/Berlin"),
    "hours over a changed clock": HourlyPartitionsDefinition("2026-03-28-00:00", timezone="Europe/Berlin"),
    "hours that come twice": HourlyPartitionsDefinition(
        "2025-10-25-00:00", end_date="2025-10-27-00:00", timezone="Europe/Berlin"
    ),
    "weeks": WeeklyPartitionsDefinition("2026-01-01", day_offset=1),
    "months up to now": MonthlyPartitionsDefinition("2025-01-01", end_offset=1),
    "days but for the last two": DailyPartitionsDefinition("2026-03-01", end_offset=-2),
    "days up to an end": DailyPartitionsDefinition("2026-03-01", end_date="2026-03-20", end_offset=3),
    "quarters": TimeWindowPartitionsDefinition(cron_schedule="0 0 1 */3 *", start="2024-02-01", fmt="%Y-%m-%d"),
    "days but weekends": TimeWindowPartitionsDefinition(
        cron_schedule="0 0 * * *",
        start="2026-03-01",
        fmt="%Y-%m-%d",
        exclusions=["0 0 * * 0,6", datetime(2026, 3, 5, tzinfo=UTC)],
    ),
    "none yet": DailyPartitionsDefinition("2030-01-01"),
    "names": StaticPartitionsDefinition(["north", "south", "east"]),
    "names of days": MultiPartitionsDefinition(
        {"where": StaticPartitionsDefinition(["b", "a"]), "day": DailyPartitionsDefinition("2026-04-10")}
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_keys_are_those_of_dagster_in_their_order(name: str) -> None:
    definition: Any = DEFINITIONS[name]
    told = partitions_snapshot(definition)
    assert keys_of(told, dynamic=NO_KEYS, at=AT) == list(definition.get_partition_keys(current_time=AT))


def test_dynamic_keys_are_those_that_are_kept_under_the_name() -> None:
    told = partitions_snapshot(
        MultiPartitionsDefinition(
            {"customer": DynamicPartitionsDefinition(name="customers"), "kind": StaticPartitionsDefinition(["x", "y"])}
        )
    )
    assert dynamic_names(told) == {"customers"}
    found = keys_of(told, dynamic={"customers": ["zoe", "ada"]}, at=AT)
    assert found == ["zoe|x", "zoe|y", "ada|x", "ada|y"]


@pytest.mark.parametrize(
    "told",
    [
        PartitionsSnapshot(kind="MyPartitions"),
        PartitionsSnapshot(kind="dynamic"),
        PartitionsSnapshot(kind="time_window", cron_schedule="whenever", format="%Y"),
        PartitionsSnapshot(kind="time_window", cron_schedule="0 0 * * *", timezone="Mars/Olympus", format="%Y"),
    ],
)
def test_what_only_its_author_can_count_is_said_to_be_that(told: PartitionsSnapshot) -> None:
    with pytest.raises(UncountableError):
        keys_of(told, dynamic=NO_KEYS, at=AT)
