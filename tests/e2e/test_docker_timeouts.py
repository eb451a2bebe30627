"""Runs that take too long to begin in containers: nothing of them is left on a real engine when they are said to have ended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import PROJECT
from isthmus.v1.control_plane_pb2 import RUN_STATE_FAILED, LocationSettings, QueueSettings, RunTimeouts
from isthmus.v1.instruction_pb2 import CodeSource, ContainerMount, ContainerSpec
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, RUN_REASON_START_TIMEOUT
from isthmus_agent.hosts.docker.labels import Owner
from support.docker import container_ids, docker, host_pids, remove_containers
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import AGENT, Operator, System, running_system

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def system(rabbitmq: Rabbit, short_path: Path) -> Iterator[System]:
    hold = short_path / "hold"
    hold.mkdir()
    short_path.chmod(0o755)
    policy = short_path / "policy.toml"
    # The private broker listens on this machine's loopback alone.
    policy.write_text(f'networks = ["host"]\nmounts = ["{hold}", "{PROJECT}"]\n')
    of_agent = {
        "ISTHMUS_AGENT_HOST": "docker",
        "ISTHMUS_AGENT_NETWORK": "host",
        "ISTHMUS_AGENT_POLICY_FILE": str(policy),
    }
    with running_system(
        broker_url=rabbitmq.take_url(),
        database_url=f"sqlite+aiosqlite:///{short_path}/isthmus.db",
        folder=short_path,
        agent_environment=of_agent,
    ) as system:
        try:
            yield system
        finally:
            remove_containers(label=label_of(system))


def label_of(system: System) -> str:
    return f"isthmus.data={Owner('default', AGENT, system.folder / 'agent').data_id}"


def of_runs(system: System) -> list[str]:
    """The containers that take one run each, those that have ended included."""
    ids = container_ids(label=label_of(system))
    made = json.loads(docker("inspect", *ids)) if ids else []
    return [it["Id"] for it in made if it["Config"]["Labels"]["isthmus.slot"]]


def location(system: System, *, image: str) -> LocationSettings:
    container = ContainerSpec(image=image)
    container.mounts.extend(
        [
            ContainerMount(source=str(PROJECT), target="/code", is_read_only=True),
            ContainerMount(source=str(system.folder / "hold"), target="/hold", is_read_only=True),
        ]
    )
    source = CodeSource(python_file="/code/held.py", working_directory="/code")
    return LocationSettings(name="held", source=source, env={"HOLD": "/hold/on"}, container=container)


async def test_a_run_that_does_not_begin_in_time_leaves_no_container_behind(
    system: System, code_server_image: str
) -> None:
    async with system.client() as client:
        operator = Operator(system, client)
        await operator.enroll_agent()
        await client.apply_location(location(system, image=code_server_image))

        async def serves() -> bool:
            return (await client.get_location("held")).phase == LOCATION_PHASE_SERVING

        await eventually(serves, within=60)
        (system.folder / "hold" / "on").touch()
        run_id = await operator.launch("held", "quick", tags={"isthmus/isolation": "dedicated"})
        (begun,) = await eventually(lambda: of_runs(system), within=30)
        pids = await eventually(lambda: list(host_pids(begun).values()), within=30)
        await client.set_queue_settings(QueueSettings(run_timeouts=RunTimeouts(start_s=1)))
        run, _ = await operator.history(run_id, within=60)
        assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_START_TIMEOUT), system.report()
        await eventually(lambda: not of_runs(system), within=30)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
