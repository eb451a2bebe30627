"""Pools whose slots steps claim, on the whole system: two agents, their code servers, and a broker or a control plane that dies."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING, RUN_REASON_USER_ERROR
from isthmus_dev.rabbitmq.node import PrivateNode
from support.eventually import eventually
from support.system import Operator, Service, System, running_system

pytestmark = pytest.mark.timeout(300)

#: A step notes its process in a file that only one can make at a time, and goes on once it is let.
PROJECT = """
import os, pathlib, time
import dagster as dg

ROOM = pathlib.Path(os.environ["ROOM"])


@dg.op(pool="warehouse", config_schema=str)
def load(context):
    name = context.op_config
    inside = os.open(ROOM / "inside", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(inside, str(os.getpid()).encode())
    os.close(inside)
    with open(ROOM / "order", "a") as order:
        order.write(name + "\\n")
    while (ROOM / f"hold {name}").exists():
        time.sleep(0.01)
    os.unlink(ROOM / "inside")


@dg.job(executor_def=dg.in_process_executor)
def alone():
    load()


@dg.job(executor_def=dg.multiprocess_executor)
def forked():
    load()


@dg.op(pool="warehouse")
def first(context):
    return None


@dg.op(tags={"dagster/concurrency_key": "warehouse"})
def second(context, before):
    raise dg.RetryRequested(max_retries=1) if context.retry_number == 0 else dg.Failure("done")


@dg.job(executor_def=dg.multiprocess_executor)
def chain():
    second(first())


defs = dg.Definitions(jobs=[alone, forked, chain])
"""


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PrivateNode]:
    """A broker of its own: it is restarted."""
    async with PrivateNode.start(tmp_path / "broker", is_throwaway=True) as node:
        yield node


@pytest.fixture
def system(node: PrivateNode, tmp_path: Path) -> Iterator[System]:
    folder = tmp_path / "system"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=node.url, database_url=url, folder=folder) as system:
        yield system


@pytest.fixture
def second_agent(system: System) -> Iterator[Service]:
    own = {
        "ISTHMUS_AGENT_NAME": "agent-two",
        "ISTHMUS_AGENT_DATA_DIR": str(system.folder / "second"),
        "ISTHMUS_AGENT_RUNTIME_DIR": str(system.folder / "run2"),
    }
    agent = Service("agent", {**system.services["agent"].environment, **own}, system.folder / "second.log")
    agent.start()
    yield agent
    if agent.is_alive:
        agent.end(signal.SIGKILL)


class Warehouse:
    """The project at both agents, with one slot in its pool."""

    def __init__(self, operator: Operator, room: Path) -> None:
        self.operator = operator
        self.room = room

    async def open(self, project: Path) -> None:
        client = self.operator.client
        await self.operator.enroll_agent()
        await client.create_agent("agent-two", pool="second")
        source = CodeSource(python_file=str(project), working_directory=str(project.parent))
        for name, pool in (("one", ""), ("two", "second")):
            settings = api.LocationSettings(name=name, source=source, env={"ROOM": str(self.room)}, pool=pool)
            await client.apply_location(settings)
        await eventually(self.serves, within=60)
        # Their processes are to be there, and to wait.
        op = api.PoolLimits.GRANULARITY_OP
        limits = api.PoolLimits(limits={"warehouse": 1}, granularity=op, run_buffer=10)
        await client.set_queue_settings(api.QueueSettings(pools=limits))

    async def serves(self) -> bool:
        phases = [(await self.operator.client.get_location(name)).phase for name in ("one", "two")]
        return phases == [LOCATION_PHASE_SERVING] * 2

    async def launch(self, name: str, *, at: str, job: str, priority: int = 0) -> str:
        config = f'{{"ops": {{"load": {{"config": "{name}"}}}}}}'
        tags = {"dagster/priority": str(priority)}
        return await self.operator.launch(at, job, run_config_json=config, tags=tags)

    def hold(self, name: str) -> Path:
        """Keep a step in the pool until the file is gone."""
        path = self.room / f"hold {name}"
        path.touch()
        return path

    @property
    def order(self) -> list[str]:
        path = self.room / "order"
        return path.read_text().split() if path.exists() else []

    async def waiting(self) -> int:
        queue = await self.operator.client.get_queue()
        return sum(it.waiting for it in queue.slots if it.name == "warehouse")


async def test_steps_of_runs_on_two_agents_share_a_slot_by_priority_whatever_happens_to_the_broker(
    system: System, second_agent: Service, node: PrivateNode, tmp_path: Path
) -> None:
    del second_agent
    project, room = tmp_path / "project.py", tmp_path / "room"
    project.write_text(PROJECT)
    room.mkdir()
    async with system.client() as client:
        operator = Operator(system, client)
        warehouse = Warehouse(operator, room)
        await warehouse.open(project)
        gate = warehouse.hold("first")
        runs = [await warehouse.launch("first", at="one", job="alone")]
        await eventually(lambda: warehouse.order == ["first"], within=60)
        for number in range(9):
            at, job = ("one", "two")[number % 2], ("alone", "forked")[number // 2 % 2]
            runs.append(await warehouse.launch(f"p{number}", at=at, job=job, priority=number))
        await eventually(lambda: is_count(warehouse, 9), within=60)
        told = await client.explain_run(runs[1])
        assert [it.text for it in told.reasons] == ["step load waits for pool warehouse: 1 of 1 slots are taken"]
        assert [(it.run_id, it.step_key) for it in told.reasons[0].holders] == [(runs[0], "load")]
        killed = warehouse.hold("p8")
        await node.kill()
        gate.unlink()
        await node.restart()
        await eventually(lambda: warehouse.order == ["first", "p8"], within=60)
        os.kill(int((room / "inside").read_text()), signal.SIGKILL)
        (room / "inside").unlink()
        killed.unlink()
        ends = {run: (await operator.history(run, within=60))[0].state for run in runs}
        lost = runs.pop()
        assert ends.pop(lost) == api.RUN_STATE_FAILED
        assert set(ends.values()) == {api.RUN_STATE_SUCCEEDED}, system.report()
        assert warehouse.order == ["first", *(f"p{number}" for number in range(8, -1, -1))]
        await assert_a_run_that_waits_can_be_canceled(warehouse)
        # Steps one after another, of which one is tried again, and has a slot for each try.
        ended, _ = await operator.history(await operator.launch("two", "chain"), within=60)
        assert (ended.state, ended.reason) == (api.RUN_STATE_FAILED, RUN_REASON_USER_ERROR)
        assert [(it.taken, it.waiting) for it in (await client.get_queue()).slots] == [(0, 0)]


@pytest.fixture
def second_plane(system: System) -> Iterator[Service]:
    """Another control plane on the same database and broker."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        own = {"ISTHMUS_CONTROL_PLANE_LISTEN": f"127.0.0.1:{probe.getsockname()[1]}"}
    first = system.services["control_plane"]
    plane = Service("control_plane", {**first.environment, **own}, system.folder / "second-plane.log")
    yield plane
    if plane.is_alive:
        plane.end(signal.SIGKILL)


async def test_steps_that_wait_at_two_control_planes_share_a_slot_when_one_of_these_is_killed(
    system: System, second_agent: Service, second_plane: Service, tmp_path: Path
) -> None:
    del second_agent
    project, room = tmp_path / "project.py", tmp_path / "room"
    project.write_text(PROJECT)
    room.mkdir()
    async with system.client() as client:
        operator = Operator(system, client)
        warehouse = Warehouse(operator, room)
        await warehouse.open(project)
        # Once the first has made the database.
        second_plane.start()
        await eventually(lambda: '"control_plane_started"' in second_plane.tail(200), within=60)
        gate = warehouse.hold("first")
        runs = [await warehouse.launch("first", at="one", job="alone")]
        await eventually(lambda: warehouse.order == ["first"], within=60)
        for number in range(9):
            at, job = ("one", "two")[number % 2], ("alone", "forked")[number // 2 % 2]
            runs.append(await warehouse.launch(f"p{number}", at=at, job=job, priority=number))
        await eventually(lambda: is_count(warehouse, 9), within=60)
        # Whoever's question waits there asks again, and keeps its place.
        second_plane.end(signal.SIGKILL)
        gate.unlink()
        ends = [(await operator.history(run, within=120))[0].state for run in runs]
        assert ends == [api.RUN_STATE_SUCCEEDED] * 10, system.report()
        # No two were inside at once: the second would have failed. And the order is that of their priorities.
        assert warehouse.order == ["first", *(f"p{number}" for number in range(8, -1, -1))]
        assert [(it.taken, it.waiting) for it in (await client.get_queue()).slots] == [(0, 0)]


async def assert_a_run_that_waits_can_be_canceled(warehouse: Warehouse) -> None:
    operator, gate = warehouse.operator, warehouse.hold("last")
    last = await warehouse.launch("last", at="two", job="forked")
    await eventually(lambda: warehouse.order[-1] == "last", within=60)
    waiting = [await warehouse.launch("never", at=at, job=job) for at, job in (("one", "alone"), ("two", "forked"))]
    await eventually(lambda: is_count(warehouse, 2), within=60)
    for run_id in waiting:
        await operator.client.terminate_run(run_id)
        assert (await operator.history(run_id, within=60))[0].state == api.RUN_STATE_CANCELED
    assert not await warehouse.waiting()
    gate.unlink()
    assert (await operator.history(last, within=60))[0].state == api.RUN_STATE_SUCCEEDED
    assert "never" not in warehouse.order


async def is_count(warehouse: Warehouse, count: int) -> bool:
    return await warehouse.waiting() == count
