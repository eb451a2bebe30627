"""Retries at the control plane: what the monitor wrote goes on at once, or after its pause, and is explained."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from integration.control_plane_stand import FakeAgent, Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import RUN_REASON_PROCESS_KILLED
from isthmus_broker.notices import Notice
from isthmus_store import runs
from isthmus_store.retry.follow import follow_up
from isthmus_store.signal import Failed
from isthmus_store.state import RunReason
from support.eventually import eventually

ONCE = {"dagster/max_retries": "1"}


async def failed(stand: Stand, run_id: str) -> api.Run:
    """Do what the monitor does on a run's failure, and return the run that follows it."""
    at = datetime.now(UTC)
    async with stand.database.write() as tx:
        signaled = await runs.signal(tx, run_id, Failed(attempt=1, reason=RunReason.PROCESS_KILLED), at=at)
        await follow_up(tx, [signaled.run], at=at)
    await stand.tell(Notice(runs=frozenset({run_id}), freed=frozenset({"default"})))
    run = await stand.run(run_id)
    assert run.reason == RUN_REASON_PROCESS_KILLED
    return await stand.run(run.retried_by_run_id)


async def launched(stand: Stand, agent: FakeAgent, **tags: str) -> str:
    run = await stand.launch(tags=ONCE | tags)
    await agent.next("launch_run")
    return str(run.request.run.run_id)


async def test_a_retry_goes_to_its_agent_when_the_failure_is_told(broker_url: str, database_url: str) -> None:
    # No sweep would find it in time.
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand, stand.serving() as agent:
        run_id = await launched(stand, agent)
        again = await failed(stand, run_id)
        launch = (await agent.next("launch_run")).launch_run.request
        assert (launch.run.run_id, launch.run.attempt) == (again.request.run.run_id, 1)
        assert launch.parent_run_id == run_id
        assert (again.retry_of_run_id, again.retry_number) == (run_id, 1)
        listed: Any = await stand.stub.ListRuns(api.ListRunsQuery())
        assert {run.request.run.run_id: (run.retry_number, bool(run.retried_by_run_id)) for run in listed.runs} == {
            run_id: (0, True),
            again.request.run.run_id: (1, False),
        }


async def test_a_retry_waits_out_its_pause_says_so_and_goes_by_a_timer(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand, stand.serving() as agent:
        run_id = await launched(stand, agent, **{"isthmus/retry_backoff_s": "3"})
        began_at = asyncio.get_running_loop().time()
        again = await failed(stand, run_id)
        retry_id = again.request.run.run_id
        explained: Any = await stand.stub.ExplainRun(api.ExplainRunRequest(run_id=retry_id))
        (reason,) = explained.reasons
        assert reason.kind == api.WaitReason.KIND_BACKOFF
        assert reason.text.startswith("back-off until ")
        queue: Any = await stand.stub.GetQueue(api.GetQueueRequest())
        assert [it.text for it in queue.reasons] == ["back-off before a retry"]
        # Nobody waits behind it.
        other = await stand.launch()
        assert (await agent.next("launch_run")).launch_run.request.run.run_id == other.request.run.run_id
        launch = (await agent.next("launch_run", within=20)).launch_run.request
        assert launch.run.run_id == retry_id
        assert asyncio.get_running_loop().time() - began_at >= 2.9


async def test_a_launch_that_expires_is_retried_where_it_is_given_up(broker_url: str, database_url: str) -> None:
    async with control_plane(
        broker_url, database_url, launch_timeout_s=1.0, expiry_grace_s=0.2, silence_limit_s=0.2
    ) as stand:
        await stand.serve()
        run = await stand.launch(tags=ONCE)
        run_id = run.request.run.run_id

        async def is_retried() -> str:
            return str((await stand.run(run_id)).retried_by_run_id)

        again = await stand.run(await eventually(is_retried, within=30))
        assert again.retry_of_run_id == run_id
