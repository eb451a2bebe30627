"""The queue and what explains runs, as the contract has it."""

from isthmus.v1 import control_plane_pb2 as api
from isthmus_store import wire
from isthmus_store.record.queue import Pause, QueueSettings

from isthmus_control_plane import clock
from isthmus_control_plane.desk.explanation import Explanation, Station
from isthmus_control_plane.desk.queue import QueueView
from isthmus_control_plane.desk.reason import Holder, Reason
from isthmus_control_plane.dispatching.block import Cause
from isthmus_control_plane.dispatching.rules import Slot

_KINDS = {
    Cause.PAUSE: api.WaitReason.KIND_PAUSE,
    Cause.LOCATION: api.WaitReason.KIND_LOCATION,
    Cause.LIMIT: api.WaitReason.KIND_LIMIT,
    Cause.POOL: api.WaitReason.KIND_POOL,
    Cause.ORDER: api.WaitReason.KIND_ORDER,
    Cause.BACKOFF: api.WaitReason.KIND_BACKOFF,
    Cause.STANDSTILL: api.WaitReason.KIND_STANDSTILL,
}


def settings(it: QueueSettings) -> api.QueueSettingsRevision:
    """Describe a deployment's limits, and who set them."""
    return api.QueueSettingsRevision(
        deployment=it.deployment,
        settings=api.QueueSettings.FromString(it.body),
        revision=it.revision,
        changed_by=it.changed_by,
        changed_at=clock.stamp(it.changed_at),
    )


def paused(it: Pause) -> api.PausedThing:
    """Describe what is paused."""
    return api.PausedThing(
        kind=api.PauseKind.Value(f"PAUSE_KIND_{it.kind.value}"),
        name=it.name,
        paused_by=it.paused_by,
        why=it.why,
        paused_at=clock.stamp(it.paused_at),
    )


def queue(it: QueueView) -> api.Queue:
    """Describe a deployment's queue."""
    return api.Queue(
        deployment=it.deployment,
        depth=sum(reason.runs for reason in it.reasons),
        oldest_queued_at=clock.optional_stamp(min((reason.oldest for reason in it.reasons), default=None)),
        left_last_minute=it.left_last_minute,
        under_way=it.under_way,
        reasons=[
            api.QueueReason(text=reason.text, runs=reason.runs, oldest_queued_at=clock.stamp(reason.oldest))
            for reason in it.reasons
        ],
        slots=[_slot(use.slot, taken=use.taken, most=use.most, waiting=use.waiting) for use in it.slots],
        pauses=[paused(pause) for pause in it.pauses],
        settings=settings(it.settings) if it.settings is not None else None,
    )


def explanation(it: Explanation, *, run: api.Run) -> api.RunExplanation:
    """Describe why a run waits, and its way."""
    return api.RunExplanation(
        run=run,
        reasons=[_reason(reason) for reason in it.reasons],
        ahead=it.ahead,
        stations=[_station(station) for station in it.stations],
    )


def _reason(it: Reason) -> api.WaitReason:
    block = it.block
    return api.WaitReason(
        kind=_KINDS[block.cause],
        text=block.text,
        remedy=block.remedy,
        slot=_slot(block.slot, taken=block.taken, most=block.most) if block.slot is not None else None,
        holders=[_holder(holder) for holder in it.holders],
        step_key=it.step_key,
    )


def _slot(slot: Slot, *, taken: int, most: int, waiting: int = 0) -> api.SlotUse:
    return api.SlotUse(kind=slot.kind, name=slot.name, taken=taken, limit=most, waiting=waiting)


def _holder(it: Holder) -> api.SlotHolder:
    run = it.run
    return api.SlotHolder(
        run_id=run.run_id,
        location=run.location,
        job_name=run.job_name,
        state=api.RunState.ValueType(wire.RUN_STATES.to_wire(run.state)),
        since=clock.optional_stamp(it.since),
        step_key=it.step_key,
    )


def _station(it: Station) -> api.Station:
    return api.Station(name=it.name, began_at=clock.stamp(it.began_at), ended_at=clock.optional_stamp(it.ended_at))
