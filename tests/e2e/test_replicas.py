"""A location on two agents: launches are spread, a dead agent's go to the other one, and it has its share when it is back."""

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import AGENT, Operator, Service, System, running_system

pytestmark = pytest.mark.timeout(240)

OTHER = "agent-two"
#: Each run notes that it runs, and goes on once it is let.
PROJECT = """
import os, pathlib, time
import dagster as dg

ROOM = pathlib.Path(os.environ["ROOM"])


@dg.op
def work(context):
    with open(ROOM / "begun", "a") as begun:
        begun.write(context.run_id + "\\n")
    while (ROOM / "hold").exists():
        time.sleep(0.01)


@dg.job(executor_def=dg.in_process_executor)
def job():
    work()


defs = dg.Definitions(jobs=[job])
"""


@pytest.fixture
def system(rabbitmq: Rabbit, tmp_path: Path) -> Iterator[System]:
    """A system whose agents are given up soon after they fell silent."""
    soon = {"ISTHMUS_MONITOR_AGENT_LOST_AFTER_S": "8"}
    with running_system(
        broker_url=rabbitmq.take_url(),
        database_url=f"sqlite+aiosqlite:///{tmp_path}/isthmus.db",
        folder=tmp_path,
        monitor_environment=soon,
        agent_environment={"ISTHMUS_AGENT_HEARTBEAT_S": "0.5"},
    ) as system:
        yield system


@pytest.fixture
def other_agent(system: System) -> Iterator[Service]:
    own = {
        "ISTHMUS_AGENT_NAME": OTHER,
        "ISTHMUS_AGENT_DATA_DIR": str(system.folder / "second"),
        "ISTHMUS_AGENT_RUNTIME_DIR": str(system.folder / "run2"),
    }
    agent = Service("agent", {**system.services["agent"].environment, **own}, system.folder / "second.log")
    agent.start()
    yield agent
    if agent.is_alive:
        agent.end(signal.SIGKILL)


class Crew:
    """Two agents and the location that both serve."""

    def __init__(self, operator: Operator, room: Path) -> None:
        self.operator = operator
        self.room = room
        self.hold = room / "hold"

    async def open(self, project: Path) -> None:
        client = self.operator.client
        await self.operator.enroll_agent()
        await client.create_agent(OTHER)
        source = CodeSource(python_file=str(project), working_directory=str(project.parent))
        settings = api.LocationSettings(name="etl", source=source, env={"ROOM": str(self.room)}, replicas=2)
        await client.apply_location(settings)
        await eventually(self.serves, within=60)

    async def serves(self) -> bool:
        held = (await self.operator.client.get_location("etl")).placements
        return [(it.agent, it.report.phase) for it in held] == [
            (AGENT, LOCATION_PHASE_SERVING),
            (OTHER, LOCATION_PHASE_SERVING),
        ]

    async def launch(self, count: int) -> list[api.Run]:
        run_ids = [await self.operator.launch("etl", "job") for _ in range(count)]
        return [await self.operator.client.get_run(run_id) for run_id in run_ids]

    async def ended(self, runs: Sequence[api.Run]) -> list[api.Run]:
        ends = [(await self.operator.history(run.request.run.run_id))[0] for run in runs]
        assert {run.state for run in ends} == {api.RUN_STATE_SUCCEEDED}, self.operator.system.report()
        return ends

    async def state_of_other(self) -> "api.AgentState.ValueType":
        return (await self.operator.client.get_agent(OTHER)).state

    async def is_other(self, state: "api.AgentState.ValueType") -> bool:
        return await self.state_of_other() == state

    @property
    def begun(self) -> Counter[str]:
        return Counter((self.room / "begun").read_text().split())


async def test_runs_are_spread_over_the_agents_of_a_location_whatever_becomes_of_one(
    system: System, other_agent: Service, tmp_path: Path
) -> None:
    project, room = tmp_path / "project.py", tmp_path / "room"
    project.write_text(PROJECT)
    room.mkdir()
    async with system.client() as client:
        crew = Crew(Operator(system, client), room)
        await crew.open(project)
        crew.hold.touch()
        first = await crew.launch(8)
        assert Counter(run.agent for run in first) == {AGENT: 4, OTHER: 4}
        crew.hold.unlink()
        await crew.ended(first)
        other_agent.end(signal.SIGKILL)
        crew.hold.touch()
        # Before anybody knows of it.
        second = await crew.launch(6)
        assert Counter(run.agent for run in second) == {AGENT: 3, OTHER: 3}
        crew.hold.unlink()
        ends = await crew.ended(second)
        assert Counter((run.agent, run.request.run.attempt) for run in ends) == {
            (AGENT, 1): 3,
            (AGENT, 2): 3,
        }
        assert (await crew.state_of_other()) == api.AGENT_STATE_LOST
        third = await crew.ended(await crew.launch(2))
        assert {run.agent for run in third} == {AGENT}
        other_agent.start()
        await eventually(lambda: crew.is_other(api.AGENT_STATE_ONLINE), within=60)
        await eventually(crew.serves, within=60)
        crew.hold.touch()
        fourth = await crew.launch(8)
        assert Counter(run.agent for run in fourth) == {AGENT: 4, OTHER: 4}
        crew.hold.unlink()
        await crew.ended(fourth)
        all_of = [run.request.run.run_id for run in (*first, *second, *third, *fourth)]
        assert crew.begun == dict.fromkeys(all_of, 1)
