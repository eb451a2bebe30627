"""An answer carries everything that a schedule or a sensor wants, and nothing happens while it is asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instance_pb2 as instance
from isthmus.v1 import telemetry_pb2 as pb
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_code_server.definitions.dagster.values.failure import failure_from_exception
from isthmus_code_server.definitions.evaluation_log import EvaluationLog
from isthmus_code_server.definitions.port import Definitions, EvaluationPlace, SensorTick
from isthmus_code_server.runs.instance_gate import InstanceGate
from support_code_server import Load
from support_instance import attached

T = TypeVar("T")

#: Of the other location's and of this one's runs that succeeded or failed: their jobs and locations, in order.
_ENDED = {
    "run-1": ("watched", "here"),
    "run-2": ("unwatched", "here"),
    "run-3": ("watched", "elsewhere"),
}
_CURSOR = '{"__class__": "RunStatusSensorCursor", "record_id": 0, "record_timestamp": null, "update_timestamp": null}'


@pytest.fixture
def deciding(load: Load) -> Definitions:
    return load(module="deciding")


class World:
    """Answers what evaluations ask, and remembers what was asked."""

    def __init__(self, *, partitions: Sequence[str] = (), kind: str = "run_succeeded") -> None:
        self.partitions = partitions
        self.kind = kind
        self.asked: list[instance.InstanceQuery] = []

    def answer(self, query: instance.InstanceQuery) -> instance.InstanceAnswer:
        match query.WhichOneof("body"):
            case "dynamic_partitions":
                keys = [
                    key
                    for key in self.partitions
                    if not query.dynamic_partitions.keys or key in query.dynamic_partitions.keys
                ]
                return instance.InstanceAnswer(dynamic_partitions=instance.DynamicPartitionKeys(keys=keys))
            case "events":
                found = [self._event(number, run_id) for number, run_id in enumerate(_ENDED, start=1)]
                wanted = [it for it in found if it.id > query.events.after_id]
                return instance.InstanceAnswer(events=instance.StoredEvents(events=wanted))
            case "runs":
                return instance.InstanceAnswer(runs=instance.FoundRuns(runs=map(_run, query.runs.run_ids)))
        raise AssertionError(f"asked for {query}")

    def _event(self, number: int, run_id: str) -> instance.StoredEvent:
        event = pb.Event(run=pb.RunRef(run_id=run_id, attempt=1))
        getattr(event, self.kind).SetInParent()
        event.occurred_at.FromSeconds(1_700_000_000 + number)
        return instance.StoredEvent(id=number, job_name=_ENDED[run_id][0], event=event)

    @property
    def kinds(self) -> list[str]:
        return [query.WhichOneof("body") or "" for query in self.asked]


def _run(run_id: str) -> instance.FoundRun:
    job, location = _ENDED[run_id]
    request = RunRequest(run=pb.RunRef(run_id=run_id, attempt=1), job_name=job, location=location)
    return instance.FoundRun(run=api.Run(request=request, state=api.RUN_STATE_SUCCEEDED))


@asynccontextmanager
async def answering(gate: InstanceGate, world: World) -> AsyncIterator[None]:
    async with gate.listening(), attached(gate, world.answer, asked=world.asked):
        yield


async def ask(gate: InstanceGate, world: World, question: Callable[[], T]) -> T:
    async with answering(gate, world):
        return await asyncio.to_thread(question)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def here(log: EvaluationLog | None = None) -> EvaluationPlace:
    return EvaluationPlace(location="here", take_line=(log or EvaluationLog()).take)


# ----------------------------------------------------------------------------------------------------------- schedules


def test_a_schedule_is_told_its_time_in_its_own_zone(deciding: Definitions) -> None:
    answer = deciding.evaluate_schedule("in_new_york", scheduled_at=at("2026-07-02T02:00:00+00:00"))
    (run,) = answer.runs
    assert (run.tags["day"], run.tags["offset"]) == ("2026-07-01", "-1 day, 20:00:00")


def test_a_partitioned_schedule_asks_for_the_last_partition_before_its_time(deciding: Definitions) -> None:
    answer = deciding.evaluate_schedule("daily_job_schedule", scheduled_at=at("2024-03-02T01:00:00+00:00"))
    (run,) = answer.runs
    assert (run.job_name, run.partition_key, run.tags["dagster/partition"]) == ("daily_job", "2024-03-01", "2024-03-01")


async def test_what_a_schedule_writes_is_answered_and_not_written(deciding: Definitions, gate: InstanceGate) -> None:
    world = World(partitions=["south"])
    question = lambda: deciding.evaluate_schedule("writing", scheduled_at=at("2024-03-01T00:00:00+00:00"))  # noqa: E731
    answer = await ask(gate, world, question)
    assert answer.skip_reason == "south,north"
    assert world.kinds == ["dynamic_partitions"]
    (change,) = answer.changes.partitions
    assert (change.name, list(change.added), list(change.deleted)) == ("regions", ["north"], [])
    (event,) = answer.changes.asset_events
    assert (list(event.asset_materialized.asset.path), event.run.run_id) == (["plain"], "")
    (tags,) = answer.changes.run_tags
    assert (tags.run_id, dict(tags.tags)) == ("run-7", {"seen": "yes"})


async def test_what_one_evaluation_wants_is_not_seen_by_the_next(deciding: Definitions, gate: InstanceGate) -> None:
    def twice() -> list[str]:
        asked = at("2024-03-01T00:00:00+00:00")
        return [deciding.evaluate_schedule("writing", scheduled_at=asked).skip_reason for _ in range(2)]

    assert await ask(gate, World(), twice) == ["north", "north"]


# ------------------------------------------------------------------------------------------------------------- sensors


def test_all_that_a_request_says_is_answered(deciding: Definitions) -> None:
    answer = deciding.evaluate_sensor("selecting", tick=SensorTick())
    whole, checks, stale = answer.runs
    assert {run.job_name for run in answer.runs} == {"all_assets"}
    assert (whole.has_check_selection, list(whole.check_selection), whole.is_stale_assets_only) == (False, [], False)
    (check,) = checks.check_selection
    assert (checks.has_check_selection, list(check.asset.path), check.check_name) == (True, ["plain"], "is_filled")
    assert (stale.is_stale_assets_only, [list(key.path) for key in stale.asset_selection]) == (True, [["plain"]])


async def test_partitions_and_events_that_a_sensor_returns_are_answered_and_not_written(
    deciding: Definitions, gate: InstanceGate
) -> None:
    world = World(partitions=["east"])
    answer = await ask(gate, world, lambda: deciding.evaluate_sensor("opening", tick=SensorTick()))
    assert set(world.kinds) <= {"dynamic_partitions"}
    assert [run.partition_key for run in answer.runs] == ["south"]
    added, deleted = answer.changes.partitions
    assert (list(added.added), list(deleted.deleted), answer.cursor) == (["south"], ["east"], "opened")
    kinds = [event.WhichOneof("body") for event in answer.changes.asset_events]
    assert kinds == ["asset_materialized", "asset_observed", "asset_check_evaluated"]


def test_a_request_for_a_backfill_tells_its_partitions(deciding: Definitions) -> None:
    (run,) = deciding.evaluate_sensor("filling", tick=SensorTick()).runs
    assert run.tags["why"] == "gap"
    assert run.backfill.framework == deciding.framework
    daily, plain = run.backfill.assets
    assert (list(daily.asset.path), daily.has_partitions, daily.partition_count) == (["daily"], True, 3)
    assert [(it.first, it.last) for it in daily.ranges] == [("2024-01-01", "2024-01-02"), ("2024-01-05", "2024-01-05")]
    assert (list(plain.asset.path), plain.has_partitions) == (["plain"], False)
    assert b"2024-01-05" in run.backfill.framework_bytes or b"AssetGraphSubset" in run.backfill.framework_bytes


def test_a_sensor_is_told_when_it_was_evaluated_and_started(deciding: Definitions) -> None:
    tick = SensorTick(
        last_tick_at=datetime.fromtimestamp(1000, UTC), last_started_at=datetime.fromtimestamp(900.5, UTC), cursor="c"
    )
    assert deciding.evaluate_sensor("told", tick=tick).skip_reason == "1000.0 900.5 c"
    assert deciding.evaluate_sensor("told", tick=SensorTick()).skip_reason == "None None None"


def test_lines_and_the_error_of_an_evaluation_are_heard(deciding: Definitions) -> None:
    log = EvaluationLog()
    with pytest.raises(Exception, match=r"chatty|gave up") as raised:
        deciding.evaluate_sensor("chatty", tick=SensorTick(place=here(log)))
    evaluation = log.evaluation(duration_s=1)
    assert [(line.level, line.message) for line in evaluation.log_lines] == [(10, "a detail"), (40, "could not look")]
    assert evaluation.log_lines[1].failure.error_class == "KeyError"
    failure = failure_from_exception(raised.value)
    assert (failure.error_class, failure.cause.error_class) == ("ValueError", "LookupError")


def test_a_schedule_is_heard_too(deciding: Definitions) -> None:
    log = EvaluationLog()
    deciding.evaluate_schedule("in_new_york", scheduled_at=at("2026-07-02T02:00:00+00:00"), place=here(log))
    assert [line.message for line in log.evaluation(duration_s=1).log_lines] == ["it is 22:00"]


def test_lines_without_end_are_counted(deciding: Definitions) -> None:
    log = EvaluationLog()
    deciding.evaluate_sensor("endless_talk", tick=SensorTick(place=here(log)))
    evaluation = log.evaluation(duration_s=1)
    assert (len(evaluation.log_lines), evaluation.lines_left_out) == (1000, 200)
    assert evaluation.log_lines[-1].message == "line 999"


# ----------------------------------------------------------------------------------------------------------- run status


async def _react(
    definitions: Definitions, gate: InstanceGate, sensor: str, *, kind: str = "run_succeeded"
) -> pb.SensorAnswer:
    tick = SensorTick(cursor=_CURSOR, place=here())
    return await ask(gate, World(kind=kind), lambda: definitions.evaluate_sensor(sensor, tick=tick))


async def test_a_run_status_sensor_sees_the_runs_of_its_own_location(deciding: Definitions, gate: InstanceGate) -> None:
    answer = await _react(deciding, gate, "after_any")
    assert [(it.run_id, it.status, it.HasField("failure")) for it in answer.reactions] == [
        ("run-1", "SUCCESS", False),
        ("run-2", "SUCCESS", False),
    ]


async def test_a_run_status_sensor_asks_for_a_run_after_the_monitored_one(
    deciding: Definitions, gate: InstanceGate
) -> None:
    answer = await _react(deciding, gate, "after_watched")
    assert [(run.run_key, run.job_name) for run in answer.runs] == [("run-1", "answering")]


async def test_the_failure_of_a_reaction_is_told_with_its_run(deciding: Definitions, gate: InstanceGate) -> None:
    answer = await _react(deciding, gate, "after_failure_elsewhere", kind="run_failed")
    (reaction,) = answer.reactions
    assert (reaction.run_id, reaction.status) == ("run-3", "FAILURE")
    assert (reaction.failure.error_class, reaction.failure.message) == ("RuntimeError", "no mail for run-3")


async def test_a_sensor_of_all_locations_sees_every_run(deciding: Definitions, gate: InstanceGate) -> None:
    answer = await _react(deciding, gate, "everywhere", kind="run_started")
    assert [it.run_id for it in answer.reactions] == ["run-1", "run-2", "run-3"]


def test_a_long_line_is_shortened() -> None:
    log = EvaluationLog()
    log.take(pb.LogLine(level=20, message="ä" * 100_000))
    (line,) = log.evaluation(duration_s=0).log_lines
    assert line.message.startswith("ää")
    assert line.message.endswith("(100000 characters)")
    assert line.ByteSize() < 17_000
