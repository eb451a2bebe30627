"""Schedules on a real control plane, with the database and the broker: what is due, and what a tick leaves behind."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from integration.control_plane_stand import SNAPSHOT, Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import Instruction
from isthmus_control_plane import clock
from isthmus_store import dynamic_partitions, instigators, ticks
from isthmus_store.record.automation import InstigatorKey, Tick
from isthmus_store.state import InstigatorKind, InstigatorStatus, LocationPhase, TickStatus
from support.eventually import eventually

Result = pb.InstructionResult
Answer = Callable[[Instruction], Result | None]
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
    values = {"name": "often", "job_name": "nightly", "timezone": "UTC", "is_running_by_default": True} | fields
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
            await defines(stand)
            yield stand, time


async def defines(stand: Stand) -> None:
    """Wait until the schedule is known."""

    async def is_known() -> bool:
        async with stand.database.read() as tx:
            return bool(await instigators.all_of(tx))

    await eventually(is_known, within=10)


async def ended(stand: Stand, *, count: int = 1) -> list[Tick]:
    """Wait for as many ticks that ended, and return them, oldest first."""

    async def look() -> list[Tick]:
        async with stand.database.read() as tx:
            (known,) = await instigators.all_of(tx)
            found = [it for it in await ticks.page(tx, known.id, limit=100) if it.status is not TickStatus.STARTED]
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
    async with standing(broker_url, sqlite_url, at=NOON + timedelta(minutes=1), defined=defined) as (
        stand,
        time,
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
        stand.snapshot = snapshot("15 * * * *", timezone="Asia/Kolkata")
        await stand.report()
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
                return bool(await ticks.started(tx))

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


async def test_decision_to_stop_holds_over_a_deploy(broker_url: str, sqlite_url: str) -> None:
    script = Script(wants(skip_reason="seen"))
    key = InstigatorKey("default", "sales", InstigatorKind.SCHEDULE, "often")
    async with (
        standing(broker_url, sqlite_url, at=NOON - timedelta(minutes=30), defined=snapshot("0 * * * *")) as (
            stand,
            time,
        ),
        stand.answering(script),
    ):
        async with stand.database.write() as tx:
            await instigators.decide(tx, key, InstigatorStatus.STOPPED, by="ada", at=time())
        stand.snapshot = snapshot("5 * * * *")
        await stand.report()
        time.set(NOON + timedelta(minutes=6))
        async with stand.database.write() as tx:
            await instigators.decide(tx, key, InstigatorStatus.RUNNING, by="ada", at=time())
        stand.snapshot = snapshot("7 * * * *")
        await stand.report()
        time.set(NOON + timedelta(minutes=7))
        assert [tick.at for tick in await ended(stand)] == [NOON + timedelta(minutes=7)]
