"""Runs that are done again: by real processes, which are killed at the worst moments."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from e2e.test_faults import launch_at_gate
from isthmus.v1.control_plane_pb2 import (
    RUN_STATE_FAILED,
    RUN_STATE_RUNNING,
    RUN_STATE_SUCCEEDED,
    ListRunsQuery,
    Run,
)
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import RUN_REASON_START_TIMEOUT
from isthmus_client.errors import UnavailableError
from isthmus_store.database import Database
from sqlalchemy import text
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

if TYPE_CHECKING:
    from support.postgres import Postgres

pytestmark = pytest.mark.timeout(180)
ONCE = {"dagster/max_retries": "1"}
#: Who writes runs, and waits for the rules of retries.
_IN_THE_MIDDLE = text(
    "SELECT count(*) FROM pg_locks AS waits JOIN pg_locks AS writes ON writes.pid = waits.pid"
    " WHERE NOT waits.granted AND waits.relation = 'queue_settings'::regclass"
    " AND writes.granted AND writes.relation = 'runs'::regclass AND writes.mode = 'RowExclusiveLock'"
)


async def retried(operator: Operator, run_id: str) -> Run:
    """Wait until a run has failed and is followed; returns it."""

    async def is_followed() -> Run | None:
        try:
            run = await operator.client.get_run(run_id)
        except UnavailableError:
            # The control plane begins.
            return None
        return run if run.retried_by_run_id else None

    return await eventually(is_followed, within=60)


async def ids(operator: Operator) -> set[str]:
    """All runs that there are."""
    page = await operator.client.list_runs(ListRunsQuery())
    return {run.request.run.run_id for run in page.runs}


@pytest.fixture
def on_postgres(rabbitmq: Rabbit, postgres: "Postgres", tmp_path: Path) -> Iterator[System]:
    impatient = {"ISTHMUS_CONTROL_PLANE_EXPIRY_GRACE_S": "0", "ISTHMUS_CONTROL_PLANE_SILENCE_LIMIT_S": "0.1"}
    with running_system(
        broker_url=rabbitmq.take_url(),
        database_url=postgres.create_database(),
        folder=tmp_path,
        control_plane_environment=impatient,
    ) as system:
        yield system


@asynccontextmanager
async def held(system: System) -> AsyncIterator[Database]:
    """Let nobody read the rules of retries: whoever writes a failure stands still in the middle of that."""
    async with Database.open(system.database_url) as database, database.write() as tx:
        await tx.execute(text("LOCK TABLE queue_settings IN ACCESS EXCLUSIVE MODE"))
        yield database


async def in_the_middle(database: Database) -> None:
    async def is_there() -> bool:
        async with database.read() as tx:
            return bool((await tx.execute(_IN_THE_MIDDLE)).scalar_one())

    await eventually(is_there, within=60)


async def test_a_monitor_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    on_postgres: System, gated_source: CodeSource, tmp_path: Path
) -> None:
    async with on_postgres.client() as client:
        operator = Operator(on_postgres, client)
        await operator.enroll_agent()
        await operator.apply("gated", gated_source)
        gate = tmp_path / "gate"
        run_id, pid = await launch_at_gate(operator, gate, tags=ONCE)
        await operator.in_state(run_id, [RUN_STATE_RUNNING])
        monitor = on_postgres.services["monitor"]
        async with held(on_postgres) as database:
            os.kill(pid, signal.SIGKILL)
            await in_the_middle(database)
            monitor.end(signal.SIGKILL)
        # Neither the failure nor what follows it: both or nothing.
        assert (await client.get_run(run_id)).state == RUN_STATE_RUNNING
        assert await ids(operator) == {run_id}
        gate.touch()
        monitor.start()
        failed = await retried(operator, run_id)
        assert await ids(operator) == {run_id, failed.retried_by_run_id}
        again, _ = await operator.history(failed.retried_by_run_id)
        assert again.state == RUN_STATE_SUCCEEDED


async def test_a_control_plane_that_is_killed_in_the_middle_loses_and_doubles_nothing(
    on_postgres: System, gated_source: CodeSource
) -> None:
    plane, agent = on_postgres.services["control_plane"], on_postgres.services["agent"]
    async with on_postgres.client() as client:
        operator = Operator(on_postgres, client)
        await operator.enroll_agent()
        await operator.apply("gated", gated_source)
        agent.end(signal.SIGKILL)
        # Nobody takes it, and its deadline passes: the control plane gives it up.
        run_id = await operator.launch("gated", "quick", tags=ONCE)
        async with held(on_postgres) as database:
            async with database.write() as tx:
                await tx.execute(text("UPDATE instructions SET not_after = created_at WHERE kind = 'launch_run'"))
            await in_the_middle(database)
            plane.end(signal.SIGKILL)
        plane.start()
        failed = await retried(operator, run_id)
        assert (failed.state, failed.reason) == (RUN_STATE_FAILED, RUN_REASON_START_TIMEOUT)
        assert await ids(operator) == {run_id, failed.retried_by_run_id}
        again = await client.get_run(failed.retried_by_run_id)
        assert (again.state == RUN_STATE_FAILED, again.retry_of_run_id) == (False, run_id)
