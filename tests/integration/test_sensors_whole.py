"""Sensors of a real project, on the whole system: broker, agent, code server, and each kind of database."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import AssetKey
from isthmus_client.errors import NotFoundError
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

if TYPE_CHECKING:
    from support.postgres import Postgres

PROJECT = Path(__file__).parent / "sensor_project"
SOURCE = CodeSource(python_file=str(PROJECT / "watching.py"), working_directory=str(PROJECT))

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["sqlite", "postgresql"])
def system(request: pytest.FixtureRequest, rabbitmq: Rabbit, tmp_path: Path) -> Iterator[System]:
    """The system, once on each kind of database."""
    database_url = f"sqlite:///{tmp_path}/isthmus.db"
    if request.param == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        database_url = postgres.create_database()
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=tmp_path) as system:
        yield system


def sensor(name: str) -> api.AutomationRef:
    return api.AutomationRef(kind=api.AUTOMATION_KIND_SENSOR, name=name)


async def ticks(operator: Operator, name: str, *statuses: "api.TickStatus.ValueType") -> list[api.Tick]:
    """The sensor's ticks of these statuses, once there is one."""

    async def look() -> list[api.Tick]:
        try:
            return list((await operator.client.list_ticks(sensor(name), statuses=statuses)).ticks)
        except NotFoundError:
            # The control plane that leads has not seen yet what the location defines.
            return []

    return await eventually(look, within=60)


async def tagged(operator: Operator, **tags: str) -> list[api.Run]:
    async def look() -> list[api.Run]:
        page = await operator.client.list_runs(api.ListRunsQuery(tags=tags))
        return [run for run in page.runs if run.state == api.RUN_STATE_SUCCEEDED]

    return await eventually(look, within=60)


def test_sensors_act_on_runs_assets_and_what_they_remember(system: System) -> None:
    async def acting() -> None:
        async with system.client() as client:
            operator = Operator(system, client)
            await operator.enroll_agent()
            await operator.apply("watching", SOURCE)
            await ticks(operator, "after_watched", api.TICK_STATUS_SKIPPED)
            await ticks(operator, "after_failure", api.TICK_STATUS_SKIPPED)
            await _runs_are_answered(operator)
            await _failures_are_reacted_to(operator)
            await _assets_are_answered(operator)
            await _conditions_are_evaluated(operator)
            await _partitions_are_opened_and_filled(operator)

    asyncio.run(acting())


async def _runs_are_answered(operator: Operator) -> None:
    """The sensors sleep for ten minutes: what wakes them is the run's end."""
    run_id = await operator.launch("watching", "watched")
    (answered,) = await tagged(operator, after=run_id)
    assert answered.request.job_name == "answer"
    assert answered.tags["dagster/sensor_name"] == "after_watched"
    (tick,) = await ticks(operator, "after_watched", api.TICK_STATUS_SUCCESS)
    assert list(tick.run_ids) == [answered.request.run.run_id]


async def _failures_are_reacted_to(operator: Operator) -> None:
    run_id = await operator.launch("watching", "broken")
    (tick,) = await ticks(operator, "after_failure", api.TICK_STATUS_SUCCESS)
    assert [line.message for line in tick.evaluation.log_lines] == ["broken failed"]
    _, updates = await operator.history(run_id)
    texts = [update.event.message for update in updates if update.event.HasField("engine_event")]
    assert f'Sensor "after_failure" acted on run status FAILURE of run {run_id}.' in texts


async def _assets_are_answered(operator: Operator) -> None:
    await operator.launch("watching", "", asset_selection=[{"path": ["orders"]}])
    (answered,) = await tagged(operator, because="orders")
    assert answered.tags["dagster/sensor_name"] == "on_orders"


async def _conditions_are_evaluated(operator: Operator) -> None:
    """What wakes the sensor is that the asset above was made; what it decides is told in words."""
    name = "default_automation_condition_sensor"
    await operator.client.start_automation(sensor(name))
    await ticks(operator, name, api.TICK_STATUS_SKIPPED)
    await operator.launch("watching", "", asset_selection=[{"path": ["orders"]}])
    (run,) = await tagged(operator, **{"dagster/sensor_name": name})
    assert [list(key.path) for key in run.request.asset_selection] == [["reported"]]
    asked = api.ListAssetEvaluationsRequest(key=AssetKey(path=["reported"]), is_requesting_only=True)
    (decided,) = (await operator.client.list_asset_evaluations(asked)).evaluations
    assert (decided.sensor, decided.requested.count) == (name, 1)
    assert decided.reason.startswith("executed, since “eager” and “Always”"), decided.reason


async def _partitions_are_opened_and_filled(operator: Operator) -> None:
    """The keys that a run needs are added in its own transaction."""
    tried = await operator.client.test_tick(sensor("opening"))
    assert [run.partition_key for run in tried.runs] == ["region-0"]
    await operator.client.start_automation(sensor("opening"))
    for key in ("region-0", "region-1"):
        (run,) = await tagged(operator, **{"dagster/run_key": key})
        assert run.request.partition_key == key
    assert (await operator.client.get_automation(sensor("opening"))).cursor == "2"
