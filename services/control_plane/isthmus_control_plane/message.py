"""The store's records as the API's messages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import instruction_pb2, telemetry_pb2
from isthmus_broker.topology import instruction_queue
from isthmus_store import wire
from isthmus_store.record.agent import Agent, Standby
from isthmus_store.record.automation import Tick
from isthmus_store.record.event import StoredEvent
from isthmus_store.record.location import Location, LocationGeneration, Placement
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, LocationPhase

from isthmus_control_plane import clock

#: From the phase that most needs a look to the one that needs none.
_WORST_FIRST = (
    LocationPhase.FAILED,
    LocationPhase.REMOVED,
    LocationPhase.PENDING,
    LocationPhase.PULLING,
    LocationPhase.STARTING,
    LocationPhase.IMPORTING,
    LocationPhase.ASLEEP,
    LocationPhase.SERVING,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around a location on an agent: how the agent is, and what waits there for a run."""

    state: AgentState
    standby: Standby | None


def run(it: Run, *, tags: Mapping[str, str] | None = None) -> api.Run:
    """Describe a run as it stands, with the tags that it has now."""
    return api.Run(
        deployment=it.deployment,
        request=run_request(it),
        state=api.RunState.ValueType(wire.RUN_STATES.to_wire(it.state)),
        reason=telemetry_pb2.RunReason.ValueType(wire.RUN_REASONS.to_wire(it.reason)),
        message=it.message,
        agent=it.agent,
        queued_at=clock.stamp(it.queued_at),
        started_at=clock.optional_stamp(it.started_at),
        ended_at=clock.optional_stamp(it.ended_at),
        requested_by=it.requested_by,
        last_position=it.last_position,
        failure=_failure(it.failure),
        violations=wire.violations_to_wire(it.violations),
        tags=tags or {},
        retry_of_run_id=it.retry_of or "",
        retried_by_run_id=it.retried_by or "",
        retry_number=it.retry_number,
    )


def listed_run(it: Run, *, tags: Mapping[str, str] | None = None) -> api.Run:
    """Describe a run in a list: without its config, which may be large, and which a list does not show."""
    message = run(it, tags=tags)
    message.request.run_config_json = ""
    return message


def run_request(it: Run) -> instruction_pb2.RunRequest:
    """Return a run's request for the attempt that counts now."""
    request = instruction_pb2.RunRequest.FromString(it.request)
    request.run.run_id = it.run_id
    request.run.attempt = it.attempt
    return request


def update(event: StoredEvent) -> api.RunUpdate:
    """Describe one event of a run's history, its bytes as they came."""
    return api.RunUpdate(
        position=event.position, attempt=event.attempt, event=telemetry_pb2.Event.FromString(event.body)
    )


def agent(it: Agent, *, placements: Iterable[Placement]) -> api.Agent:
    """Describe an agent and the locations that it holds."""
    return api.Agent(
        deployment=it.deployment,
        name=it.name,
        pool=it.pool,
        state=api.AgentState.ValueType(wire.AGENT_STATES.to_wire(it.state)),
        created_at=clock.stamp(it.created_at),
        last_heard_at=clock.optional_stamp(it.last_heard_at),
        started_at=clock.optional_stamp(it.started_at),
        version=it.version,
        locations=[report(placement) for placement in placements],
        active_runs=[telemetry_pb2.RunRef(run_id=ref.run_id, attempt=ref.attempt) for ref in it.active_runs],
        queue=instruction_queue(it.deployment, it.name),
    )


def location(
    it: Location,
    *,
    placements: Iterable[Placement],
    surroundings: Mapping[str, Surroundings],
    snapshot: bytes | None,
) -> api.Location:
    """Describe a location, where it is held, how it is there, by agent, and what it defines when that is given."""
    held = list(placements)
    message = api.Location(
        deployment=it.deployment,
        settings=api.LocationSettings.FromString(it.settings),
        generation=it.generation,
        applied_at=clock.stamp(it.applied_at),
        placements=[_placement(placement, surroundings.get(placement.agent)) for placement in held],
        phase=_phase_number(phase(it.generation, placements=_present(held, surroundings))),
        is_removed=it.removed_at is not None,
    )
    if snapshot is not None:
        message.snapshot.MergeFromString(snapshot)
    return message


def generation(it: LocationGeneration) -> api.LocationGeneration:
    """Describe what a location was to be."""
    version = api.CodeVersion.FromString(it.code_version) if it.code_version is not None else None
    return api.LocationGeneration(
        generation=it.generation,
        settings=api.LocationSettings.FromString(it.settings),
        applied_at=clock.stamp(it.applied_at),
        applied_by=it.applied_by,
        code_version=version,
    )


def _placement(it: Placement, around: Surroundings | None) -> api.LocationPlacement:
    message = api.LocationPlacement(agent=it.agent, report=report(it), reported_at=clock.optional_stamp(it.reported_at))
    if around is not None:
        message.agent_state = api.AgentState.ValueType(wire.AGENT_STATES.to_wire(around.state))
    if around is not None and around.standby is not None:
        message.standby.CopyFrom(_standby(around.standby))
    return message


def _present(placements: Iterable[Placement], surroundings: Mapping[str, Surroundings]) -> list[Placement]:
    """Return those on agents that are online: they serve without the others; all of them where none is."""
    held = list(placements)
    online = {name for name, it in surroundings.items() if it.state is AgentState.ONLINE}
    return [it for it in held if it.agent in online] or held


def phase(generation: int, *, placements: Iterable[Placement]) -> LocationPhase:
    """Return the worst phase of the wanted generation; what was not reported on yet is pending."""
    phases = [it.phase if it.generation >= generation else LocationPhase.PENDING for it in placements]
    return min(phases, key=_WORST_FIRST.index, default=LocationPhase.PENDING)


def report(it: Placement) -> telemetry_pb2.LocationReport:
    """Describe how a location fares on an agent."""
    return telemetry_pb2.LocationReport(
        location=it.location,
        generation=it.generation,
        phase=_phase_number(it.phase),
        serving_generation=it.serving_generation,
        failure=_failure(it.failure),
        snapshot_hash=it.snapshot_hash,
        framework=it.framework,
        python_version=it.python_version,
        progress=it.progress,
    )


def _standby(it: Standby) -> api.Standby:
    return api.Standby(ready=it.ready, wanted=it.wanted, memory_bytes=it.memory_bytes)


def _phase_number(it: LocationPhase) -> telemetry_pb2.LocationPhase.ValueType:
    return telemetry_pb2.LocationPhase.ValueType(wire.LOCATION_PHASES.to_wire(it))


def _failure(body: bytes) -> telemetry_pb2.Failure | None:
    return telemetry_pb2.Failure.FromString(body) if body else None


def tick(it: Tick) -> api.Tick:
    """Describe a tick."""
    return api.Tick(
        id=it.id,
        at=clock.stamp(it.at),
        status=api.TickStatus.ValueType(wire.TICK_STATUSES.to_wire(it.status)),
        attempts=it.attempts,
        began_at=clock.stamp(it.began_at),
        ended_at=clock.optional_stamp(it.ended_at),
        run_ids=it.run_ids,
        skip_reason=it.skip_reason,
        failure=_failure(it.failure),
        evaluation=evaluation(it.evaluation),
        cursor=it.cursor,
    )


def evaluation(body: bytes) -> telemetry_pb2.Evaluation | None:
    """Return how an evaluation went, with what was logged; None when nobody told."""
    return telemetry_pb2.Evaluation.FromString(body) if body else None


def failure(body: bytes) -> telemetry_pb2.Failure | None:
    """Return what went wrong; None when nothing did."""
    return _failure(body)
