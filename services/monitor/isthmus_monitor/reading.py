"""Reads telemetry: the edge where messages end and facts begin. Pure."""

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from isthmus.v1.telemetry_pb2 import Event, Failure, LocationReport, TelemetryBatch
from isthmus_broker.bounds import MAX_COUNT, tamers_of
from isthmus_store import wire
from isthmus_store.events import new_event
from isthmus_store.record.agent import Standby
from isthmus_store.record.location import PlacementReport
from isthmus_store.record.run import AttemptRef
from isthmus_store.signal import AttemptSignal, Canceled, Failed, Started, Succeeded
from isthmus_store.snapshot_pieces import is_small_enough
from isthmus_store.state import InstructionOutcome, LocationPhase, RunReason

from isthmus_monitor.headline import headline
from isthmus_monitor.news import (
    Bulletin,
    Heartbeat,
    News,
    Reported,
    RunEvent,
    Settled,
    Stopped,
    Told,
    Unusable,
    Vouched,
)

#: The longest line for people that is kept beside a run, characters; the failure itself is kept whole.
MAX_LINE: Final = 500
#: The most attempts that one heartbeat vouches for, and the most locations that it tells of; what is beyond is not heard.
MAX_ATTEMPTS: Final = 20_000
MAX_LOCATIONS: Final = 5_000
MAX_BRANCHES: Final = 5_000
#: No agent is believed to let an import take longer, seconds.
MAX_LOAD_TIMEOUT_S: Final = 86_400.0
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
#: So many tags of a run's start are kept, of keys and values as long as those of a launch.
MAX_TAGS: Final = 500
MAX_TAG_KEY: Final = 1024
MAX_TAG_VALUE: Final = 8192
#: The most faults of a request that are kept.
MAX_VIOLATIONS: Final = 1_000


def read(batch: TelemetryBatch, *, routing_key: str, sender: str | None, now: datetime) -> Bulletin:
    """Return what a batch says, heard `now`."""
    source = batch.source
    return Bulletin(
        agent=(source.deployment, source.agent),
        sender=sender,
        routing_key=routing_key,
        is_agent_itself=not source.location,
        incarnation=_line(source.incarnation),
        news=tuple([_news(event, now) for event in batch.events]),
    )


def summary(failure: Failure) -> str:
    """Return the failure as one line."""
    text = ": ".join(part for part in (failure.error_class, headline(failure.message)) if part)
    return _line(text)


def _news(event: Event, now: datetime) -> News:
    kind = event.WhichOneof("body")
    tamer = _TAMERS.get(kind) if kind is not None else None
    if tamer is not None:
        tamer(event)
    special = _SPECIAL.get(kind) if kind is not None else None
    if special is not None:
        return special(event, now)
    run = event.run
    if not run.run_id:
        return Unusable("no_run")
    if not 0 < event.seq <= MAX_COUNT:
        # Without a place of its own a redelivered event could not be told from a new one.
        return Unusable("no_seq")
    signal_of = _SIGNALS.get(kind) if kind is not None else None
    signal = None if signal_of is None else signal_of(event)
    # Hardly one of very many events is a start: the others are not looked into.
    tags = _tags(event) if kind == "run_started" else ()
    return RunEvent(AttemptRef(_line(run.run_id), run.attempt), new_event(event), signal, tags)


def _tags(event: Event) -> tuple[tuple[str, str], ...]:
    """Return the tags that a run's start tells; one that nobody could have launched it with is left out."""
    told = sorted(event.run_started.tags.items())
    return tuple(
        (wire.storable(key), wire.storable(value))
        for key, value in told[:MAX_TAGS]
        if len(key) <= MAX_TAG_KEY and len(value) <= MAX_TAG_VALUE
    )


# ------------------------------------------------------------------------------------------------------- runs' last words


def _started(event: Event) -> AttemptSignal:
    return Started(attempt=event.run.attempt)


def _succeeded(event: Event) -> AttemptSignal:
    return Succeeded(attempt=event.run.attempt)


def _failed(event: Event) -> AttemptSignal:
    body = event.run_failed
    return Failed(
        attempt=event.run.attempt,
        reason=_reason(body.reason),
        message=_why(event),
        failure=_failure(body.failure) if body.HasField("failure") else b"",
    )


def _why(event: Event) -> str:
    """Tell in one line why a run failed: the step and its error say more than that steps failed."""
    body = event.run_failed
    told = summary(body.failure)
    if body.step_key and told:
        return _line(f"step {body.step_key}: {told}")
    return _line(event.message) or told


def _canceled(event: Event) -> AttemptSignal:
    reason = _reason(event.run_canceled.reason, otherwise=RunReason.CANCELED_BY_REQUEST)
    return Canceled(attempt=event.run.attempt, reason=reason, message=_line(event.message))


# ------------------------------------------------------------------------------------------- agents, locations, results


def _heartbeat(event: Event, _now: datetime) -> News:
    body = event.agent_heartbeat
    return Heartbeat(
        started_at=wire.moment(body.started_at),
        version=_line(body.version),
        is_draining=body.is_draining,
        desired_revision=body.desired_revision,
        active_runs=wire.attempts_from_wire(body.active_runs[:MAX_ATTEMPTS]),
        standbys=tuple(
            Standby(
                location=_line(it.location),
                ready=it.standby_ready,
                wanted=it.standby_wanted,
                memory_bytes=it.standby_memory_bytes,
            )
            for it in body.locations[:MAX_LOCATIONS]
            if it.standby_ready or it.standby_wanted
        ),
        folder_id=_line(body.folder_id),
        load_timeout_s=min(body.load_timeout_s, MAX_LOAD_TIMEOUT_S),
        branches=tuple(_line(it) for it in body.branches[:MAX_BRANCHES]),
    )


def _stopped(_event: Event, _now: datetime) -> News:
    return Stopped()


def _vouched(event: Event, _now: datetime) -> News:
    return Vouched(wire.attempts_from_wire(event.run_heartbeat.active_runs[:MAX_ATTEMPTS]))


def _reported(event: Event, now: datetime) -> News:
    body = event.location_report
    snapshot = body.snapshot.SerializeToString(deterministic=True) if body.HasField("snapshot") else b""
    return Reported(
        location=_line(body.location),
        report=PlacementReport(
            generation=body.generation,
            phase=wire.LOCATION_PHASES.from_wire(body.phase, otherwise=LocationPhase.PENDING),
            serving_generation=body.serving_generation,
            failure=_failure(body.failure) if body.HasField("failure") else b"",
            snapshot_hash=_snapshot_hash(body, snapshot),
            framework=_line(body.framework),
            python_version=_line(body.python_version),
            reported_at=now,
            progress=_line(body.progress),
        ),
        snapshot=snapshot,
    )


def _told(event: Event, _now: datetime) -> News:
    body = event.snapshot_piece
    is_whole = _SHA256.fullmatch(body.snapshot_hash) is not None
    if not is_whole or body.index >= body.count or not is_small_enough(len(body.data), count=body.count):
        return Unusable("bad_snapshot_piece")
    return Told(body.snapshot_hash, body.index, body.count, body.data)


def _snapshot_hash(report: LocationReport, snapshot: bytes) -> str:
    """Return what the snapshot is stored under: never a hash that only the agent vouches for."""
    if snapshot:
        return hashlib.sha256(snapshot).hexdigest()
    return wire.storable(report.snapshot_hash[:64])


def _settled(event: Event, _now: datetime) -> News:
    body = event.instruction_result
    return Settled(
        instruction_id=_line(body.instruction_id),
        outcome=wire.OUTCOMES.from_wire(body.outcome, otherwise=InstructionOutcome.FAILED),
        reason=_reason(body.reason),
        message=_line(event.message) or summary(body.failure),
        failure=_failure(body.failure) if body.HasField("failure") else b"",
        violations=wire.violations_from_wire(body.violations[:MAX_VIOLATIONS]),
        server=_line(body.launch.server),
        was_not_running=body.terminate.was_not_running,
    )


def _line(text: str) -> str:
    return wire.storable(text[:MAX_LINE])


def _failure(failure: Failure) -> bytes:
    return failure.SerializeToString()


def _reason(number: int, *, otherwise: RunReason = RunReason.INTERNAL_ERROR) -> RunReason:
    reason = wire.RUN_REASONS.from_wire(number, otherwise=otherwise)
    return otherwise if reason is RunReason.UNSPECIFIED else reason


#: What tames an event by its kind; most kinds need none.
_TAMERS: Final = tamers_of(Event.DESCRIPTOR, oneof="body")
_SIGNALS: Final[dict[str, Callable[[Event], AttemptSignal]]] = {
    "run_started": _started,
    "run_succeeded": _succeeded,
    "run_failed": _failed,
    "run_canceled": _canceled,
}
_SPECIAL: Final[dict[str, Callable[[Event, datetime], News]]] = {
    "agent_heartbeat": _heartbeat,
    "agent_stopped": _stopped,
    "run_heartbeat": _vouched,
    "location_report": _reported,
    "snapshot_piece": _told,
    "instruction_result": _settled,
}
