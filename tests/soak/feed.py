"""What agents and code servers of the year say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from isthmus.v1 import telemetry_pb2 as pb
from isthmus_broker.topology import TelemetryKind

from soak.plan import Plan

DEPLOYMENT = "default"
JOB = "nightly"
CHECK = "is_whole"
#: Every so many runs one fails.
_FAILING = 25


def location_name(number: int) -> str:
    return f"team_{number:02}"


def agent_name(number: int) -> str:
    return f"lab_{number}"


def asset_path(location: str, number: int) -> list[str]:
    return [location, f"asset_{number:02}"]


@dataclass(frozen=True)
class Batch:
    """A batch as the broker hands it out."""

    batch: pb.TelemetryBatch
    routing_key: str
    sender: str

    async def reject(self) -> None:
        raise AssertionError(self.batch)


@dataclass(frozen=True)
class Group:
    """Batches that are stored together."""

    items: Sequence[Batch]

    async def ack(self) -> None:
        """Nothing waits for it."""


def batch(agent: str, kind: TelemetryKind, events: Iterable[pb.Event], *, sender: str, location: str = "") -> Batch:
    source = pb.Source(deployment=DEPLOYMENT, agent=agent, location=location, generation=1, incarnation="year")
    said = pb.TelemetryBatch(source=source, events=events)
    return Batch(said, f"{DEPLOYMENT}.{agent}.{kind.value}", sender)


def heartbeat() -> pb.Event:
    event = pb.Event()
    event.agent_heartbeat.version = "1"
    return event


def result(instruction_id: str) -> pb.Event:
    event = pb.Event()
    event.instruction_result.instruction_id = instruction_id
    event.instruction_result.outcome = pb.InstructionResult.OUTCOME_SUCCEEDED
    event.instruction_result.launch.server = "year"
    return event


def snapshot(plan: Plan, location: str, *, version: str) -> pb.LocationSnapshot:
    assets = [
        pb.AssetSnapshot(
            key=pb.AssetKey(path=asset_path(location, number)), is_executable=True, description=f"As of {version}. " * 9
        )
        for number in range(plan.assets_of_location)
    ]
    return pb.LocationSnapshot(jobs=[pb.JobSnapshot(name=JOB)], assets=assets)


def serving(plan: Plan, location: str, *, generation: int, version: str) -> pb.Event:
    event = pb.Event()
    report = event.location_report
    report.location, report.generation, report.serving_generation = location, generation, generation
    report.phase = pb.LOCATION_PHASE_SERVING
    report.snapshot.CopyFrom(snapshot(plan, location, version=version))
    report.framework, report.python_version = "dagster 1.13", "3.11"
    return event


def life(plan: Plan, run_id: str, *, number: int, at: datetime) -> list[pb.Event]:
    """Return what the run of this number says: two steps that each make an asset, and sometimes check it."""
    location = location_name(number % plan.locations)
    turn = number // plan.locations
    told = [pb.Event(run_started=pb.RunStarted(pid=7))]
    for step in range(2):
        told += _step(plan, location, key=f"step_{step}", turn=2 * turn + step)
    if number % _FAILING:
        told.append(pb.Event(run_succeeded=pb.RunSucceeded()))
    else:
        told.append(pb.Event(message="Boom", run_failed=pb.RunFailed(reason=pb.RUN_REASON_USER_ERROR)))
    for seq, event in enumerate(told, start=1):
        event.run.run_id, event.run.attempt, event.seq = run_id, 1, seq
        event.occurred_at.FromDatetime(at)
    return told


def _step(plan: Plan, location: str, *, key: str, turn: int) -> list[pb.Event]:
    asset = turn % plan.assets_of_location
    path = pb.AssetKey(path=asset_path(location, asset))
    has_partitions = asset < plan.partitioned
    partition = f"p{turn // plan.assets_of_location % plan.partitions:02}" if has_partitions else ""
    made = pb.Event(step_key=key, message=f"Materialized {asset}")
    made.asset_materialized.asset.CopyFrom(path)
    made.asset_materialized.partition = partition
    made.asset_materialized.description = "Rows as they came from the warehouse. " * 4
    told = [pb.Event(step_key=key, step_started=pb.StepStarted()), _log(key), made]
    if asset % 5 == 0:
        for event in (pb.Event(step_key=key), pb.Event(step_key=key)):
            is_plan = len(told) == 3
            body = event.asset_check_planned if is_plan else event.asset_check_evaluated
            body.asset.CopyFrom(path)
            body.check_name = CHECK
            if not is_plan:
                event.asset_check_evaluated.is_passed = True
            told.append(event)
    return [*told, pb.Event(step_key=key, step_succeeded=pb.StepSucceeded())]


def _log(key: str) -> pb.Event:
    event = pb.Event(step_key=key, message="Loaded 4711 rows from the warehouse in 0.42 s")
    event.log_message.level = 20
    return event
