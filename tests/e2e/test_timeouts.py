"""Runs that take too long, by real processes: what is ended is gone when it is said to have ended."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from e2e.conftest import PROJECT
from e2e.test_faults import is_alive, launch_at_gate, pid_at_gate
from isthmus.v1.control_plane_pb2 import (
    RUN_STATE_CANCELED,
    RUN_STATE_FAILED,
    RUN_STATE_RUNNING,
    RUN_STATE_SUCCEEDED,
    QueueSettings,
    RunTimeouts,
)
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import RUN_REASON_MAX_RUNTIME, RUN_REASON_START_TIMEOUT
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def system(rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=folder) as system:
        yield system


@asynccontextmanager
async def allowing(operator: Operator, **times: float) -> AsyncIterator[None]:
    """Allow stages of runs so much time, in the block."""
    await operator.client.set_queue_settings(QueueSettings(run_timeouts=RunTimeouts(**times)), requested_by="test")
    yield
    await operator.client.set_queue_settings(QueueSettings(), requested_by="test")


async def test_a_run_over_its_time_is_ended_then_fails_and_is_retried_also_after_a_restart(
    operator: Operator, system: System, gated_source: CodeSource, tmp_path: Path
) -> None:
    await operator.apply("gated", gated_source)
    gate = tmp_path / "gate"
    tags = {"dagster/max_runtime": "3", "dagster/max_retries": "1"}
    run_id, pid = await launch_at_gate(operator, gate, tags=tags)
    await operator.in_state(run_id, [RUN_STATE_RUNNING])
    plane = system.services["control_plane"]
    plane.end(signal.SIGKILL)
    plane.start()
    run, updates = await operator.history(run_id, within=60)
    assert not is_alive(pid)
    assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_MAX_RUNTIME)
    assert run.message == "It ran for longer than 3 s, and was ended."
    bodies = [update.event.WhichOneof("body") for update in updates]
    assert ("run_failed" in bodies, "run_canceled" in bodies) == (True, False)
    gate.touch()
    again, _ = await operator.history(run.retried_by_run_id)
    assert again.state == RUN_STATE_SUCCEEDED


async def test_a_run_that_clings_to_its_life_is_killed_when_its_time_to_end_is_over(
    operator: Operator, gated_source: CodeSource, tmp_path: Path
) -> None:
    await operator.apply("gated", gated_source)
    gate = tmp_path / "gate"
    config = f'{{"ops": {{"cling": {{"config": {{"path": "{gate}"}}}}}}}}'
    run_id = await operator.launch("gated", "clings", run_config_json=config)
    pid = await pid_at_gate(gate)
    async with allowing(operator, cancel_s=1):
        # Left to this, it would live for an hour.
        await operator.client.terminate_run(run_id, grace_s=3600)
        await operator.in_state(run_id, [RUN_STATE_CANCELED], within=30)
        assert not is_alive(pid)


async def test_a_run_that_does_not_begin_in_time_leaves_no_process_behind(
    operator: Operator, system: System, tmp_path: Path
) -> None:
    hold = tmp_path / "hold"
    source = CodeSource(python_file=str(PROJECT / "held.py"), working_directory=str(PROJECT))
    await operator.apply("held", source, env={"HOLD": str(hold)})
    before = set(system.code_server_pids())
    hold.touch()
    async with allowing(operator, start_s=2):
        run_id = await operator.launch("held", "quick", tags={"isthmus/isolation": "dedicated"})
        begun = await eventually(lambda: set(system.code_server_pids()) - before, within=30)
        run, _ = await operator.history(run_id, within=60)
    assert (run.state, run.reason) == (RUN_STATE_FAILED, RUN_REASON_START_TIMEOUT)
    assert not run.HasField("started_at")
    await eventually(lambda: not begun & set(system.code_server_pids()), within=40)
