"""Another process, with a folder of its own, takes over an agent's name: what the first had taken and not begun is done once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.agent_stand import PROJECT
from isthmus.v1.control_plane_pb2 import (
    RUN_STATE_CANCELED,
    RUN_STATE_CANCELING,
    RUN_STATE_DISPATCHED,
    RUN_STATE_SUCCEEDED,
)
from isthmus.v1.instruction_pb2 import CodeSource
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, Service, System, running_system

pytestmark = pytest.mark.timeout(400)

ALONE = {"isthmus/isolation": "dedicated"}


@pytest.fixture
def system(rabbitmq: Rabbit, tmp_path: Path) -> Iterator[System]:
    folder = tmp_path / "system"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=rabbitmq.take_url(), database_url=url, folder=folder) as system:
        yield system


@contextmanager
def second_agent(system: System) -> Iterator[Service]:
    """A process of the same name, with another folder: it stands by."""
    folders = {
        "ISTHMUS_AGENT_DATA_DIR": str(system.folder / "other"),
        "ISTHMUS_AGENT_RUNTIME_DIR": str(system.folder / "run2"),
    }
    agent = Service("agent", {**system.services["agent"].environment, **folders}, system.folder / "other.log")
    agent.start()
    try:
        yield agent
    finally:
        if agent.is_alive:
            agent.end(signal.SIGKILL)


def has_taken(system: System, run_id: str) -> bool:
    journals = (system.folder / "agent" / "intake").glob("*.journal")
    return any(run_id.encode() in journal.read_bytes() for journal in journals)


async def test_launches_that_died_with_an_agents_folder_are_done_once_by_its_successor(
    system: System, tmp_path: Path
) -> None:
    project, gate, notes = tmp_path / "project.py", tmp_path / "gate", tmp_path / "notes"
    project.write_text(PROJECT)
    gate.touch()
    notes.mkdir()

    def done() -> int:
        return len((notes / "quick").read_text().split()) if (notes / "quick").exists() else 0

    async with system.client() as client:
        operator = Operator(system, client)
        await operator.enroll_agent()
        source = CodeSource(python_file=str(project), working_directory=str(tmp_path))
        await operator.apply("sales", source, env={"GATE": str(gate), "NOTES": str(notes)})
        # Whatever is imported from now on waits.
        gate.unlink()
        first = system.services["agent"]
        with second_agent(system) as second:
            await eventually(lambda: "queue_held_elsewhere" in second.log.read_text(), within=30)
            waiting = await operator.launch("sales", "quick_job", tags=ALONE)
            ended = await operator.launch("sales", "quick_job", tags=ALONE)
            await eventually(lambda: has_taken(system, waiting) and has_taken(system, ended), within=30)
            for run_id in (waiting, ended):
                await operator.in_state(run_id, [RUN_STATE_DISPATCHED])
            first.end(signal.SIGKILL)
            await client.terminate_run(ended)
            await operator.in_state(ended, [RUN_STATE_CANCELING, RUN_STATE_CANCELED])
            gate.touch()
            run, updates = await operator.history(waiting, within=90)
            assert (run.state, run.request.run.attempt) == (RUN_STATE_SUCCEEDED, 2), operator.system.report()
            assert [update.event.run.attempt for update in updates if update.event.HasField("run_dispatched")] == [1, 2]
            assert (await operator.history(ended, within=60))[0].state == RUN_STATE_CANCELED
            assert done() == 1
            second.end(signal.SIGTERM)
        # The first finds in its folder what it had taken, and that it has been done meanwhile.
        first.start()
        last = await operator.launch("sales", "quick_job")
        assert (await operator.history(last, within=90))[0].state == RUN_STATE_SUCCEEDED
        assert first.log.read_text().count("launch_overtaken") == 2
        assert done() == 2
