"""Whatever process is stopped and started again in the middle of a run: it succeeds, with every event once."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_dev.rabbitmq.node import PrivateNode
from support.eventually import eventually, patiently
from support.system import Operator, System, running_system

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[PrivateNode]:
    """A broker that this test may stop."""
    async with PrivateNode.start(tmp_path / "rabbitmq", is_throwaway=True) as node:
        yield node


async def run_at_gate(operator: Operator, gate: Path) -> str:
    config = f'{{"ops": {{"stand_at_gate": {{"config": {{"path": "{gate}"}}}}}}}}'
    run_id = await operator.launch("gated", "gated", run_config_json=config)
    await eventually(lambda: Path(f"{gate}.pid").exists(), within=20)
    return run_id


async def assert_told_once_and_whole(operator: Operator, run_id: str) -> None:
    run, updates = await operator.history(run_id, within=90)
    assert run.state == RUN_STATE_SUCCEEDED, run
    assert [update.position for update in updates] == list(range(1, len(updates) + 1))
    logs = Counter(update.event.message for update in updates if update.event.HasField("log_message"))
    expected = {f"{when} {number}": 1 for when in ("before", "after") for number in range(50)}
    assert {message: logs[message] for message in expected} == expected
    seqs = [update.event.seq for update in updates if update.event.seq]
    assert seqs == list(range(1, len(seqs) + 1))


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
@pytest.mark.parametrize("name", ["control_plane", "monitor", "agent"])
async def test_a_run_survives_the_restart_of(
    *,
    operator: Operator,
    system: System,
    gated_source: CodeSource,
    tmp_path: Path,
    name: str,
    how: signal.Signals,
) -> None:
    await operator.apply("gated", gated_source)
    gate = tmp_path / "gate"
    run_id = await run_at_gate(operator, gate)
    service = system.services[name]
    service.end(how)
    gate.touch()
    service.start()
    await assert_told_once_and_whole(operator, run_id)
    await operator.enroll_agent()
    await assert_a_new_run_succeeds(operator)


async def test_a_run_survives_everything_being_down_when_it_ends(
    operator: Operator, system: System, gated_source: CodeSource, tmp_path: Path
) -> None:
    await operator.apply("gated", gated_source)
    gate = tmp_path / "gate"
    run_id = await run_at_gate(operator, gate)
    for service in system.services.values():
        service.end(signal.SIGKILL)
    gate.touch()
    for service in system.services.values():
        service.start()
    await assert_told_once_and_whole(operator, run_id)


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_a_run_survives_the_restart_of_the_broker(
    node: PrivateNode, gated_source: CodeSource, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "system"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=node.url, database_url=url, folder=folder) as system:
        async with system.client() as client:
            operator = Operator(system, client)
            await operator.enroll_agent()
            await operator.apply("gated", gated_source)
            gate = tmp_path / "gate"
            run_id = await run_at_gate(operator, gate)
            await (node.kill() if how == "killed" else node.stop())
            gate.touch()
            # The run ends while there is no broker, and another is asked for.
            meanwhile = await operator.launch("gated", "quick")
            await node.restart()
            await assert_told_once_and_whole(operator, run_id)
            run, _ = await operator.history(meanwhile, within=60)
            assert run.state == RUN_STATE_SUCCEEDED


async def assert_a_new_run_succeeds(operator: Operator) -> None:
    async with patiently(60):
        run, _ = await operator.history(await operator.launch("gated", "quick"))
    assert run.state == RUN_STATE_SUCCEEDED
