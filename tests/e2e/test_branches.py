"""A branch deployment beside another one: apart from it while it lives, and gone without a trace, whatever dies on the way."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.exceptions import ChannelNotFoundEntity
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from isthmus_broker.topology import agent_topology
from isthmus_client.branches import NewBranch
from isthmus_client.client import ControlPlaneClient
from isthmus_client.errors import ConflictError, NotFoundError
from isthmus_store.database import Database
from isthmus_store.table.catalog import SCHEMA
from sqlalchemy import func, select
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import AGENT, Operator, System, running_system

pytestmark = pytest.mark.timeout(300)

OWN = "default--pr-17"
#: Runs note that they run and go on once they are let; a schedule that would run each minute of its own accord.
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


@dg.schedule(job=job, cron_schedule="* * * * *", default_status=dg.DefaultScheduleStatus.RUNNING)
def each_minute():
    return dg.SkipReason("not today")


defs = dg.Definitions(jobs=[job], schedules=[each_minute])
"""


@pytest.fixture
def system(rabbitmq: Rabbit, tmp_path: Path) -> Iterator[System]:
    with running_system(
        broker_url=rabbitmq.take_url(),
        database_url=f"sqlite+aiosqlite:///{tmp_path}/isthmus.db",
        folder=tmp_path,
        agent_environment={"ISTHMUS_AGENT_HEARTBEAT_S": "0.5"},
    ) as system:
        yield system


class Branching:
    """A deployment with a location, and the branch beside it."""

    def __init__(self, system: System, parent: ControlPlaneClient, own: ControlPlaneClient) -> None:
        self.system = system
        self.parent = parent
        self.own = own
        self.room = system.folder / "room"
        self.hold = self.room / "hold"

    async def open(self) -> None:
        """Serve the same location in both deployments."""
        self.room.mkdir()
        (self.room / "definitions.py").write_text(PROJECT)
        await Operator(self.system, self.parent).enroll_agent()
        await self.apply(self.parent)
        await self.parent.create_branch(NewBranch(name="pr-17", max_runs=1), requested_by="ci")
        await self.apply(self.own)

    async def apply(self, client: ControlPlaneClient) -> None:
        source = CodeSource(python_file=str(self.room / "definitions.py"), working_directory=str(self.room))
        await client.apply_location(api.LocationSettings(name="etl", source=source, env={"ROOM": str(self.room)}))

        async def serves() -> bool:
            return (await client.get_location("etl")).phase == LOCATION_PHASE_SERVING

        await self.waited(serves)

    async def launch(self, client: ControlPlaneClient) -> str:
        run = await client.launch_run(api.LaunchRunRequest(location="etl", job_name="job"))
        return run.request.run.run_id

    async def begun(self, run_id: str) -> None:
        async def is_there() -> bool:
            path = self.room / "begun"
            return path.exists() and run_id in path.read_text()

        await self.waited(is_there)

    async def succeeded(self, client: ControlPlaneClient, run_id: str) -> None:
        async def has() -> bool:
            return (await client.get_run(run_id)).state == api.RUN_STATE_SUCCEEDED

        await self.waited(has)

    async def is_gone(self) -> bool:
        try:
            await self.parent.get_branch("pr-17")
        except NotFoundError:
            return True
        return False

    async def waited(self, check: Callable[[], Awaitable[bool]]) -> None:
        try:
            await eventually(check, within=90)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.system.report()}") from error

    async def check_nothing_is_left(self) -> None:
        """Look for rows, queues, processes and files."""
        async with Database.open(self.system.database_url) as database, database.read() as tx:
            tables = [it for it in SCHEMA.sorted_tables if "deployment" in it.c and it.name != "snapshots"]
            statements = {it.name: select(func.count()).select_from(it).where(it.c.deployment == OWN) for it in tables}
            left = {name: (await tx.execute(it)).scalar_one() for name, it in statements.items()}
        assert {name: count for name, count in left.items() if count} == {}
        async with await aio_pika.connect(self.system.broker_url) as connection:
            for queue in agent_topology(OWN, AGENT).queues:
                channel = await connection.channel()
                with pytest.raises(ChannelNotFoundEntity):
                    await channel.declare_queue(queue.name, passive=True)
        folder = self.system.folder / "agent" / "branches"
        assert list(folder.iterdir()) == []
        # The parent's own location is served on.
        assert len(self.system.code_server_pids()) == 1


@pytest.fixture
async def branching(system: System) -> AsyncIterator[Branching]:
    async with system.client() as parent, ControlPlaneClient(system.address, deployment=OWN) as own:
        found = Branching(system, parent, own)
        await found.open()
        yield found


async def test_a_branch_has_runs_limits_and_schedules_of_its_own_and_leaves_nothing(branching: Branching) -> None:
    parent, own = branching.parent, branching.own
    (agent,) = await own.list_agents()
    assert (agent.name, agent.pool) == (AGENT, "default")
    assert len(branching.system.code_server_pids()) == 2

    async def each_schedule(client: ControlPlaneClient) -> list[bool]:
        return [it.is_running for it in await client.list_automations()]

    async def are_known() -> bool:
        return bool(await each_schedule(own)) and bool(await each_schedule(parent))

    await branching.waited(are_known)
    assert (await each_schedule(parent), await each_schedule(own)) == ([True], [False])

    branching.hold.touch()
    first, second, other = (
        await branching.launch(own),
        await branching.launch(own),
        await branching.launch(parent),
    )
    await branching.begun(first)
    await branching.begun(other)
    # One at a time is the branch's own limit.
    assert (await own.get_run(second)).state == api.RUN_STATE_QUEUED
    with pytest.raises(NotFoundError):
        await parent.get_run(first)
    with pytest.raises(ConflictError, match="2 runs live in branch 'pr-17'"):
        await parent.delete_branch("pr-17")
    told = await parent.delete_branch("pr-17", end_runs=True, requested_by="ana")
    assert (told.deleted_by, told.waits_for) == ("ana", "2 runs to end")
    with pytest.raises(ConflictError, match="is being deleted"):
        await own.apply_location(api.LocationSettings(name="late", source=CodeSource(module="late")))
    await branching.waited(branching.is_gone)
    await branching.check_nothing_is_left()
    # The run beside it has noticed nothing.
    assert (await parent.get_run(other)).state == api.RUN_STATE_RUNNING
    branching.hold.unlink()
    await branching.succeeded(parent, other)


async def test_a_branch_expires_and_goes_though_control_plane_and_agent_die_on_the_way(branching: Branching) -> None:
    parent, own, system = branching.parent, branching.own, branching.system
    await branching.succeeded(own, await branching.launch(own))
    agent, control_plane = system.services["agent"], system.services["control_plane"]
    agent.end(signal.SIGKILL)
    await parent.create_branch(NewBranch(name="pr-17", expires_after_s=0.1), requested_by="ci")

    async def waits_for_the_agent() -> bool:
        return f"{AGENT} (" in (await parent.get_branch("pr-17")).waits_for

    await branching.waited(waits_for_the_agent)
    assert len(system.code_server_pids()) == 2
    control_plane.end(signal.SIGKILL)
    control_plane.start()
    agent.start()

    async def is_gone() -> bool:
        async with system.client() as client:
            try:
                await client.get_branch("pr-17")
            except NotFoundError:
                return True
        return False

    await branching.waited(is_gone)
    await branching.check_nothing_is_left()


async def test_a_branch_outlives_a_restart_of_its_agent_and_is_made_anew_after_its_end(branching: Branching) -> None:
    own, agent = branching.own, branching.system.services["agent"]
    branching.hold.touch()
    run_id = await branching.launch(own)
    await branching.begun(run_id)
    before = sorted(branching.system.code_server_pids())
    assert agent.end() == 0
    agent.start()
    branching.hold.unlink()
    await branching.succeeded(own, run_id)
    assert sorted(branching.system.code_server_pids()) == before
    await branching.parent.delete_branch("pr-17")
    await branching.waited(branching.is_gone)
    await branching.parent.create_branch(NewBranch(name="pr-17"))
    await branching.apply(own)
    await branching.succeeded(own, await branching.launch(own))
