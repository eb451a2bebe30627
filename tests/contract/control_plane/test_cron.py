"""Our times beside those of the Dagster that is installed, found as each test runs."""

from datetime import UTC, datetime
from itertools import islice

import pytest
from isthmus_control_plane.automation.cron import times
from isthmus_control_plane.automation.cron.expression import parse
from support.cron.reference import dagster_times

_NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Havana"])
@pytest.mark.parametrize(
    "form",
    [("*/7 * * * *",), ("30 2 * * *",), ("0 0 1,15 * mon",), ("*/20 9-17 * * 1-5",), ("0 0 * * *", "30 2 * * sun")],
    ids="|".join,
)
def test_next_times_are_dagsters(zone: str, form: tuple[str, ...]) -> None:
    ours = times.after([parse(it) for it in form], _NOW, within=times.zone(zone))
    theirs = dagster_times(form, zone, begin=_NOW)
    # As numbers: a time that clocks show twice equals no time of another zone.
    assert [it.timestamp() for it in islice(ours, 400)] == [it.timestamp() for it in islice(theirs, 400)]
