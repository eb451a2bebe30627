"""What a tick comes to: an answer of user code, turned into what is to be written. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Final
from uuid import uuid4

from isthmus.v1.instruction_pb2 import AssetCheckRef, RunRequest
from isthmus.v1.telemetry_pb2 import (
    AssetKey,
    AssetSubset,
    DynamicPartitionsChange,
    Event,
    Failure,
    InstructionResult,
    RequestedRun,
    RunReaction,
    RunRef,
    RunTagsChange,
    SensorAnswer,
    WantedChanges,
)
from isthmus_lifecycle.number import clamped
from isthmus_store.backfills import new_id
from isthmus_store.record.automation import Tick
from isthmus_store.run_keys import Sensor
from isthmus_store.state import TickStatus
from isthmus_store.wire import storable

from isthmus_control_plane.automation import decisions
from isthmus_control_plane.automation.decisions import Decided
from isthmus_control_plane.dispatching.acceptance import Launch
from isthmus_control_plane.key import LocationKey
from isthmus_control_plane.validation.definition import Target

RUN_KEY_TAG: Final = "dagster/run_key"
_SENSOR_TAG: Final = "dagster/sensor_name"
_SCHEDULE_TAG: Final = "dagster/schedule_name"
_TIME_TAG: Final = ".dagster/scheduled_execution_time"
_TICK_TAG: Final = "dagster/tick"
#: The longest time that an evaluation is believed to have taken, seconds.
_MOST_S: Final = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedBackfill:
    """A backfill that user code, or a condition, asks for."""

    deployment: str
    backfill_id: str
    #: What is to be made, of which partitions.
    assets: tuple[AssetSubset, ...]
    tags: Mapping[str, str]
    #: Who asks, for people, as in "sensor nightly".
    requested_by: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """What is to be written of a tick that was evaluated, all or nothing."""

    status: TickStatus
    launches: tuple[Launch, ...] = ()
    backfills: tuple[WantedBackfill, ...] = ()
    #: In the order in which user code wanted them.
    partitions: tuple[DynamicPartitionsChange, ...] = ()
    #: What happened to assets outside of runs.
    asset_events: tuple[Event, ...] = ()
    run_tags: tuple[RunTagsChange, ...] = ()
    #: What is written into the histories of runs, by their ids.
    notes: tuple[tuple[str, str], ...] = ()
    #: Whose run keys are good for one run each, whatever the tick; None where they are a tick's own.
    keys_of: Sensor | None = None
    skip_reason: str = ""
    #: A Failure and an Evaluation message; empty for none.
    failure: bytes = b""
    evaluation: bytes = b""
    #: None leaves the cursor where it is.
    cursor: str | None = None
    last_run_key: str = ""
    #: Whether the cursor is the framework's own, and so large that each tick is not to keep it, too.
    is_cursor_opaque: bool = False
    #: How long the evaluation took, seconds.
    took_s: float = 0.0
    #: What conditions came to.
    decided: Decided = field(default_factory=Decided)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Who asks for runs."""

    location: LocationKey
    #: Who it is, for people, as in "schedule nightly".
    requested_by: str
    #: What each of the runs is tagged with.
    tags: Mapping[str, str]
    #: What runs that name no job execute; None when each has to name one.
    target: Target | None
    #: Whether conditions are evaluated, by the framework itself.
    is_automation: bool = False


def of_schedule(location: LocationKey, *, name: str, target: Target, tick: Tick) -> Origin:
    """Describe the origin of the runs of a schedule's tick, with the tags that Dagster gives them."""
    tags = {
        _SCHEDULE_TAG: name,
        _TIME_TAG: tick.at.astimezone(UTC).isoformat(),
        _TICK_TAG: str(tick.id),
    }
    return Origin(location=location, requested_by=f"schedule {name}", tags=tags, target=target)


def of_sensor(location: LocationKey, *, name: str, target: Target | None, tick: Tick, is_automation: bool) -> Origin:
    """Describe the origin of the runs of a sensor's tick, with the tags that Dagster gives them."""
    tags = {_SENSOR_TAG: name, _TICK_TAG: str(tick.id)}
    return Origin(
        location=location, requested_by=f"sensor {name}", tags=tags, target=target, is_automation=is_automation
    )


def of_sensor_result(result: InstructionResult, *, origin: Origin) -> Effects:
    """Turn the result of a sensor's evaluation into what it comes to.

    The cursor stays where it is when the evaluation failed. When only a reaction to a run failed, it moves, so that the
    sensor is not shown the run again.
    """
    evaluation = result.evaluation.SerializeToString() if result.HasField("evaluation") else b""
    if result.outcome != InstructionResult.OUTCOME_SUCCEEDED:
        return replace(failed(result.failure), evaluation=evaluation)
    answer, name = result.sensor, origin.tags[_SENSOR_TAG]
    broken = next((it.failure for it in answer.reactions if it.HasField("failure")), None)
    keys = [run.run_key for run in answer.runs if run.run_key]
    return Effects(
        status=_status(answer, is_broken=broken is not None),
        launches=tuple(launch_of(run, origin=origin) for run in _runs(answer.runs)),
        backfills=_backfills(answer.runs, origin=origin),
        partitions=tuple(answer.changes.partitions),
        asset_events=tuple(answer.changes.asset_events),
        run_tags=tuple(answer.changes.run_tags),
        notes=tuple((it.run_id, _note(it, name=name)) for it in answer.reactions if not it.HasField("failure")),
        keys_of=Sensor(origin.location.deployment, origin.location.name, name),
        skip_reason=storable(answer.skip_reason),
        failure=broken.SerializeToString() if broken is not None else b"",
        evaluation=evaluation,
        cursor=storable(answer.cursor),
        last_run_key=storable(keys[-1]) if keys else "",
        is_cursor_opaque=origin.is_automation,
        decided=decisions.read(answer.decisions_zlib),
        took_s=clamped(result.evaluation.duration_s, least=0, most=_MOST_S),
    )


def _status(answer: SensorAnswer, *, is_broken: bool) -> TickStatus:
    if is_broken:
        return TickStatus.FAILED
    return TickStatus.SUCCESS if answer.runs or answer.reactions else TickStatus.SKIPPED


def _note(reaction: RunReaction, *, name: str) -> str:
    return f'Sensor "{name}" acted on run status {reaction.status} of run {reaction.run_id}.'


def of_schedule_result(result: InstructionResult, *, origin: Origin) -> Effects:
    """Turn the result of a schedule's evaluation into what it comes to."""
    evaluation = result.evaluation.SerializeToString() if result.HasField("evaluation") else b""
    if result.outcome != InstructionResult.OUTCOME_SUCCEEDED:
        return replace(failed(result.failure), evaluation=evaluation)
    answer = result.schedule
    fault = fault_of(answer.runs) or fault_of_changes(answer.changes)
    if fault:
        return replace(failed(Failure(message=fault)), evaluation=evaluation)
    return Effects(
        status=TickStatus.SUCCESS if answer.runs else TickStatus.SKIPPED,
        launches=tuple(launch_of(run, origin=origin) for run in _once_each(_runs(answer.runs))),
        backfills=_backfills(answer.runs, origin=origin),
        partitions=tuple(answer.changes.partitions),
        skip_reason=storable(answer.skip_reason),
        evaluation=evaluation,
    )


def _once_each(requested: Sequence[RequestedRun]) -> list[RequestedRun]:
    """Leave out runs whose key another run of the same tick has already."""
    first: dict[str, int] = {}
    for index, run in enumerate(requested):
        first.setdefault(run.run_key, index)
    return [run for index, run in enumerate(requested) if not run.run_key or first[run.run_key] == index]


def failed(failure: Failure) -> Effects:
    """Return what a tick comes to that failed."""
    return Effects(status=TickStatus.FAILED, failure=failure.SerializeToString())


def skipped(reason: str) -> Effects:
    """Return what a tick comes to that was not evaluated, or wants nothing."""
    return Effects(status=TickStatus.SKIPPED, skip_reason=storable(reason))


def fault_of(requested: Sequence[RequestedRun]) -> str:
    """Say why the runs cannot be made, if they cannot."""
    runs = _runs(requested)
    if len(runs) > 1 and not all(run.run_key for run in runs):
        return "several runs were asked for at once, and not each has a run key of its own"
    return ""


def _runs(requested: Sequence[RequestedRun]) -> list[RequestedRun]:
    return [run for run in requested if not run.HasField("backfill")]


def _backfills(requested: Sequence[RequestedRun], *, origin: Origin) -> tuple[WantedBackfill, ...]:
    return tuple(
        WantedBackfill(
            deployment=origin.location.deployment,
            backfill_id=new_id(),
            assets=tuple(run.backfill.assets),
            tags={**run.tags, **origin.tags},
            requested_by=origin.requested_by,
        )
        for run in requested
        if run.HasField("backfill")
    )


def fault_of_changes(changes: WantedChanges) -> str:
    """Say what of the wanted changes cannot be made for a schedule."""
    return "events of assets without a run were asked for, which a schedule cannot" if changes.asset_events else ""


def launch_of(run: RequestedRun, *, origin: Origin) -> Launch:
    """Return the launch that a requested run is: what it leaves open its target decides."""
    target = origin.target or Target("")
    job_name = run.job_name or target.job_name
    request = RunRequest(
        run=RunRef(run_id=str(uuid4()), attempt=1),
        location=origin.location.name,
        job_name=job_name,
        run_config_json=run.run_config_json,
        asset_selection=run.asset_selection,
        check_selection=[AssetCheckRef(asset=it.asset, check_name=it.check_name) for it in run.check_selection],
        has_check_selection=run.has_check_selection,
        partition_key=run.partition_key,
        tags={**run.tags, **origin.tags, **({RUN_KEY_TAG: run.run_key} if run.run_key else {})},
    )
    if job_name == target.job_name:
        request.op_selection.extend(target.op_selection)
        if not run.asset_selection:
            request.asset_selection.extend(AssetKey(path=path) for path in target.assets)
    return Launch(
        deployment=origin.location.deployment,
        request=request,
        requested_by=origin.requested_by,
        is_id_given=False,
    )
