"""When schedules are due: expressions, zones, and a year of Dagster's own times."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isthmus_control_plane.automation.cron import times
from isthmus_control_plane.automation.cron.errors import CronError, UnknownZoneError
from isthmus_control_plane.automation.cron.expression import Cron, parse
from support.cron.forms import BEGIN, FORMS, PRESENT, ZONES, digest
from support.cron.reference import stored

#: Clocks at Troll go two hours ahead at once, and Dagster holds one hour for the most: it leaves times out there.
_DAGSTERS_OWN_FAULTS: Final = {
    ("Antarctica/Troll", "*/30 1-3 * * *"),
    ("Antarctica/Troll", "15,45 0-5 * * *"),
}


@pytest.mark.parametrize("zone", ZONES)
def test_year_of_times_is_dagsters(zone: str) -> None:
    reference = stored()[zone]
    within = times.zone(zone)
    differing = {
        (zone, " | ".join(form))
        for form in FORMS
        if digest(times.after([parse(it) for it in form], BEGIN, within=within, present=PRESENT))
        != reference[" | ".join(form)]
    }
    assert differing == {it for it in _DAGSTERS_OWN_FAULTS if it[0] == zone}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("* * * *", "fields are 4"),
        ("* * * * * *", "fields are 6"),
        ("", "fields are 0"),
        ("60 * * * *", "minute '60' is not within 0 to 59"),
        ("* 24 * * *", "hour '24' is not within 0 to 23"),
        ("* * 0 * *", "day of month '0' is not within 1 to 31"),
        ("* * * 13 *", "month '13' is not within 1 to 12"),
        ("* * * * 8", "day of week '8' is not within 0 to 6"),
        ("* * * foo *", "month 'foo' is neither a number nor a name"),
        ("*/0 * * * *", "minute '*/0' has a step"),
        ("*/x * * * *", "minute '*/x' has a step"),
        ("* * * * 5#6", "day of week '5#6' is no week of a month"),
        ("* * * * 1,5#2", "day of week mixes"),
        ("0 0 30 2 *", "day of month is one that February does not have"),
        ("? * * * *", "'?' may stand for a day"),
        ("r * * * *", "minute 'r' is neither"),
        ("@never", "fields are 1"),
    ],
)
def test_fault_names_its_field(expression: str, problem: str) -> None:
    with pytest.raises(CronError) as caught:
        parse(expression)
    assert problem in str(caught.value)


def test_unknown_zone_is_named() -> None:
    with pytest.raises(UnknownZoneError, match="Mars/Olympus"):
        times.zone("Mars/Olympus")


def test_expression_that_names_no_day_ever_ends() -> None:
    assert times.upcoming([parse("0 0 31 4,6 *")], BEGIN, within=times.zone("UTC"), count=1) == []


def test_twenty_ninth_of_february_comes_in_leap_years() -> None:
    found = times.upcoming([parse("0 6 29 2 *")], BEGIN, within=times.zone("UTC"), count=2)
    assert [it.date().isoformat() for it in found] == ["2028-02-29", "2032-02-29"]


def test_latest_times_are_the_newest_ones_up_to_now() -> None:
    until = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    crons, within = [parse("0 * * * *")], times.zone("UTC")
    found = times.latest(crons, since=BEGIN, until=until, within=within, at_most=2)
    assert found == [until - timedelta(hours=1), until]
    assert times.latest(crons, since=until, until=until, within=within, at_most=2) == []


_crons = st.lists(st.sampled_from(FORMS), min_size=1, max_size=3).map(
    lambda forms: [parse(it) for form in forms for it in form]
)
_zones = st.sampled_from(ZONES).map(times.zone)
_moments = st.datetimes(datetime(1980, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001  # hypothesis wants naive bounds
    lambda it: it.replace(tzinfo=UTC)
)


@given(crons=_crons, within=_zones, moment=_moments)
def test_times_grow_and_come_once(crons: list[Cron], within: ZoneInfo, moment: datetime) -> None:
    found = [moment, *islice(times.after(crons, moment, within=within), 50)]
    assert all(before < it for before, it in pairwise(found))
    assert all(it.second == it.microsecond == 0 for it in found[1:])


@given(crons=_crons, within=_zones, moment=_moments)
def test_next_time_is_the_one_that_going_on_finds(crons: list[Cron], within: ZoneInfo, moment: datetime) -> None:
    going_on = list(islice(times.after(crons, moment, within=within, present=moment), 20))
    step = moment
    for expected in going_on:
        step = next(times.after(crons, step, within=within, present=moment))
        assert step == expected


@given(crons=_crons, within=_zones, moment=_moments, span=st.integers(1, 100))
def test_latest_are_the_last_of_all(crons: list[Cron], within: ZoneInfo, moment: datetime, span: int) -> None:
    until = moment + timedelta(hours=span)
    every = []
    for it in times.after(crons, moment, within=within, present=until):
        if it > until:
            break
        every.append(it)
    assert times.latest(crons, since=moment, until=until, within=within, at_most=3) == every[-3:]
