"""Limits, pauses and explanations of the queue, with a real broker and both databases."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from integration.control_plane_stand import FakeAgent, Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.instance_pb2 import PoolsQuery
from isthmus_broker.notices import Notice
from isthmus_control_plane.instance import pool_facts
from isthmus_store import runs, slot_claims
from isthmus_store.record.queue import SlotClaim
from isthmus_store.signal import Succeeded
from support.eventually import eventually

#: Nothing happens but by being told: the sweep that would make good for a lost wake-up comes after the test.
DEAF: dict[str, Any] = {"sweep_interval_s": 600.0}


async def limit(stand: Stand, **limits: Any) -> api.QueueSettingsRevision:
    request = api.SetQueueSettingsRequest(settings=api.QueueSettings(**limits), requested_by="ana")
    revision: api.QueueSettingsRevision = await stand.stub.SetQueueSettings(request)
    return revision


async def queue_of(stand: Stand) -> api.Queue:
    queue: api.Queue = await stand.stub.GetQueue(api.GetQueueRequest())
    return queue


async def why(stand: Stand, run_id: str) -> api.RunExplanation:
    explanation: api.RunExplanation = await stand.stub.ExplainRun(api.ExplainRunRequest(run_id=run_id))
    return explanation


async def launch(stand: Stand, **fields: Any) -> str:
    return (await stand.launch(**fields)).request.run.run_id


async def end(stand: Stand, run_id: str) -> None:
    """Do what the monitor does when a run has ended."""
    async with stand.database.write() as tx:
        await runs.signal(tx, run_id, Succeeded(attempt=1), at=datetime.now(UTC))
    await stand.tell(Notice(runs=frozenset({run_id}), freed=frozenset({"default"})))


async def started(agent: FakeAgent) -> str:
    return str((await agent.next("launch_run", within=60)).launch_run.request.run.run_id)


async def started_of(agent: FakeAgent, count: int) -> list[str]:
    return [await started(agent) for _ in range(count)]


async def under_way(stand: Stand) -> list[str]:
    """The runs that left the queue and have not ended."""
    async with stand.database.read() as tx:
        return [run.run_id for run in await runs.active(tx)]


async def states(stand: Stand, ids: Sequence[str]) -> "list[api.RunState.ValueType]":
    return [(await stand.run(run_id)).state for run_id in ids]


async def test_a_slot_that_is_freed_goes_to_the_next_run_at_once(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand, stand.serving() as agent:
        assert (await limit(stand, max_runs=2)).revision == 1
        ids = [await launch(stand) for _ in range(4)]
        assert await started_of(agent, 2) == ids[:2]
        assert await states(stand, ids[2:]) == [api.RUN_STATE_QUEUED] * 2

        async def is_told() -> bool:
            return (await stand.run(ids[3])).message == "deployment default is full: 2 of 2 runs"

        await eventually(is_told, within=30)
        await end(stand, ids[1])
        assert await started(agent) == ids[2]
        assert sorted(await under_way(stand)) == sorted(ids[:1] + ids[2:3])


async def test_limits_change_while_runs_wait_tags_that_nobody_limited_before_included(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand, stand.serving() as agent:
        await limit(stand, max_runs=0)
        red = [await launch(stand, tags={"team": "red"}) for _ in range(3)]
        blue = await launch(stand, tags={"team": "blue"})
        urgent = await launch(stand, tags={"team": "blue", "dagster/priority": "5"})
        assert await under_way(stand) == []
        second = await limit(stand, tags=[api.TagLimit(key="team", per_value=True, limit=1)])
        assert (second.revision, second.changed_by) == (2, "ana")
        assert await started_of(agent, 2) == [urgent, red[0]]
        assert sorted(await under_way(stand)) == sorted([red[0], urgent])
        queue = await queue_of(stand)
        assert (queue.depth, queue.under_way, queue.settings.revision) == (3, 2, 2)
        assert {(it.name, it.taken, it.limit) for it in queue.slots} == {("team=red", 1, 1), ("team=blue", 1, 1)}
        await limit(stand)
        assert await started_of(agent, 3) == [red[1], red[2], blue]


async def test_a_run_is_told_all_that_holds_it_back_and_who_has_it(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand, stand.serving() as agent:
        await limit(stand, max_runs=1, locations={"sales": 1})
        first, second = await launch(stand), await launch(stand)
        assert await started(agent) == first
        await stand.stub.Pause(
            api.PauseRequest(kind=api.PAUSE_KIND_LOCATION, name="sales", why="new tables", requested_by="bo")
        )
        told = await why(stand, second)
        assert [it.text for it in told.reasons] == [
            "location sales was paused by bo: new tables",
            "deployment default is full: 1 of 1 runs",
            "location sales is full: 1 of 1 runs",
        ]
        assert told.reasons[0].remedy == "isthmus queue resume location sales"
        assert [[holder.run_id for holder in it.holders] for it in told.reasons] == [[], [first], [first]]
        assert [it.name for it in told.stations] == ["queued"]
        assert not told.stations[0].HasField("ended_at")
        stations = (await why(stand, first)).stations
        assert [it.name for it in stations] == ["queued", "on its way to the agent"]
        assert stations[0].HasField("ended_at")
        assert not (await why(stand, first)).reasons


async def test_what_is_paused_goes_on_when_it_is_resumed(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand, stand.serving() as agent:
        request = api.PauseRequest(kind=api.PAUSE_KIND_QUEUE, why="backup", requested_by="bo")
        paused = await stand.stub.Pause(request)
        again = await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_QUEUE, requested_by="cy"))
        assert (again.paused_by, again.paused_at) == ("bo", paused.paused_at)
        run_id = await launch(stand)
        queue = await queue_of(stand)
        assert [(it.text, it.runs) for it in queue.reasons] == [("the queue was paused by bo: backup", 1)]
        assert await under_way(stand) == []
        await stand.stub.Resume(api.ResumeRequest(kind=api.PAUSE_KIND_QUEUE))
        assert await started(agent) == run_id
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.Resume(api.ResumeRequest(kind=api.PAUSE_KIND_QUEUE))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_wrong_name_is_not_paused_and_a_wrong_limit_not_set(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand:
        await stand.serve()
        with pytest.raises(grpc.aio.AioRpcError, match="did you mean 'sales'") as unknown:
            await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_LOCATION, name="sale"))
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.aio.AioRpcError, match="per_value") as invalid:
            await limit(stand, tags=[api.TagLimit(key="team", value="a", per_value=True, limit=1)])
        assert invalid.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (await queue_of(stand)).settings.revision == 0


async def test_two_control_planes_pass_no_limit_together(broker_url: str, database_url: str) -> None:
    async with (
        control_plane(broker_url, database_url, **DEAF) as one,
        control_plane(broker_url, database_url, **DEAF) as other,
        one.serving() as agent,
    ):
        await limit(one, max_runs=3)
        asked = [await launch(one if number % 2 else other) for number in range(12)]
        ended: list[str] = []
        for _ in asked:
            ended.append(await started(agent))
            assert len(await under_way(one)) <= 3
            await end(one, ended[-1])
        assert sorted(ended) == sorted(asked)
        assert len(set(ended)) == len(asked)


async def give_slot(stand: Stand, run_id: str) -> None:
    """Give a run's step the slot that it claims."""
    at = datetime.now(UTC)
    claim = SlotClaim(
        run_id=run_id,
        attempt=1,
        step_key="load",
        retry_number=0,
        deployment="default",
        pool="warehouse",
        priority=0,
        wanted_at=at,
        room=1,
    )
    async with stand.database.write() as tx:
        await slot_claims.want(tx, [claim])
        await slot_claims.grant(tx, [claim], at=at)


async def test_a_run_whose_first_steps_would_only_wait_for_a_pool_stays_in_the_queue(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand:
        load = telemetry_pb2.OpSnapshot(name="load", pool="warehouse")
        read = telemetry_pb2.OpSnapshot(name="read")
        after = telemetry_pb2.OpSnapshot(name="load", pool="warehouse", upstream=["read"])
        stand.snapshot = telemetry_pb2.LocationSnapshot(
            jobs=[
                telemetry_pb2.JobSnapshot(name="pooled", pools=["warehouse"], ops=[load]),
                telemetry_pb2.JobSnapshot(name="later", pools=["warehouse"], ops=[read, after]),
            ]
        )
        async with stand.serving() as agent:
            of_steps = api.PoolLimits(limits={"warehouse": 1}, granularity=api.PoolLimits.GRANULARITY_OP)
            await limit(stand, pools=of_steps)
            first, second = [await launch(stand, job_name="pooled") for _ in range(2)]
            later = await launch(stand, job_name="later")
            assert await started_of(agent, 2) == [first, later]
            # It has claimed nothing yet, and is about to.
            assert [it.text for it in (await why(stand, second)).reasons] == [
                "pool warehouse is full: 0 of 1 slots are taken, and 1 step waits for one"
            ]
            await give_slot(stand, first)
            (told,) = (await why(stand, second)).reasons
            assert told.text == "pool warehouse is full: 1 of 1 slots are taken"
            assert [(it.run_id, it.step_key) for it in told.holders] == [(first, "load")]
            async with stand.database.read() as tx:
                facts = await pool_facts.pools(tx, "default", PoolsQuery())
                assert (facts.is_of_steps, facts.HasField("default_limit")) == (True, False)
                assert [(it.pool, it.limit, it.is_default_limit) for it in facts.pools] == [("warehouse", 1, False)]
                assert [(it.run_id, it.step_key, it.HasField("granted_at")) for it in facts.pools[0].slots] == [
                    (first, "load", True)
                ]
                other = await pool_facts.pools(tx, "default", PoolsQuery(pools=["other"]))
                assert [(it.pool, it.HasField("limit"), len(it.slots)) for it in other.pools] == [("other", False, 0)]
            await end(stand, first)
            assert await started(agent) == second


async def test_a_run_holds_a_slot_of_each_pool_that_its_steps_use(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, **DEAF) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        # It is not known yet what the location defines.
        waiting = [await launch(stand, job_name="pooled") for _ in range(2)]
        plain = await launch(stand, job_name="plain")
        await limit(stand, pools=api.PoolLimits(limits={"warehouse": 1}))
        snapshot = telemetry_pb2.LocationSnapshot(
            jobs=[
                telemetry_pb2.JobSnapshot(name="pooled", pools=["warehouse"]),
                telemetry_pb2.JobSnapshot(name="plain"),
            ]
        )
        async with stand.agent() as agent:
            await stand.report(snapshot=snapshot)
            assert await started_of(agent, 2) == [waiting[0], plain]
            assert sorted(await under_way(stand)) == sorted([waiting[0], plain])
            told = await why(stand, waiting[1])
            assert [it.text for it in told.reasons] == ["pool warehouse is full: 1 of 1 runs"]
            assert [it.run_id for it in told.reasons[0].holders] == [waiting[0]]
            await end(stand, waiting[0])
            assert await started(agent) == waiting[1]
