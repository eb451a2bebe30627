"""Every schedule and sensor of these projects gives what Dagster's own evaluation gives, tick after tick."""

import asyncio
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from dagster import AddDynamicPartitionsRequest, DagsterInstance
from dagster._grpc import impl
from dagster._utils import schedules as times_of_schedules
from isthmus.v1 import instance_pb2 as instance
from isthmus.v1 import telemetry_pb2 as pb
from isthmus_code_server.definitions.dagster.asked.run_origin import location_origin
from isthmus_code_server.definitions.dagster.loading import load_definitions
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, SensorTick
from isthmus_code_server.definitions.source import DefinitionsSource
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_code_server import PROJECTS, Load
from support_instance import attached

EXAMPLE = Path(__file__).parents[3] / "examples/bike_share"
LOCATION = "here"
#: Four weeks over the end of summer time in Europe and America.
SINCE = datetime(2024, 10, 20, tzinfo=UTC)
MOST_TICKS = 28
#: Their contexts' times are told apart by when they were evaluated.
_TICKS = [SINCE + timedelta(seconds=30 * number) for number in range(4)]

_dagster: Any = impl
_times: Any = times_of_schedules

pytestmark = pytest.mark.timeout(180)


def nothing_there(query: instance.InstanceQuery) -> instance.InstanceAnswer:
    """The answer of a store in which nothing ever happened, as in Dagster's instance beside it."""
    answer = instance.InstanceAnswer()
    fields = {
        "latest_events": "events",
        "events": "events",
        "partitions": "partitions",
        "asset_keys": "asset_keys",
        "dynamic_partitions": "dynamic_partitions",
        "runs": "runs",
    }
    getattr(answer, fields[query.WhichOneof("body") or ""]).SetInParent()
    return answer


@pytest.fixture
def dagsters(tmp_path: Path) -> Iterator[DagsterInstance]:
    home = tmp_path / "dagster"
    home.mkdir()
    with DagsterInstance.local_temp(str(home)) as made:
        yield made


@pytest.fixture(params=["jobs", "assets", "deciding", "bike_share"])
def project(request: pytest.FixtureRequest, load: Load, tmp_path: Path) -> tuple[Definitions, Any]:
    """A project as it is loaded here, and as Dagster knows it."""
    if request.param == "bike_share":
        pytest.importorskip("duckdb")
        source = DefinitionsSource(module="bike_share.definitions", working_directory=str(EXAMPLE))
        definitions: Definitions = load_definitions(source, tmp_path / "home")
        return definitions, sys.modules["bike_share.definitions"].defs.get_repository_def()
    definitions = load(module=request.param)
    assert str(PROJECTS) in str(sys.modules[request.param].__file__)
    return definitions, sys.modules[request.param].defs.get_repository_def()


def asked_for(requests: Any) -> list[dict[str, Any]]:
    """Dagster's requests for runs in our terms."""
    return [
        {
            "key": it.run_key or "",
            "job": it.job_name or "",
            "config": dict(it.run_config or {}),
            "tags": dict(it.tags),
            "partition": it.partition_key or "",
            "assets": [list(key.path) for key in it.asset_selection or ()],
            "checks": None
            if it.asset_check_keys is None
            else [(list(key.asset_key.path), key.name) for key in it.asset_check_keys],
            "stale": it.stale_assets_only,
        }
        for it in requests or ()
        if getattr(it, "asset_graph_subset", None) is None
    ]


def answered(runs: Any, *, default_job: str) -> list[dict[str, Any]]:
    return [
        {
            "key": it.run_key,
            "job": "" if it.job_name == default_job else it.job_name,
            "config": json.loads(it.run_config_json or "{}"),
            "tags": dict(it.tags),
            "partition": it.partition_key,
            "assets": [list(key.path) for key in it.asset_selection],
            "checks": [(list(key.asset.path), key.check_name) for key in it.check_selection]
            if it.has_check_selection
            else None,
            "stale": it.is_stale_assets_only,
        }
        for it in runs
        if not it.HasField("backfill")
    ]


def named(requests: list[dict[str, Any]], *, default_job: str) -> list[dict[str, Any]]:
    return [{**it, "job": "" if it["job"] == default_job else it["job"]} for it in requests]


async def test_schedules_give_what_dagster_gives_over_four_weeks(
    project: tuple[Definitions, Any], dagsters: DagsterInstance, gate: InstanceGate
) -> None:
    definitions, repository = project
    # One that writes to its instance is the difference: in Dagster that is written while it is evaluated.
    schedules = [it for it in repository.schedule_defs if it.name != "writing"]

    def compare() -> int:
        compared = 0
        for schedule in schedules:
            zone = schedule.execution_timezone or "UTC"
            times = _times.schedule_execution_time_iterator(SINCE.timestamp(), schedule.cron_schedule, zone)
            for at in islice(times, MOST_TICKS):
                theirs = _dagster.get_external_schedule_execution(
                    repository, dagsters.get_ref(), schedule.name, at.timestamp(), zone, None
                )
                _compare_schedule(definitions, schedule, at=at, theirs=theirs)
                compared += 1
        return compared

    async with gate.listening(), attached(gate, nothing_there, asked=[]):
        compared = await asyncio.to_thread(compare)
    assert compared == MOST_TICKS * len(schedules)


def _compare_schedule(definitions: Definitions, schedule: Any, *, at: datetime, theirs: Any) -> None:
    place = EvaluationPlace(location=LOCATION)
    if hasattr(theirs, "error"):
        with pytest.raises(Exception, match=r".*"):
            definitions.evaluate_schedule(schedule.name, scheduled_at=at.astimezone(UTC), place=place)
        return
    ours = definitions.evaluate_schedule(schedule.name, scheduled_at=at.astimezone(UTC), place=place)
    job = schedule.job_name
    assert answered(ours.runs, default_job=job) == named(asked_for(theirs.run_requests), default_job=job)
    assert ours.skip_reason == (theirs.skip_message or "")


async def test_sensors_give_what_dagster_gives_with_their_cursors(
    project: tuple[Definitions, Any], dagsters: DagsterInstance, gate: InstanceGate
) -> None:
    definitions, repository = project

    def compare() -> None:
        for sensor in repository.sensor_defs:
            if sensor.sensor_type.value not in {"AUTO_MATERIALIZE", "AUTOMATION"}:
                _compare_sensor(definitions, repository, sensor, dagsters=dagsters)

    async with gate.listening(), attached(gate, nothing_there, asked=[]):
        await asyncio.to_thread(compare)


def _compare_sensor(definitions: Definitions, repository: Any, sensor: Any, *, dagsters: DagsterInstance) -> None:
    cursor, last_key, last_at = "", "", None
    targets = list(sensor.targets or ())
    job = targets[0].job_name if len(targets) == 1 else ""
    for at in _TICKS:
        theirs = _dagster.get_external_sensor_execution(
            repository,
            location_origin(LOCATION),
            dagsters.get_ref(),
            sensor.name,
            last_at.timestamp() if last_at is not None else None,
            last_key or None,
            cursor or None,
            None,
            SINCE.timestamp(),
        )
        tick = SensorTick(
            cursor=cursor,
            last_run_key=last_key,
            last_tick_at=last_at,
            last_started_at=SINCE,
            place=EvaluationPlace(location=LOCATION),
        )
        if hasattr(theirs, "error"):
            with pytest.raises(Exception, match=r".*"):
                definitions.evaluate_sensor(sensor.name, tick=tick)
            return
        ours = definitions.evaluate_sensor(sensor.name, tick=tick)
        assert answered(ours.runs, default_job=job) == named(asked_for(theirs.run_requests), default_job=job)
        assert (ours.skip_reason, ours.cursor) == (theirs.skip_message or "", theirs.cursor or ""), sensor.name
        assert _changed(ours) == _wanted(theirs)
        assert [it.run_id for it in ours.reactions] == [it.dagster_run.run_id for it in theirs.dagster_run_reactions]
        cursor, last_at = ours.cursor, at
        last_key = ours.runs[-1].run_key if ours.runs else last_key


def _changed(answer: pb.SensorAnswer) -> list[tuple[str, list[str], list[str]]]:
    return [(it.name, list(it.added), list(it.deleted)) for it in answer.changes.partitions]


def _wanted(data: Any) -> list[tuple[str, list[str], list[str]]]:
    found = []
    for it in data.dynamic_partitions_requests or ():
        keys, is_new = list(it.partition_keys), isinstance(it, AddDynamicPartitionsRequest)
        found.append((it.partitions_def_name, keys if is_new else [], [] if is_new else keys))
    return found
