"""One process is the agent of a name at a time, and what it has taken from the broker survives it."""

import asyncio
import os
import signal
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from integration.agent_stand import AgentStand, agent_stand, new_run
from isthmus.v1.instruction_pb2 import SyncLocations
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_IMPORTING, LOCATION_PHASE_SERVING, InstructionResult
from isthmus_agent.agent import run_agent
from isthmus_agent.errors import IdentityTakenError
from isthmus_agent.intake.record import Kind, Record, unpack
from support.eventually import eventually

pytestmark = pytest.mark.timeout(240)

SUCCEEDED = InstructionResult.OUTCOME_SUCCEEDED
FAILED = InstructionResult.OUTCOME_FAILED


@pytest.fixture
def stand(broker_url: str, tmp_path: Path) -> AbstractAsyncContextManager[AgentStand]:
    return agent_stand(url=broker_url, folder=tmp_path)


def command(it: AgentStand, **environment: str) -> dict[str, str]:
    return {
        **os.environ,
        "ISTHMUS_BROKER_URL": it.broker.url,
        "ISTHMUS_AGENT_NAME": "edge",
        "ISTHMUS_AGENT_DEPLOYMENT": "test",
        "ISTHMUS_AGENT_DATA_DIR": str(it.data_dir),
        "ISTHMUS_AGENT_RUNTIME_DIR": str(it.folder / "run"),
        **environment,
    }


def beats(it: AgentStand) -> int:
    return sum(event.HasField("agent_heartbeat") for event in it.events)


async def test_a_second_agent_of_a_name_stands_by_and_takes_over(
    stand: AbstractAsyncContextManager[AgentStand], capsys: pytest.CaptureFixture[str]
) -> None:
    async with stand as it:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "isthmus_agent.main", env=command(it))
        stop, started = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            await it.sync()
            # A long pause between its heartbeats: those that are heard are the first agent's.
            second = it.settings(data_dir=it.folder / "other", runtime_dir=it.folder / "run2")
            tasks.create_task(run_agent(second, stop=stop, started=started))
            said: list[str] = []

            def is_said() -> bool:
                said.append(capsys.readouterr().out)
                return "queue_held_elsewhere" in "".join(said)

            await eventually(is_said, within=15)
            assert (await it.result(await it.tell(sync_locations=SyncLocations(revision=9)))).outcome == SUCCEEDED
            assert not started.is_set()
            process.kill()
            await process.wait()
            heard = beats(it)
            await eventually(started.is_set, within=20)
            assert (await it.result(await it.tell(sync_locations=SyncLocations(revision=10)))).outcome == SUCCEEDED
            await eventually(lambda: beats(it) > heard, within=20)
            stop.set()


async def test_a_second_agent_that_may_not_stand_by_says_why_it_ends(
    stand: AbstractAsyncContextManager[AgentStand],
) -> None:
    async with stand as it, it.agent():
        settings = it.settings(
            data_dir=it.folder / "other", runtime_dir=it.folder / "run2", stands_by=False, ghost_s=0.5
        )
        with pytest.raises(ExceptionGroup) as caught:
            await run_agent(settings, stop=asyncio.Event())
        assert caught.value.subgroup(IdentityTakenError)


def taken_down(folder: Path) -> set[int]:
    """The numbers of what an agent has taken down and not answered."""
    numbers = set[int]()
    for path in sorted(folder.glob("*.journal")):
        for record in unpack(path.read_bytes()):
            assert isinstance(record, Record)
            (numbers.add if record.kind is Kind.TAKEN else numbers.discard)(record.number)
    return numbers


async def test_a_killed_agent_finds_again_what_it_had_taken(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it:
        gate = tmp_path / "gate"
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "isthmus_agent.main", env=command(it))
        await it.sync(it.location(GATE=str(gate)))
        run, ended = new_run(), new_run()
        waiting = await it.tell(launch_run=it.launch("quick_job", run))
        expiring = await it.tell(launch_run=it.launch("quick_job", new_run()), in_s=2)
        never = await it.tell(launch_run=it.launch("quick_job", ended))
        await it.report(LOCATION_PHASE_IMPORTING)
        taken = it.data_dir / "intake"
        await eventually(lambda: len(taken_down(taken)) >= 2, within=15)
        # It was ended while it waited: at once, not when its location has loaded.
        assert (await it.terminate(ended)).terminate.was_not_running
        assert (await it.result(never)).outcome == FAILED
        assert (await it.result(expiring)).outcome != SUCCEEDED
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with it.agent():
            gate.touch()
            assert (await it.result(waiting, within=60)).outcome == SUCCEEDED
            assert (await it.end(run)).HasField("run_succeeded")
            await eventually(lambda: not taken_down(taken), within=15)
        assert len(it.results(waiting)) == 1
        assert len(it.noted("quick")) == 1


async def test_launches_that_wait_for_their_location_delay_no_other(
    stand: AbstractAsyncContextManager[AgentStand], tmp_path: Path
) -> None:
    async with stand as it, it.agent():
        gate = tmp_path / "gate"
        await it.sync(it.location(GATE=str(gate)), it.location(name="other"))
        await eventually(lambda: it.phases().get("other") == LOCATION_PHASE_SERVING, within=60)
        for _ in range(300):
            await it.tell(launch_run=it.launch("quick_job", new_run()))
        other = await it.tell(launch_run=it.launch("quick_job", new_run(), location="other"))
        assert (await it.result(other)).outcome == SUCCEEDED
        assert (await it.sync(it.location(GATE=str(gate)), it.location(name="other"))).outcome == SUCCEEDED
        assert sum(event.HasField("instruction_result") for event in it.events) == 3
