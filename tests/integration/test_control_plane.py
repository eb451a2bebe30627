"""The path of a run through the control plane, with a real broker and both databases, and what may go wrong on it."""

import gc
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import grpc
import pytest
from integration.control_plane_stand import Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus_broker.settlement import Settlement
from isthmus_store import dead_letters, outbox
from isthmus_store.signal import Accepted, Started
from isthmus_store.state import InstructionOutcome
from support.eventually import eventually
from support.tcp_proxy import TcpProxy


@pytest.fixture
def cut_handshakes() -> Iterator[None]:
    """Collect what aiormq leaves behind: the transport of a handshake that was cut is closed by nobody."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


async def ended(stand: Stand, run_id: str) -> api.Run:
    async def has_ended() -> api.Run | None:
        run = await stand.run(run_id)
        return run if run.HasField("ended_at") else None

    run = await eventually(has_ended, within=15)
    assert run is not None
    return run


async def kinds(stand: Stand, run_id: str) -> list[str | None]:
    updates = stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id))
    return [it.event.WhichOneof("body") async for it in updates if it.position]


async def test_a_run_that_can_go_is_dispatched_by_the_call_that_launches_it(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        async with stand.agent() as agent:
            run = await stand.launch(tags={"team": "sales"}, run_config_json='{"ops": {}}', requested_by="ada")
            assert (run.state, run.agent, run.last_position) == (api.RUN_STATE_DISPATCHED, "alpha", 2)
            launch = await agent.next("launch_run")
            assert launch.launch_run.request == run.request
            assert launch.launch_run.request.run.attempt == 1
            assert not launch.reply_to

        async def is_marked() -> bool:
            async with stand.database.read() as tx:
                row = await outbox.get(tx, launch.id)
            return row is not None and row.sent_at is not None

        await eventually(is_marked, within=5)


async def test_launching_twice_under_one_id_starts_one_run(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        run_id = str(uuid4())
        first = await stand.launch(run_id=run_id)
        again = await stand.launch(run_id=run_id.upper())
        assert again.request == first.request
        launch = await agent.next("launch_run")
        await stand.launch()
        other = await agent.next("launch_run")
        assert (launch.launch_run.request.run.run_id, other.launch_run.request.run.run_id == run_id) == (run_id, False)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.launch(run_id=run_id, tags={"another": "request"})
        assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS


async def test_a_run_waits_in_words_and_goes_when_its_location_serves(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        run = await stand.launch()
        assert run.state == api.RUN_STATE_QUEUED
        assert run.message == "no agent of pool default is online (agent alpha was never started)"
        await stand.hear()

        async def is_loading() -> bool:
            return "is loading generation 1 on agent alpha" in (await stand.run(run.request.run.run_id)).message

        await eventually(is_loading, within=5)
        async with stand.agent() as agent:
            await stand.report()
            launch = await agent.next("launch_run")
            assert launch.launch_run.request.run.run_id == run.request.run.run_id


async def test_a_long_queue_is_worked_off_oldest_first(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        waiting = [(await stand.launch()).request.run.run_id for _ in range(120)]
        async with stand.agent() as agent:
            await stand.hear()
            await stand.report()
            launched = [(await agent.next("launch_run")).launch_run.request.run.run_id for _ in waiting]
        assert launched == waiting


async def test_assets_without_a_job_run_in_the_implicit_job_also_when_it_is_known_late(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        early = await stand.launch(job_name="", asset_selection=[{"path": ["raw"]}])
        assert early.state == api.RUN_STATE_QUEUED
        async with stand.agent() as agent:
            await stand.report()
            launch = await agent.next("launch_run")
            assert launch.launch_run.request.job_name == "__ASSET_JOB"
            late = await stand.launch(job_name="", asset_selection=[{"path": ["raw"]}])
            assert late.request.job_name == "__ASSET_JOB"


async def test_a_run_has_the_tags_of_its_job_and_its_partition_under_its_own(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        run = await stand.launch(partition_key="north", tags={"tier": "2", "why": "x"})
        tags = {"team": "core", "tier": "2", "why": "x", "dagster/partition": "north"}
        assert dict(run.tags) == tags
        assert dict((await stand.run(run.request.run.run_id)).tags) == tags
        # What was asked for stays apart.
        assert dict(run.request.tags) == {"tier": "2", "why": "x"}
        await stand.launch()
        (found,) = (await stand.stub.ListRuns(api.ListRunsQuery(tags={"team": "core", "tier": "2"}))).runs
        assert (found.request.run.run_id, dict(found.tags)) == (run.request.run.run_id, tags)


async def test_asset_queries_select_by_what_the_location_defines(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        with pytest.raises(grpc.aio.AioRpcError) as early:
            await stand.launch(job_name="", asset_queries=["*"])
        assert early.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "before the location serves" in str(early.value.details())
        # Plain keys need no look at what there is.
        named = await stand.launch(job_name="", asset_queries=["raw"])
        assert [list(key.path) for key in named.request.asset_selection] == [["raw"]]
        async with stand.agent() as agent:
            await stand.report()
            await agent.next("launch_run")
            run_id = str(uuid4())
            late = await stand.launch(run_id=run_id, job_name="", asset_queries=["key:r*"])
            assert [list(key.path) for key in late.request.asset_selection] == [["raw"]]
            assert late.request.job_name == "__ASSET_JOB"
            assert (await stand.launch(run_id=run_id, job_name="", asset_queries=["key:r*"])).request == late.request
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await stand.launch(job_name="", asset_queries=["rawe"])
            assert "did you mean 'raw'" in str(unknown.value.details())


async def test_what_the_location_does_not_define_is_refused_with_what_it_does(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        with pytest.raises(grpc.aio.AioRpcError) as unknown_job:
            await stand.launch(job_name="nihgtly")
        assert violations_of(unknown_job.value) == {"job_name": "unknown job 'nihgtly'; did you mean 'nightly'?"}
        with pytest.raises(grpc.aio.AioRpcError) as unknown_partition:
            await stand.launch(partition_key="nort")
        assert "did you mean 'north'" in violations_of(unknown_partition.value)["partition_key"]
        with pytest.raises(grpc.aio.AioRpcError) as unknown_location:
            await stand.stub.LaunchRun(api.LaunchRunRequest(location="nowhere", job_name="nightly"))
        assert unknown_location.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
async def test_a_launch_during_a_broker_outage_is_accepted_and_delivered_afterwards(
    broker_url: str, database_url: str, cut_handshakes: None
) -> None:
    parts = urlsplit(broker_url)
    async with TcpProxy.to(str(parts.hostname), parts.port or 5672) as proxy:
        seen_at = proxy.url_for(broker_url)
        async with control_plane(broker_url, database_url, broker_seen_at=seen_at) as stand, stand.serving() as agent:
            proxy.refuse()
            runs = [await stand.launch() for _ in range(3)]
            assert all(run.state == api.RUN_STATE_DISPATCHED for run in runs)
            proxy.resume()
            launches = [await agent.next("launch_run", within=20) for _ in runs]
            assert [it.launch_run.request.run.run_id for it in launches] == [it.request.run.run_id for it in runs]


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
async def test_what_one_process_accepted_the_next_one_delivers(
    broker_url: str, database_url: str, cut_handshakes: None
) -> None:
    parts = urlsplit(broker_url)
    async with TcpProxy.to(str(parts.hostname), parts.port or 5672) as proxy:
        seen_at = proxy.url_for(broker_url)
        async with control_plane(broker_url, database_url, broker_seen_at=seen_at) as stand:
            await stand.serve()
            proxy.refuse()
            run = await stand.launch()
    async with control_plane(broker_url, database_url) as stand, stand.agent() as agent:
        launch = await agent.next("launch_run")
        assert launch.launch_run.request.run.run_id == run.request.run.run_id


async def test_a_launch_that_the_agent_cannot_read_fails_its_run_and_is_kept(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.serve()
        async with stand.agent(settle=lambda _: Settlement.DEAD_LETTER) as agent:
            run = await stand.launch()
            launch = await agent.next("launch_run")
            end = await ended(stand, run.request.run.run_id)
        assert (end.state, end.reason) == (api.RUN_STATE_FAILED, telemetry_pb2.RUN_REASON_INTERNAL_ERROR)
        assert "could not read the launch" in end.message
        assert await kinds(stand, run.request.run.run_id) == ["run_queued", "run_dispatched", "run_failed"]
        async with stand.database.read() as tx:
            kept = await dead_letters.recent(tx)
            row = await outbox.get(tx, launch.id)
        assert launch.id in {it.instruction_id for it in kept}
        assert row is not None
        assert row.outcome is InstructionOutcome.FAILED


async def test_a_launch_that_nobody_takes_fails_its_run_after_the_deadline(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, launch_timeout_s=0.3) as stand:
        async with stand.serving() as agent:
            await agent.next("sync_locations")
        run = await stand.launch()
        end = await ended(stand, run.request.run.run_id)
        assert (end.state, end.reason) == (api.RUN_STATE_FAILED, telemetry_pb2.RUN_REASON_START_TIMEOUT)
        assert end.message == "agent alpha did not take the launch before its deadline"


async def test_a_launch_that_the_agent_swallowed_is_given_up_once_the_agent_was_heard_later(
    broker_url: str, database_url: str
) -> None:
    limits: dict[str, Any] = {"launch_timeout_s": 0.5, "expiry_grace_s": 0.1}
    async with control_plane(broker_url, database_url, **limits) as stand, stand.serving() as agent:
        run = await stand.launch()
        launch = await agent.next("launch_run")
        deadline = launch.not_after.ToDatetime(tzinfo=UTC)
        await eventually(lambda: datetime.now(UTC) > deadline + timedelta(seconds=0.5), within=5)
        assert (await stand.run(run.request.run.run_id)).state == api.RUN_STATE_DISPATCHED
        await stand.hear()
        end = await ended(stand, run.request.run.run_id)
        assert end.reason == telemetry_pb2.RUN_REASON_START_TIMEOUT


async def test_a_run_that_was_seen_running_outlives_the_deadline_of_its_launch(
    broker_url: str, database_url: str
) -> None:
    limits: dict[str, Any] = {"launch_timeout_s": 0.3, "expiry_grace_s": 0.1}
    async with control_plane(broker_url, database_url, **limits) as stand, stand.serving() as agent:
        run = await stand.launch()
        launch = await agent.next("launch_run")
        await stand.record(run.request.run.run_id, signal=Started(attempt=1))
        deadline = launch.not_after.ToDatetime(tzinfo=UTC)
        await eventually(lambda: datetime.now(UTC) > deadline, within=5)
        await stand.hear()

        async def is_settled() -> bool:
            async with stand.database.read() as tx:
                row = await outbox.get(tx, launch.id)
            return row is not None and row.outcome is InstructionOutcome.EXPIRED

        await eventually(is_settled, within=5)
        assert (await stand.run(run.request.run.run_id)).state == api.RUN_STATE_RUNNING


async def test_a_queued_run_is_canceled_at_once(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        run = await stand.launch()
        request = api.TerminateRunRequest(run_id=run.request.run.run_id, requested_by="ada")
        end = await stand.stub.TerminateRun(request)
        assert (end.state, end.reason) == (api.RUN_STATE_CANCELED, telemetry_pb2.RUN_REASON_CANCELED_BY_REQUEST)
        assert await kinds(stand, run.request.run.run_id) == ["run_queued", "run_cancel_requested", "run_canceled"]
        assert (await stand.stub.TerminateRun(request)).last_position == end.last_position


async def test_a_termination_reaches_the_agent_by_its_control_queue(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        run = await stand.launch()
        await agent.next("launch_run")
        await stand.record(run.request.run.run_id, signal=Accepted(attempt=1))
        canceling = await stand.stub.TerminateRun(api.TerminateRunRequest(run_id=run.request.run.run_id, grace_s=7))
        assert canceling.state == api.RUN_STATE_CANCELING
        terminate = await agent.next("terminate_run")
        assert terminate.terminate_run.run == run.request.run
        assert terminate.terminate_run.grace_s == 7
        async with stand.database.read() as tx:
            row = await outbox.get(tx, terminate.id)
        assert row is not None
        assert row.is_control


async def test_lists_are_filtered_and_go_on_where_the_page_before_ended(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent()
        await stand.apply()
        config = '{"ops": {}}'
        launched = [
            (await stand.launch(run_config_json=config, tags={"n": str(number % 2)})).request.run.run_id
            for number in range(5)
        ]
        first = await stand.stub.ListRuns(api.ListRunsQuery(page_size=3))
        rest = await stand.stub.ListRuns(api.ListRunsQuery(page_size=3, page_token=first.next_page_token))
        assert [run.request.run.run_id for run in (*first.runs, *rest.runs)] == launched[::-1]
        assert not rest.next_page_token
        assert (first.runs[0].request.run_config_json, (await stand.run(launched[0])).request.run_config_json) == (
            "",
            config,
        )
        odd = await stand.stub.ListRuns(api.ListRunsQuery(tags={"n": "1"}, states=[api.RUN_STATE_QUEUED]))
        assert [run.request.run.run_id for run in odd.runs] == [launched[3], launched[1]]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.ListRuns(api.ListRunsQuery(page_token="made up"))
        assert "page_token" in violations_of(refused.value)
