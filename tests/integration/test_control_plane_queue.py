"""The queue with a real broker and both databases: what blocks, what is broken, and what comes at that moment."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from integration.control_plane_stand import Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus.v1.telemetry_pb2 import Event, LogMessage, RunRef
from isthmus_broker.notices import Notice
from isthmus_store import locations, placements, runs
from isthmus_store.launch import MOST_ON_THE_WAY
from isthmus_store.record.instruction import NewInstruction
from isthmus_store.record.location import PlacementReport, WantedLocation
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted
from isthmus_store.state import LocationPhase
from isthmus_store.table.instruction import INSTRUCTIONS
from isthmus_store.table.run import RUNS
from support.eventually import eventually


async def serve_unheard(stand: Stand) -> None:
    """Let location sales serve without telling anybody: no wake-up comes of it."""
    report = PlacementReport(
        generation=1,
        phase=LocationPhase.SERVING,
        serving_generation=1,
        failure=b"",
        snapshot_hash="",
        framework="",
        python_version="",
        reported_at=datetime.now(UTC),
    )
    async with stand.database.write() as tx:
        known = await placements.get(tx, deployment="default", location="sales", agent="alpha")
        assert known is not None
        await placements.save(tx, placements.reported(known, report))


async def state_is(stand: Stand, run_id: str, state: "api.RunState.ValueType") -> None:
    async def has_come() -> bool:
        return (await stand.run(run_id)).state == state

    await eventually(has_come, within=30)


async def test_a_launch_does_not_overtake_those_that_wait(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        async with stand.agent() as agent:
            first = await stand.launch()
            assert first.message == "location sales is loading generation 1 on agent alpha"
            await serve_unheard(stand)
            # The location could take it at once.
            second = await stand.launch()
            # Unless the look that the first launch woke came as late as this, and let the first one go.
            if (await stand.run(first.request.run.run_id)).state == api.RUN_STATE_QUEUED:
                assert second.state == api.RUN_STATE_QUEUED
                assert second.message == "earlier runs of location sales go first"
            told = [(await agent.next("launch_run", within=60)).launch_run.request.run.run_id for _ in range(2)]
        assert told == [first.request.run.run_id, second.request.run.run_id]


async def test_launches_that_come_while_a_queue_is_worked_off_stay_behind_it(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand:
        await stand.create_agent()
        await stand.apply()
        await stand.hear()
        async with stand.agent() as agent:
            asked = [(await stand.launch()).request.run.run_id for _ in range(70)]
            await serve_unheard(stand)
            asked += [(await stand.launch()).request.run.run_id for _ in range(30)]
            told = [(await agent.next("launch_run", within=120)).launch_run.request.run.run_id for _ in asked]
        assert told == asked


async def accept(stand: Stand, *run_ids: str) -> None:
    """Do what the monitor does when an agent has accepted runs."""
    async with stand.database.write() as tx:
        for run_id in run_ids:
            await runs.signal(tx, run_id, Accepted(attempt=1), at=datetime.now(UTC))
    await stand.tell(Notice(runs=frozenset(run_ids)))


async def test_a_crowd_of_launches_is_sent_as_its_agent_accepts_them(broker_url: str, database_url: str) -> None:
    surplus = 12
    async with control_plane(broker_url, database_url, sweep_interval_s=600.0) as stand, stand.serving() as agent:
        await stand.apply("other")
        await agent.next("sync_locations")
        await stand.report("other")
        crowd = [(await stand.launch()).request.run.run_id for _ in range(MOST_ON_THE_WAY + surplus)]
        other = await stand.launch(location="other")
        told = [(await agent.next("launch_run", within=60)).launch_run.request.run.run_id for _ in range(201)]
        # What waits at the agent's door delays another location's launch by no more than that.
        assert told == [*crowd[:MOST_ON_THE_WAY], other.request.run.run_id]
        last = await stand.stub.ExplainRun(api.ExplainRunRequest(run_id=crowd[-1]))
        assert [(it.kind, it.text) for it in last.reasons] == [
            (api.WaitReason.KIND_ORDER, "agent alpha has yet to accept 200 earlier runs of location sales")
        ]
        await accept(stand, *crowd[:5])
        told = [(await agent.next("launch_run", within=60)).launch_run.request.run.run_id for _ in range(5)]
        assert told == crowd[MOST_ON_THE_WAY : MOST_ON_THE_WAY + 5]
        await accept(stand, *crowd[5:20])
        told = [(await agent.next("launch_run", within=60)).launch_run.request.run.run_id for _ in range(surplus - 5)]
        assert told == crowd[MOST_ON_THE_WAY + 5 :]


async def test_a_healthy_location_is_not_hidden_by_blocked_ones(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        blocked = [f"l{number:02}" for number in range(30)]
        async with stand.database.write() as tx:
            for name in blocked:
                await locations.apply(
                    tx,
                    WantedLocation(deployment="default", name=name, pool="nobody", settings=b""),
                    at=datetime.now(UTC),
                )
            await tx.execute(RUNS.insert(), [row(name, age_s=3600) for name in blocked for _ in range(100)])
            await tx.execute(RUNS.insert(), [row("sales", age_s=1)])
        launch = await agent.next("launch_run", within=60)
        assert launch.launch_run.request.location == "sales"


async def test_a_run_that_cannot_be_dispatched_fails_alone(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        broken = row("sales", age_s=60) | {"request": b"\xff no request"}
        async with stand.database.write() as tx:
            await tx.execute(RUNS.insert(), [broken, row("sales", age_s=1)])
        launch = await agent.next("launch_run", within=60)
        assert launch.launch_run.request.run.run_id != broken["run_id"]

        async def has_failed() -> bool:
            async with stand.database.read() as tx:
                run = await runs.existing(tx, str(broken["run_id"]))
            return run.state.value == "FAILED" and "could not dispatch" in run.message

        await eventually(has_failed, within=30)
        assert not stand.ended.is_set()


async def test_a_command_that_cannot_be_sent_ends_alone(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        lost = await stand.launch()
        await agent.next("launch_run")
        run_id = lost.request.run.run_id
        broken = NewInstruction(
            id=str(uuid4()),
            deployment="default",
            agent="alpha",
            is_control=False,
            kind="launch_run",
            body=b"\xff no instruction",
            created_at=datetime.now(UTC),
            not_after=datetime.now(UTC) + timedelta(hours=1),
            run_id=run_id,
            attempt=1,
        )
        async with stand.database.write() as tx:
            await tx.execute(INSTRUCTIONS.insert(), [{name: getattr(broken, name) for name in broken.__slots__}])
        await state_is(stand, run_id, api.RUN_STATE_FAILED)
        assert "could not be sent" in (await stand.run(run_id)).message
        await stand.launch()
        await agent.next("launch_run")
        assert not stand.ended.is_set()


async def test_an_agent_that_reports_an_absurd_revision_concerns_itself_alone(
    broker_url: str, database_url: str
) -> None:
    async with control_plane(broker_url, database_url) as stand:
        await stand.create_agent("mad", pool="mad")
        await stand.hear("mad", revision=2**63 - 1)
        await stand.apply("theirs", pool="mad")
        async with stand.serving() as agent:
            await stand.launch()
            await agent.next("launch_run")
            await stand.hear("mad", revision=2**63 - 1, incarnation="life-2")
            await stand.apply("theirs", pool="mad", env={"A": "1"})
            await stand.launch()
            await agent.next("launch_run")
            assert not stand.ended.is_set()


def row(location: str, *, age_s: float) -> dict[str, object]:
    """A row of a run that waits."""
    run_id = str(uuid4())
    request = RunRequest(run=RunRef(run_id=run_id, attempt=1), location=location, job_name="nightly")
    new = NewRun(
        run_id=run_id,
        deployment="default",
        location=location,
        job_name="nightly",
        request=request.SerializeToString(),
        queued_at=datetime.now(UTC) - timedelta(seconds=age_s),
    )
    queued = runs.as_queued(new)
    return {column.name: getattr(queued, column.name) for column in RUNS.c}


async def test_a_run_that_stands_still_is_explained_until_it_says_something(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand, stand.serving() as agent:
        run_id = (await stand.launch()).request.run.run_id
        await agent.next("launch_run")
        found = Event(message="The run stands still.", log_message=LogMessage(is_standstill=True))
        await stand.record(run_id, found, signal=Accepted(attempt=1))
        (reason,) = (await stand.stub.ExplainRun(api.ExplainRunRequest(run_id=run_id))).reasons
        assert (reason.kind, reason.text) == (api.WaitReason.KIND_STANDSTILL, "The run stands still.")
        assert f"isthmus run cancel {run_id[:8]}" in reason.remedy
        await stand.record(run_id, Event(message="on we go", log_message=LogMessage()))
        assert not (await stand.stub.ExplainRun(api.ExplainRunRequest(run_id=run_id))).reasons
