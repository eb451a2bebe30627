"""Schedules on a real control plane, with the database and the broker: what is due, and what a tick leaves behind."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from integration.control_plane_stand import SNAPSHOT, Stand, control_plane, violations_of
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_control_plane import clock
from isthmus_control_plane.automation.timetable import fingerprint
from isthmus_control_plane.validation.definition import Definitions
from isthmus_store import dynamic_partitions, instigators, ticks
from isthmus_store.record.automation import Instigator, InstigatorKey, Tick
from isthmus_store.state import InstigatorKind, LocationPhase, TickStatus
from support.eventually import eventually

Result = pb.InstructionResult
Answer = Callable[[Instruction], Result | None]
KEY = InstigatorKey("default", "sales", InstigatorKind.SCHEDULE, "often")
REF = api.AutomationRef(name="often")
NOON = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where it makes no difference which database it is."""
    return f"sqlite:///{tmp_path}/isthmus.db"


class Clock:
    """A time of day that goes on by itself and can be set."""

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def set(self, at: datetime) -> None:
        self._ahead = at - datetime.now(UTC)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._ahead


def snapshot(*crons: str, **fields: Any) -> pb.LocationSnapshot:
    """What a location defines that has a schedule."""
    defined = pb.LocationSnapshot()
    defined.CopyFrom(SNAPSHOT)
    values: dict[str, Any] = {
        "name": "often",
        "job_name": "nightly",
        "timezone": "UTC",
        "is_running_by_default": True,
    } | fields
    defined.schedules.append(pb.ScheduleSnapshot(cron_schedules=crons, **values))
    return defined


def wants(*runs: pb.RequestedRun, skip_reason: str = "", **changes: Any) -> Result:
    answer = pb.ScheduleAnswer(runs=runs, skip_reason=skip_reason, changes=pb.WantedChanges(**changes))
    evaluation = pb.Evaluation(duration_s=0.5, log_lines=[pb.LogLine(level=20, message="looked")])
    return Result(outcome=Result.OUTCOME_SUCCEEDED, schedule=answer, evaluation=evaluation)


class Script:
    """Answers evaluations as it is told, and keeps what was asked."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.asked: list[datetime] = []

    def __call__(self, instruction: Instruction) -> Result | None:
        if instruction.WhichOneof("body") != "evaluate_schedule":
            return None
        assert instruction.evaluate_schedule.schedule_name == "often"
        self.asked.append(clock.moment(instruction.evaluate_schedule.scheduled_at))
        copy = Result()
        copy.CopyFrom(self.results[min(len(self.asked), len(self.results)) - 1])
        return copy


@asynccontextmanager
async def standing(
    broker_url: str, database_url: str, *, at: datetime, defined: pb.LocationSnapshot
) -> AsyncIterator[tuple[Stand, Clock]]:
    """A control plane whose clock shows a time, and on which a location with a schedule serves."""
    time = Clock(at)
    with clock.set_to(time):
        async with control_plane(broker_url, database_url) as stand:
            stand.snapshot = defined
            await stand.serve()
            await eventually(partial(known, stand), within=10)
            yield stand, time


async def known(stand: Stand) -> Instigator | None:
    """The schedule as it stands, once the leader knows it as it is defined now."""
    async with stand.database.read() as tx:
        found = await instigators.get(tx, KEY)
    definition = fingerprint(Definitions.of(stand.snapshot).schedules["often"])
    return found if found is not None and found.definition == definition else None


async def deploy(stand: Stand, defined: pb.LocationSnapshot) -> None:
    stand.snapshot = defined
    await stand.report()
    await eventually(partial(known, stand), within=10)


async def ended(stand: Stand, *, count: int = 1) -> list[Tick]:
    """Wait for as many ticks that ended, and return them, oldest first."""

    async def look() -> list[Tick]:
        async with stand.database.read() as tx:
            it = await instigators.get(tx, KEY)
            found = await ticks.page(tx, it.id, limit=100) if it is not None else []
        found = [it for it in found if it.status is not TickStatus.STARTED]
        return found[::-1] if len(found) >= count else []

    return await eventually(look, within=20)


async def test_due_schedule_starts_what_it_asks_for(broker_url: str, database_url: str) -> None:
    script = Script(
        wants(pb.RequestedRun(run_key="k", tags={"own": "x", "tier": "2"}, run_config_json="{}", partition_key="north"))
    )
    async with (
        standing(broker_url, database_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        time.set(NOON - timedelta(seconds=0.1))
        (tick,) = await ended(stand)
        assert script.asked == [NOON]
        assert (tick.status, tick.at, tick.attempts) == (TickStatus.SUCCESS, NOON, 1)
        evaluation = pb.Evaluation.FromString(tick.evaluation)
        assert [line.message for line in evaluation.log_lines] == ["looked"]
        run = await stand.run(tick.run_ids[0])
        assert (run.request.job_name, run.request.partition_key) == ("nightly", "north")
        assert run.requested_by == "schedule often"
        assert dict(run.tags) == {
            "team": "core",
            "tier": "2",
            "own": "x",
            "dagster/partition": "north",
            "dagster/schedule_name": "often",
            ".dagster/scheduled_execution_time": "2030-05-17T12:00:00+00:00",
            "dagster/tick": str(tick.id),
            "dagster/run_key": "k",
        }


async def test_tick_is_written_whole_or_not_at_all(broker_url: str, database_url: str) -> None:
    new = pb.DynamicPartitionsChange(name="files", added=["a"])
    script = Script(
        wants(pb.RequestedRun(job_name="no_such_job"), partitions=[new]),
        wants(pb.RequestedRun(), pb.RequestedRun(), partitions=[new]),
        wants(skip_reason="nothing new", partitions=[new]),
    )
    async with (
        standing(broker_url, database_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        for count, (status, word) in enumerate(
            (
                (TickStatus.FAILED, "no_such_job"),
                (TickStatus.FAILED, "run key of its own"),
                (TickStatus.SKIPPED, "nothing new"),
            ),
            start=1,
        ):
            time.set(NOON + timedelta(hours=count - 1))
            tick = (await ended(stand, count=count))[-1]
            assert tick.status is status
            assert word in pb.Failure.FromString(tick.failure).message + tick.skip_reason
            async with stand.database.read() as tx:
                keys = await dynamic_partitions.keys(tx, deployment="default", name="files")
            assert keys == (["a"] if status is TickStatus.SKIPPED else [])
        page = await stand.stub.ListRuns(api.ListRunsQuery())
        assert not page.runs


@pytest.mark.parametrize(("tags", "made_up"), [({}, 1), ({"isthmus/catch_up": "3"}, 3)])
async def test_latest_of_missed_times_is_made_up_for_or_as_many_as_are_wanted(
    broker_url: str, sqlite_url: str, tags: dict[str, str], made_up: int
) -> None:
    script = Script(wants(skip_reason="seen"))
    defined = snapshot("0 * * * *", tags=tags)
    async with (
        standing(broker_url, sqlite_url, at=NOON + timedelta(minutes=1), defined=defined) as (stand, time),
        stand.answering(script),
    ):
        time.set(NOON + timedelta(hours=9, minutes=1))
        found = await ended(stand, count=made_up)
        expected = [NOON + timedelta(hours=9 - back) for back in reversed(range(made_up))]
        assert [tick.at for tick in found] == expected
        # The next one is the next: nothing of what was missed comes later.
        time.set(NOON + timedelta(hours=10))
        assert [tick.at for tick in await ended(stand, count=made_up + 1)][-1] == NOON + timedelta(hours=10)
        assert script.asked == [*expected, NOON + timedelta(hours=10)]


async def test_changed_times_count_from_the_change(broker_url: str, sqlite_url: str) -> None:
    script = Script(wants(skip_reason="seen"))
    async with (
        standing(broker_url, sqlite_url, at=NOON + timedelta(minutes=30), defined=snapshot("0 0 * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        await deploy(stand, snapshot("15 * * * *", timezone="Asia/Kolkata"))
        time.set(NOON + timedelta(minutes=44, seconds=58))
        (tick,) = await ended(stand)
        # A quarter past by Kolkata's clocks is a quarter to by UTC.
        assert tick.at == NOON + timedelta(minutes=45)


async def test_tick_waits_for_a_location_that_nobody_serves(broker_url: str, sqlite_url: str) -> None:
    script = Script(wants(skip_reason="seen"))
    async with (
        standing(broker_url, sqlite_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        await stand.report(phase=LocationPhase.FAILED, failure=pb.Failure(message="no"))
        time.set(NOON)

        async def is_begun() -> bool:
            async with stand.database.read() as tx:
                return bool(await ticks.started(tx, InstigatorKind.SCHEDULE))

        await eventually(is_begun, within=10)
        assert script.asked == []
        await stand.report()
        (tick,) = await ended(stand)
        assert (tick.status, tick.at) == (TickStatus.SKIPPED, NOON)


async def test_failure_of_user_code_is_the_ticks(broker_url: str, sqlite_url: str) -> None:
    failure = pb.Failure(error_class="ZeroDivisionError", message="division by zero")
    script = Script(Result(outcome=Result.OUTCOME_FAILED, reason=pb.RUN_REASON_USER_ERROR, failure=failure))
    async with (
        standing(broker_url, sqlite_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        time.set(NOON)
        (tick,) = await ended(stand)
        assert tick.status is TickStatus.FAILED
        assert pb.Failure.FromString(tick.failure) == failure


async def test_decision_to_stop_holds_over_a_deploy(broker_url: str, database_url: str) -> None:
    script = Script(wants(skip_reason="seen"))
    async with (
        standing(broker_url, database_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        wanted = api.DecideAutomationRequest(automation=REF, requested_by="ada")
        stopped = await stand.stub.StopAutomation(wanted)
        assert (stopped.is_running, stopped.is_decided, stopped.decided_by) == (False, True, "ada")
        await deploy(stand, snapshot("5 * * * *"))
        time.set(NOON + timedelta(minutes=6))
        assert not (await stand.stub.GetAutomation(REF)).is_running
        started = await stand.stub.StartAutomation(wanted)
        assert (started.is_running, clock.moment(started.next_at)) == (True, NOON + timedelta(minutes=65))
        await deploy(stand, snapshot("7 * * * *", is_running_by_default=False))
        time.set(NOON + timedelta(minutes=7))
        # What was due while it was stopped is never made up for.
        assert [tick.at for tick in await ended(stand)] == [NOON + timedelta(minutes=7)]


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [(api.PAUSE_KIND_LOCATION, "sales", "location sales"), (api.PAUSE_KIND_DEPLOYMENT, "", "the deployment")],
)
async def test_what_is_paused_fires_nothing_and_makes_up_for_the_latest_time_afterwards(
    broker_url: str, sqlite_url: str, kind: "api.PauseKind.ValueType", name: str, what: str
) -> None:
    script = Script(wants(skip_reason="seen"))
    async with (
        standing(broker_url, sqlite_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        await stand.stub.Pause(api.PauseRequest(kind=kind, name=name, requested_by="ada", why="audit"))
        time.set(NOON + timedelta(hours=1))
        shown = await stand.stub.GetAutomation(REF)
        assert (shown.is_running, shown.problem) == (True, f"{what} was paused by ada: audit")
        assert not shown.HasField("next_at")
        # A run of the queue's own loop, and an answer of the API, show that there was the time to begin a tick.
        await stand.launch()
        assert not (await stand.stub.ListTicks(api.ListTicksRequest(automation=REF))).ticks
        time.set(NOON + timedelta(hours=2))
        await stand.stub.Resume(api.ResumeRequest(kind=kind, name=name))
        (tick,) = await ended(stand)
        assert script.asked == [tick.at] == [NOON + timedelta(hours=2)]


async def test_ticks_go_on_while_the_queue_alone_is_paused(broker_url: str, sqlite_url: str) -> None:
    script = Script(wants(pb.RequestedRun(partition_key="north")))
    async with (
        standing(broker_url, sqlite_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        await stand.stub.Pause(api.PauseRequest(kind=api.PAUSE_KIND_QUEUE))
        time.set(NOON)
        (tick,) = await ended(stand)
        assert (await stand.run(tick.run_ids[0])).state == api.RUN_STATE_QUEUED


async def test_schedule_is_looked_at_ahead_and_tried_out_without_effect(broker_url: str, sqlite_url: str) -> None:
    new = pb.DynamicPartitionsChange(name="files", added=["a"])
    script = Script(wants(pb.RequestedRun(run_key="k"), partitions=[new]))
    defined = snapshot("0 * * * *", "30 12 * * *", is_running_by_default=False, description="Often.")
    async with (
        standing(broker_url, sqlite_url, at=NOON + timedelta(minutes=1), defined=defined) as (stand, _),
        stand.answering(script),
    ):
        (listed,) = (await stand.stub.ListAutomations(api.ListAutomationsRequest())).automations
        assert (listed.name, listed.is_running, listed.description) == ("often", False, "Often.")
        assert not listed.HasField("next_at")
        preview = await stand.stub.PreviewTicks(api.PreviewTicksRequest(automation=REF, count=3))
        assert [clock.moment(it) for it in preview.times] == [NOON + timedelta(minutes=it) for it in (30, 60, 120)]
        tested = await stand.stub.TestTick(api.TestTickRequest(automation=REF))
        assert (clock.moment(tested.at), tested.status) == (NOON + timedelta(minutes=30), api.TICK_STATUS_SUCCESS)
        assert [run.job_name for run in tested.runs] == ["nightly"]
        assert list(tested.changes.partitions) == [new]
        assert tested.evaluation.log_lines[0].message == "looked"
        assert not (await stand.stub.ListTicks(api.ListTicksRequest(automation=REF))).ticks
        assert not (await stand.stub.ListRuns(api.ListRunsQuery())).runs


async def test_unknown_schedule_is_refused_with_names_that_are_near(broker_url: str, sqlite_url: str) -> None:
    async with standing(broker_url, sqlite_url, at=NOON, defined=snapshot("bad cron")) as (stand, _):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stand.stub.GetAutomation(api.AutomationRef(name="oftn"))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert "did you mean 'often'?" in str(refused.value.details())
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await stand.stub.ListTicks(api.ListTicksRequest(page_size=1000))
        assert set(violations_of(missing.value)) == {"automation.name", "page_size"}
        # What is wrong with its expression is told where somebody looks.
        assert "fields are 2" in (await stand.stub.GetAutomation(REF)).problem
