"""Runs that ask much: nothing of them is lost, they are vouched for all the time, and nobody's memory grows with them."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_RUNNING, RUN_STATE_SUCCEEDED, RunUpdate
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOG_STREAM_STDERR, LOG_STREAM_STDOUT
from support.system import Operator, running_system

pytestmark = pytest.mark.timeout(180)

PROJECT = Path(__file__).parent / "project"
#: An agent and a code server vouch for runs every 0.5 s here, and the monitor waits for 3 s: an op that kept its run from
#: being vouched for would lose it. With the usual 5 and 30 s it would take minutes to show the same.
_HEARTBEAT_S = "0.5"
_LEASE_S = "3"
_HELD_S = 12
#: What a service may grow by while a run says much, bytes: far less than what is said.
_GROWTH_BYTES = 48 * 1024**2


@asynccontextmanager
async def impatient(broker_url: str, folder: Path) -> AsyncIterator[Operator]:
    monitor = {"ISTHMUS_MONITOR_LEASE_TTL_S": _LEASE_S}
    database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(
        broker_url=broker_url,
        database_url=database_url,
        folder=folder,
        monitor_environment=monitor,
        agent_environment={"ISTHMUS_AGENT_HEARTBEAT_S": _HEARTBEAT_S},
    ) as system:
        async with system.client() as client:
            operator = Operator(system, client)
            await operator.enroll_agent()
            source = CodeSource(python_file=str(PROJECT / "torture.py"), working_directory=str(PROJECT))
            await operator.apply("torture", source)
            yield operator


@pytest.fixture
async def operator(broker_url: str, tmp_path: Path) -> AsyncIterator[Operator]:
    async with impatient(broker_url, tmp_path) as operator:
        yield operator


def amount(op: str, number: int) -> str:
    return json.dumps({"ops": {op: {"config": {"amount": number}}}})


async def succeeded(operator: Operator, run_id: str) -> list[RunUpdate]:
    run, updates = await operator.history(run_id, within=120)
    assert run.state == RUN_STATE_SUCCEEDED, run
    assert [update.position for update in updates] == list(range(1, len(updates) + 1))
    return updates


async def test_a_megabyte_of_output_arrives_whole(operator: Operator) -> None:
    run_id = await operator.launch("torture", "much_output", run_config_json=amount("print_much", 2048))
    await succeeded(operator, run_id)
    read: Counter[int] = Counter()
    streams = (LOG_STREAM_STDOUT, LOG_STREAM_STDERR)
    async for chunk in operator.client.stream_logs(run_id, streams=streams, follow=True):
        assert not chunk.HasField("gap"), chunk
        read[chunk.stream] += len(chunk.data)
    assert read[LOG_STREAM_STDOUT] == 1024 * 1024
    # Beside it stands what Dagster itself writes there.
    assert read[LOG_STREAM_STDERR] >= 1024 * 1024


async def test_five_thousand_log_lines_arrive_once_and_in_order(operator: Operator) -> None:
    run_id = await operator.launch("torture", "many_lines", run_config_json=amount("log_much", 5000))
    updates = await succeeded(operator, run_id)
    lines = [update.event.message for update in updates if re.fullmatch(r"line \d+", update.event.message)]
    assert lines == [f"line {number}" for number in range(5000)]


async def test_ten_thousand_events_arrive_once_in_order_and_in_bounded_memory(operator: Operator) -> None:
    before = resident_bytes(operator)
    run_id = await operator.launch("torture", "many_events", run_config_json=amount("tell_much", 10_000))
    updates = await succeeded(operator, run_id)
    told = [update.event for update in updates if update.event.HasField("asset_materialized")]
    numbers = [entry.value.int for event in told for entry in event.asset_materialized.metadata]
    assert numbers == list(range(10_000))
    after = resident_bytes(operator)
    grown = {name: after[name] - size for name, size in before.items()}
    assert all(growth < _GROWTH_BYTES for growth in grown.values()), grown


async def test_an_op_that_holds_the_interpreter_is_vouched_for_all_the_time(operator: Operator) -> None:
    config = amount("hold_the_interpreter", _HELD_S)
    run_id = await operator.launch("torture", "holds_the_interpreter", run_config_json=config)
    await operator.in_state(run_id, [RUN_STATE_RUNNING])
    await succeeded(operator, run_id)


def resident_bytes(operator: Operator) -> dict[str, int]:
    """Return what each service, and the code server, holds in memory."""
    system = operator.system
    pids = {name: service.process.pid for name, service in system.services.items() if service.process is not None}
    pids |= {f"code server {pid}": pid for pid in system.code_server_pids()}
    return {name: _resident_bytes(pid) for name, pid in pids.items()}


def _resident_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024
