"""Runs that take too long at the control plane, on both databases: their ends are asked for by timers, and again, harder."""

from typing import Any

from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import RUN_REASON_MAX_RUNTIME, RUN_REASON_START_TIMEOUT, RUN_REASON_UNSPECIFIED
from isthmus_store.signal import Accepted, Started
from support.eventually import eventually


async def allow(stand: Stand, **seconds: float) -> None:
    settings = api.QueueSettings(run_timeouts=api.RunTimeouts(**seconds))
    await stand.stub.SetQueueSettings(api.SetQueueSettingsRequest(settings=settings))


async def ending(stand: Stand, run_id: str) -> api.Run:
    async def is_ending() -> api.Run | None:
        run: Any = await stand.run(run_id)
        return run if run.state == api.RUN_STATE_CANCELING else None

    return await eventually(is_ending, within=20)


async def test_the_end_of_a_run_over_its_time_is_asked_for_and_then_asked_for_harder(
    broker_url: str, database_url: str
) -> None:
    # No sweep would look in time.
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand, stand.serving() as agent:
        await allow(stand, cancel_s=1)
        run_id = (await stand.launch(tags={"dagster/max_runtime": "1"})).request.run.run_id
        await stand.record(run_id, signal=Accepted(attempt=1))
        await stand.record(run_id, signal=Started(attempt=1))
        asked = (await agent.next("terminate_run", within=30)).terminate_run
        assert (asked.run.run_id, asked.grace_s) == (run_id, 0)
        run = await ending(stand, run_id)
        # Its process may live: nothing is said to have ended.
        assert (run.reason, run.HasField("ended_at")) == (RUN_REASON_MAX_RUNTIME, False)
        harder = [(await agent.next("terminate_run", within=30)).terminate_run.grace_s for _ in range(2)]
        assert all(0 < grace_s < 1 for grace_s in harder)
        # Who wants it ended has the last word about what it ends as.
        await stand.stub.TerminateRun(api.TerminateRunRequest(run_id=run_id))
        assert (await stand.run(run_id)).reason == RUN_REASON_UNSPECIFIED


async def test_a_run_that_does_not_begin_in_time_is_called_off(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand, stand.serving() as agent:
        run_id = (await stand.launch()).request.run.run_id
        await allow(stand, start_s=1)
        assert (await agent.next("terminate_run", within=30)).terminate_run.run.run_id == run_id
        assert (await ending(stand, run_id)).reason == RUN_REASON_START_TIMEOUT
