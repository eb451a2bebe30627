"""Many locations on one agent: one that is slow to come delays none of the others."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from integration.docker_stand import docker_stand
from isthmus.v1.instruction_pb2 import ISOLATION_SHARED, PULL_POLICY_IF_MISSING
from isthmus.v1.telemetry_pb2 import (
    LOCATION_PHASE_FAILED,
    LOCATION_PHASE_IMPORTING,
    LOCATION_PHASE_PULLING,
    LOCATION_PHASE_SERVING,
    InstructionResult,
    LocationPhase,
)
from support.docker import remove_image
from support.eventually import eventually
from support.registry import Registry

pytestmark = [pytest.mark.alone, pytest.mark.timeout(420)]

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
OTHERS = [f"other{number}" for number in range(29)]
#: Seconds for 29 imports of Dagster, on whatever machine this is.
PATIENCE_S = 240.0


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry.serving() as registry:
        yield registry
        remove_image(registry.image)


async def in_phase(it: AgentStand, names: Sequence[str], phase: "LocationPhase.ValueType") -> None:
    await eventually(
        lambda: set(names) <= {name for name, now in it.phases().items() if now == phase}, within=PATIENCE_S
    )


async def take_a_run_each(it: AgentStand, names: Sequence[str]) -> None:
    for name in names:
        run = new_run()
        launch = await it.tell(launch_run=it.launch("quick_job", run, location=name))
        assert (await it.result(launch, within=PATIENCE_S)).outcome == SUCCEEDED
        assert (await it.end(run, within=PATIENCE_S)).HasField("run_succeeded")


async def test_one_that_is_slow_to_import_delays_none_of_29_others(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with stand as it, it.agent(location_wait_s=2 * PATIENCE_S):
        await it.sync(it.location(name="slow", GATE=str(gate)), *(it.location(name=name) for name in OTHERS))
        run = new_run()
        waiting = await it.tell(launch_run=it.launch("quick_job", run, location="slow"), in_s=2 * PATIENCE_S)
        await in_phase(it, OTHERS, LOCATION_PHASE_SERVING)
        await take_a_run_each(it, OTHERS)
        await in_phase(it, ["slow"], LOCATION_PHASE_IMPORTING)
        assert not it.results(waiting)
        gate.touch()
        await in_phase(it, ["slow"], LOCATION_PHASE_SERVING)
        assert (await it.result(waiting, within=PATIENCE_S)).outcome == SUCCEEDED
        assert (await it.end(run, within=PATIENCE_S)).HasField("run_succeeded")


async def test_one_whose_image_is_slow_to_come_delays_none_of_29_others(
    broker_url: str, short_path: Path, code_server_image: str, registry: Registry
) -> None:
    async with (
        docker_stand(url=broker_url, folder=short_path, image=code_server_image) as it,
        it.agent(),
    ):
        registry.flowing.clear()
        specs = [it.location(name=name) for name in ("slow", *OTHERS)]
        for spec in specs:
            spec.isolation = ISOLATION_SHARED
        slow = specs[0]
        slow.container.image = registry.image
        slow.container.pull_policy = PULL_POLICY_IF_MISSING
        await it.stand.sync(*specs)
        await in_phase(it.stand, OTHERS, LOCATION_PHASE_SERVING)
        await take_a_run_each(it.stand, OTHERS)
        await in_phase(it.stand, ["slow"], LOCATION_PHASE_PULLING)
        registry.flowing.set()
        # The image came; that there is nothing to start in it is another matter.
        await in_phase(it.stand, ["slow"], LOCATION_PHASE_FAILED)
