"""Sensors on a real control plane, with the database and the broker: what wakes them, and what a tick leaves behind."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from integration.control_plane_stand import SNAPSHOT, Stand, control_plane
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import EvaluateSensor, Instruction
from isthmus_control_plane import clock
from isthmus_store import dynamic_partitions, event_index, instigators, ticks
from isthmus_store.record.automation import Instigator, InstigatorKey, Tick
from isthmus_store.state import InstigatorKind, LocationPhase, TickStatus
from support.eventually import eventually

Result = pb.InstructionResult
KEY = InstigatorKey("default", "sales", InstigatorKind.SENSOR, "watcher")
REF = api.AutomationRef(kind=api.AUTOMATION_KIND_SENSOR, name="watcher")
ORDERS = pb.AssetKey(path=["orders"])


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Where it makes no difference which database it is."""
    return f"sqlite:///{tmp_path}/isthmus.db"


def snapshot(**fields: Any) -> pb.LocationSnapshot:
    """What a location defines that has a sensor."""
    defined = pb.LocationSnapshot()
    defined.CopyFrom(SNAPSHOT)
    values: dict[str, Any] = {
        "name": "watcher",
        "kind": "standard",
        "minimum_interval_s": 0.3,
        "is_running_by_default": True,
        "targets": [pb.TargetSnapshot(job_name="nightly")],
    }
    defined.sensors.append(pb.SensorSnapshot(**values | fields))
    return defined


def sees(*runs: pb.RequestedRun, cursor: str = "", skip_reason: str = "", **fields: Any) -> Result:
    changes = pb.WantedChanges(**{name: fields.pop(name) for name in list(fields) if name != "reactions"})
    answer = pb.SensorAnswer(runs=runs, cursor=cursor, skip_reason=skip_reason, changes=changes, **fields)
    return Result(outcome=Result.OUTCOME_SUCCEEDED, sensor=answer, evaluation=pb.Evaluation(duration_s=0.25))


class Script:
    """Answers evaluations as it is told, the last answer again and again, and keeps what was asked."""

    def __init__(self, *results: Result) -> None:
        self.results = list(results)
        self.asked: list[EvaluateSensor] = []

    def __call__(self, instruction: Instruction) -> Result | None:
        if instruction.WhichOneof("body") != "evaluate_sensor":
            return None
        self.asked.append(instruction.evaluate_sensor)
        copy = Result()
        copy.CopyFrom(self.results[min(len(self.asked), len(self.results)) - 1])
        return copy


@asynccontextmanager
async def standing(
    broker_url: str, database_url: str, script: Script, *, defined: pb.LocationSnapshot
) -> AsyncIterator[Stand]:
    """A control plane on which a location with a sensor serves, whose evaluations are answered."""
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = defined
        await stand.serve()
        async with stand.answering(script):
            yield stand


async def stored(stand: Stand) -> Instigator:
    async def look() -> Instigator | None:
        async with stand.database.read() as tx:
            return await instigators.get(tx, KEY)

    return await eventually(look, within=10)


async def ended(stand: Stand, *, count: int = 1) -> list[Tick]:
    """Wait for as many ticks that ended, and return them, oldest first."""

    async def look() -> list[Tick]:
        async with stand.database.read() as tx:
            it = await instigators.get(tx, KEY)
            found = await ticks.page(tx, it.id, limit=100) if it is not None else []
        found = [it for it in found if it.status is not TickStatus.STARTED]
        return found[::-1] if len(found) >= count else []

    return await eventually(look, within=20)


def states(found: Iterable[Tick]) -> list[TickStatus]:
    return [tick.status for tick in found]


async def test_a_tick_may_ask_for_a_crowd_of_runs_of_which_keys_come_twice(broker_url: str, sqlite_url: str) -> None:
    asked = [pb.RequestedRun(run_key=f"k{number % 600}", partition_key="north") for number in range(800)]
    script = Script(sees(*asked, cursor="1"), sees(cursor="2", skip_reason="nothing new"))
    async with standing(broker_url, sqlite_url, script, defined=snapshot(minimum_interval_s=3600)) as stand:
        (tick,) = await ended(stand)
        assert (tick.status, len(set(tick.run_ids))) == (TickStatus.SUCCESS, 600)
        assert (await stand.run(tick.run_ids[-1])).tags["dagster/run_key"] == "k599"
        assert (await stored(stand)).cursor == "1"


async def test_what_a_sensor_sees_starts_runs_and_moves_its_cursor(broker_url: str, database_url: str) -> None:
    script = Script(
        sees(pb.RequestedRun(run_key="a", tags={"own": "x"}, partition_key="north"), cursor="1"),
        sees(cursor="2", skip_reason="nothing new"),
        Result(outcome=Result.OUTCOME_FAILED, failure=pb.Failure(error_class="KeyError")),
        sees(cursor="3", skip_reason="nothing new"),
    )
    async with standing(broker_url, database_url, script, defined=snapshot()) as stand:
        first, second, third, _ = (await ended(stand, count=4))[:4]
        assert states([first, second, third]) == [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILED]
        run = await stand.run(first.run_ids[0])
        assert (run.request.job_name, run.request.partition_key, run.requested_by) == (
            "nightly",
            "north",
            "sensor watcher",
        )
        tags = {"dagster/sensor_name": "watcher", "dagster/run_key": "a", "dagster/tick": str(first.id), "own": "x"}
        assert tags.items() <= dict(run.tags).items()
        assert [(it.cursor, it.last_run_key) for it in script.asked[:4]] == [
            ("", ""),
            ("1", "a"),
            ("2", "a"),
            ("2", "a"),
        ]
        # Each is told when the one before began.
        assert not script.asked[0].HasField("last_tick_at")
        assert clock.moment(script.asked[1].last_tick_at) == first.at
        assert clock.moment(script.asked[1].last_started_at) == (await stored(stand)).since


async def test_the_interval_is_kept_between_the_beginnings_of_ticks(broker_url: str, sqlite_url: str) -> None:
    script = Script(sees(skip_reason="nothing"))
    async with standing(broker_url, sqlite_url, script, defined=snapshot(minimum_interval_s=1)) as stand:
        found = await ended(stand, count=4)
        gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(found)]
        assert min(gaps) >= 1


async def test_a_run_key_is_good_for_one_run_for_good(broker_url: str, database_url: str) -> None:
    same = pb.RequestedRun(run_key="k")
    script = Script(
        sees(same, same, pb.RequestedRun(run_key="l"), pb.RequestedRun()), sees(same), sees(skip_reason="-")
    )
    async with standing(broker_url, database_url, script, defined=snapshot()) as stand:
        first, second = (await ended(stand, count=2))[:2]
        keys = [(await stand.run(run_id)).tags.get("dagster/run_key", "") for run_id in first.run_ids]
        assert keys == ["k", "l", ""]
        assert (second.status, second.run_ids) == (TickStatus.SKIPPED, ())
        assert "used before" in second.skip_reason
        assert len((await stand.stub.ListRuns(api.ListRunsQuery())).runs) == 3


async def test_a_tick_is_written_whole_or_not_at_all(broker_url: str, database_url: str) -> None:
    changes: dict[str, Any] = {
        "partitions": [pb.DynamicPartitionsChange(name="files", added=["a"])],
        "asset_events": [pb.Event(asset_materialized=pb.AssetMaterialized(asset=ORDERS))],
    }
    script = Script(
        sees(pb.RequestedRun(job_name="no_such_job", run_key="k"), cursor="1", **changes),
        sees(pb.RequestedRun(run_key="k"), cursor="2", **changes),
        sees(skip_reason="nothing", cursor="2"),
    )
    async with standing(broker_url, database_url, script, defined=snapshot()) as stand:
        first, second, _ = (await ended(stand, count=3))[:3]
        assert states([first, second]) == [TickStatus.FAILED, TickStatus.SUCCESS]
        assert "no_such_job" in pb.Failure.FromString(first.failure).message
        assert script.asked[1].cursor == ""
        assert len(second.run_ids) == 1
        async with stand.database.read() as tx:
            assert await dynamic_partitions.keys(tx, deployment="default", name="files") == ["a"]
            found = await event_index.newest(
                tx, deployment="default", assets=['["orders"]'], kinds=["asset_materialized"]
            )
        assert [it.run_id for it in found] == [""]


async def test_reactions_are_written_into_the_runs_that_they_are_to(broker_url: str, database_url: str) -> None:
    async with control_plane(broker_url, database_url) as stand:
        stand.snapshot = snapshot(is_running_by_default=False)
        await stand.serve()
        run = await stand.launch()
        run_id = run.request.run.run_id
        broken = pb.RunReaction(run_id=run_id, status="FAILURE", failure=pb.Failure(error_class="SMTPError"))
        script = Script(
            sees(reactions=[pb.RunReaction(run_id=run_id, status="FAILURE")], cursor="1"),
            sees(reactions=[broken], cursor="2"),
            sees(skip_reason="nothing", cursor="3"),
        )
        async with stand.answering(script):
            await stand.stub.StartAutomation(api.DecideAutomationRequest(automation=REF))
            first, second, _ = (await ended(stand, count=3))[:3]
        assert states([first, second]) == [TickStatus.SUCCESS, TickStatus.FAILED]
        assert pb.Failure.FromString(second.failure).error_class == "SMTPError"
        # The run whose reaction failed is not shown again.
        assert [it.cursor for it in script.asked[:3]] == ["", "1", "2"]
        updates = [update async for update in _history(stand, run_id)]
        texts = [it.event.message for it in updates if it.event.WhichOneof("body") == "engine_event"]
        assert texts == [f'Sensor "watcher" acted on run status FAILURE of run {run_id}.']


async def _history(stand: Stand, run_id: str) -> AsyncIterator[api.RunUpdate]:
    """The run's history as far as it goes."""
    last = (await stand.run(run_id)).last_position
    async for update in stand.stub.WatchRun(api.WatchRunRequest(run_id=run_id)):
        yield update
        if update.position >= last:
            return


async def test_an_event_wakes_a_sensor_that_looks_at_it_and_no_news_does_not(
    broker_url: str, database_url: str
) -> None:
    watch = pb.RunStatusWatch(status="STARTED", event_kind="run_started", is_everywhere=True)
    defined = snapshot(kind="run_status", run_status=watch, minimum_interval_s=3600)
    cursor = '{"__class__": "RunStatusSensorCursor", "record_id": %d}'
    script = Script(sees(cursor=cursor % 0, skip_reason="begun"), sees(cursor=cursor % 10_000, skip_reason="seen"))
    async with standing(broker_url, database_url, script, defined=defined) as stand:
        # It notes at once where it begins to look.
        await ended(stand)
        run = await stand.launch()
        begun = pb.Event(run=pb.RunRef(run_id=run.request.run.run_id, attempt=1), run_started=pb.RunStarted())
        await stand.record(run.request.run.run_id, begun)
        await ended(stand, count=2)
        # Its cursor is past all that there is: another look finds nothing to ask about, whatever wakes it.
        await stand.record(run.request.run.run_id, pb.Event(run=begun.run, log_message=pb.LogMessage()))
        other = await stand.launch()
        await stand.record(
            other.request.run.run_id,
            pb.Event(run=pb.RunRef(run_id=other.request.run.run_id, attempt=1), run_started=pb.RunStarted()),
        )
        # A question that can be asked and answered meanwhile shows that the control plane had the time.
        await stand.stub.TestTick(api.TestTickRequest(automation=REF))
        assert len(await ended(stand, count=2)) == 2


async def test_a_tick_waits_for_who_can_answer(broker_url: str, sqlite_url: str) -> None:
    script = Script(sees(skip_reason="nothing", cursor="1"))
    async with control_plane(broker_url, sqlite_url) as stand:
        stand.snapshot = snapshot()
        await stand.serve()
        await stand.report(phase=LocationPhase.FAILED, failure=pb.Failure(message="no"))

        async def is_begun() -> bool:
            async with stand.database.read() as tx:
                return bool(await ticks.started(tx, InstigatorKind.SENSOR))

        async with stand.answering(script):
            await eventually(is_begun, within=10)
            assert script.asked == []
            await stand.report()
            assert states(await ended(stand))[0] is TickStatus.SKIPPED


async def test_a_sensor_is_stopped_moved_tried_out_and_started(broker_url: str, database_url: str) -> None:
    new = pb.DynamicPartitionsChange(name="files", added=["a"])
    script = Script(sees(pb.RequestedRun(run_key="k"), cursor="8", partitions=[new]))
    defined = snapshot(is_running_by_default=False, description="Looks.")
    async with standing(broker_url, database_url, script, defined=defined) as stand:
        await stored(stand)
        (listed,) = (
            await stand.stub.ListAutomations(api.ListAutomationsRequest(kind=api.AUTOMATION_KIND_SENSOR))
        ).automations
        assert (listed.name, listed.is_running, listed.description) == ("watcher", False, "Looks.")
        assert (list(listed.job_names), listed.minimum_interval_s) == (["nightly"], 0.3)
        moved = await stand.stub.SetCursor(api.SetCursorRequest(automation=REF, cursor="7"))
        assert moved.cursor == "7"
        tried = await stand.stub.TestTick(api.TestTickRequest(automation=REF))
        assert ([run.job_name for run in tried.runs], tried.cursor) == (["nightly"], "8")
        assert tried.changes.partitions[0] == new
        await stand.stub.TestTick(api.TestTickRequest(automation=REF, cursor="2"))
        assert [it.cursor for it in script.asked] == ["7", "2"]
        assert not (await stand.stub.ListRuns(api.ListRunsQuery())).runs
        assert not (await stand.stub.ListTicks(api.ListTicksRequest(automation=REF))).ticks
        started = await stand.stub.StartAutomation(api.DecideAutomationRequest(automation=REF, requested_by="ada"))
        assert (started.is_running, started.decided_by) == (True, "ada")
        (tick, *_) = await ended(stand)
        assert (tick.status, tick.cursor, script.asked[2].cursor) == (TickStatus.SUCCESS, "8", "7")


async def test_ticks_of_a_sensor_never_overlap(broker_url: str, sqlite_url: str) -> None:
    gate = asyncio.Event()
    script = Script(sees(skip_reason="nothing"))
    async with control_plane(broker_url, sqlite_url) as stand:
        stand.snapshot = snapshot(minimum_interval_s=0.05)
        await stand.serve()
        async with stand.answering(script, gate=gate):
            await eventually(lambda: bool(script.asked), within=10)
            async with stand.database.read() as tx:
                assert len(await ticks.started(tx, InstigatorKind.SENSOR)) == 1
            assert len(script.asked) == 1
            gate.set()
            await ended(stand, count=2)


async def test_sensors_that_left_the_code_rest(broker_url: str, sqlite_url: str) -> None:
    script = Script(sees(skip_reason="nothing"))
    async with standing(broker_url, sqlite_url, script, defined=snapshot()) as stand:
        await ended(stand)
        stand.snapshot = SNAPSHOT
        await stand.report()
        await eventually(partial(_is_gone, stand), within=10)


async def _is_gone(stand: Stand) -> bool:
    it = await stored(stand)
    return it.gone_at is not None and not it.is_running
