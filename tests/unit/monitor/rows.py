"""Rows and batches by hand, and the plan that comes of them."""

from collections.abc import Iterable
from datetime import UTC, datetime

from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, RunRef, Source, TelemetryBatch
from isthmus_monitor.news import AgentKey, Bulletin
from isthmus_monitor.plan import Known, Plan
from isthmus_monitor.planner import Planner
from isthmus_monitor.reading import read
from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction
from isthmus_store.record.location import Placement
from isthmus_store.record.run import Attempt, AttemptRef, Run
from isthmus_store.state import AgentState, LocationPhase, RunReason, RunState

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LAB: AgentKey = ("prod", "lab")


def agent(**changes: object) -> Agent:
    values: dict[str, object] = {
        "deployment": "prod",
        "name": "lab",
        "pool": "default",
        "state": AgentState.ONLINE,
        "broker_user": "agent-lab",
        "created_at": NOW,
        "last_heard_at": None,
        "started_at": None,
        "incarnation": "life-1",
        "version": "0.1.0",
        "desired_revision": 1,
        "active_runs": (),
        "sync_revision": 1,
        "synced_incarnation": "",
    }
    return Agent(**{**values, **changes})  # type: ignore[arg-type]


def run(run_id: str = "r1", **changes: object) -> Run:
    values: dict[str, object] = {
        "run_id": run_id,
        "deployment": "prod",
        "location": "etl",
        "job_name": "nightly",
        "request": b"",
        "state": RunState.DISPATCHED,
        "attempt": 1,
        "reason": RunReason.UNSPECIFIED,
        "message": "",
        "agent": "lab",
        "requested_by": "",
        "queued_at": NOW,
        "dispatched_at": NOW,
        "accepted_at": None,
        "started_at": None,
        "ended_at": None,
        "last_position": 2,
        "failure": b"",
        "violations": (),
    }
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def attempt(run_id: str = "r1", number: int = 1, *, agent_name: str = "lab", last_seq: int = 0) -> Attempt:
    return Attempt(run_id=run_id, attempt=number, agent=agent_name, last_seq=last_seq)


def placement(**changes: object) -> Placement:
    values: dict[str, object] = {
        "deployment": "prod",
        "location": "etl",
        "agent": "lab",
        "placed_at": NOW,
        "generation": 0,
        "phase": LocationPhase.PENDING,
        "serving_generation": 0,
        "failure": b"",
        "snapshot_hash": "",
        "framework": "",
        "python_version": "",
        "reported_at": None,
    }
    return Placement(**{**values, **changes})  # type: ignore[arg-type]


def instruction(kind: str = "launch_run", **changes: object) -> OutboxInstruction:
    values: dict[str, object] = {
        "position": 1,
        "id": "i1",
        "deployment": "prod",
        "agent": "lab",
        "is_control": False,
        "kind": kind,
        "run_id": "r1",
        "attempt": 1,
        "body": b"",
        "created_at": NOW,
        "not_after": NOW,
        "sent_at": NOW,
        "settled_at": None,
        "outcome": None,
    }
    return OutboxInstruction(**{**values, **changes})  # type: ignore[arg-type]


def known(
    *,
    agents: Iterable[Agent] = (agent(),),
    runs: Iterable[Run] = (run(),),
    attempts: Iterable[Attempt] = (attempt(),),
    instructions: Iterable[OutboxInstruction] = (),
    placements: Iterable[Placement] = (),
) -> Known:
    return Known(
        agents={(it.deployment, it.name): it for it in agents},
        instructions={it.id: it for it in instructions},
        runs={it.run_id: it for it in runs},
        attempts={AttemptRef(it.run_id, it.attempt): it for it in attempts},
        placements={(it.deployment, it.location, it.agent): it for it in placements},
    )


def bulletin(*events: Event, sender: str | None = "agent-lab", key: str = "prod.lab.run", **source: str) -> Bulletin:
    origin = Source(**{"deployment": "prod", "agent": "lab", "incarnation": "life-1", **source})  # type: ignore[arg-type]
    return read(TelemetryBatch(source=origin, events=events), routing_key=key, sender=sender, now=NOW)


def planned(rows: Known, *bulletins: Bulletin) -> Plan:
    planner = Planner(rows, own_account="isthmus", now=NOW)
    for one in bulletins:
        planner.take(one)
    return planner.plan()


def said(seq: int, *, run_id: str = "r1", number: int = 1, **body: object) -> Event:
    content = body or {"log_message": wire.LogMessage()}
    return Event(run=RunRef(run_id=run_id, attempt=number), seq=seq, **content)  # type: ignore[arg-type]


def seqs(plan: Plan) -> list[int]:
    return [placed.event.seq for placed in plan.events]
