"""What people are told without asking, and under which id, so that each thing is told once. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from isthmus.v1.telemetry_pb2 import Failure
from isthmus_store.record.agent import Agent
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.location import Placement
from isthmus_store.record.run import Run

from isthmus_monitor.reading import summary

RUN_FAILED: Final = "run.failed"
RUN_RECOVERED: Final = "run.recovered"
AGENT_LOST: Final = "agent.lost"
LOCATION_FAILED: Final = "location.failed"
KINDS: Final = frozenset({RUN_FAILED, RUN_RECOVERED, AGENT_LOST, LOCATION_FAILED})


def run_failed(run: Run, *, at: datetime) -> NewAlert:
    """Tell that a run failed."""
    said = {"reason": str(run.reason), "message": run.message, "will_retry": run.retried_by is not None}
    if run.retried_by is not None:
        said["retried_by"] = run.retried_by
    return _about_run(RUN_FAILED, run, said, at=at)


def run_recovered(run: Run, *, at: datetime) -> NewAlert:
    """Tell that a run which had been given up as lost succeeded after all."""
    return _about_run(RUN_RECOVERED, run, {}, at=at)


def _about_run(kind: str, run: Run, more: Mapping[str, object], *, at: datetime) -> NewAlert:
    data = {
        "deployment": run.deployment,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "location": run.location,
        "job_name": run.job_name,
        "agent": run.agent,
        **more,
    }
    occasion = f"{run.run_id}/{run.attempt}"
    return _alert(_About(kind, run.deployment, run.run_id, occasion), data=data, at=at)


def agent_lost(agent: Agent, *, at: datetime) -> NewAlert:
    """Tell that an agent fell silent."""
    last_heard = agent.last_heard_at.isoformat() if agent.last_heard_at else ""
    data = {
        "deployment": agent.deployment,
        "agent": agent.name,
        "pool": agent.pool,
        "last_heard_at": last_heard,
        "active_runs": [ref.run_id for ref in agent.active_runs],
    }
    occasion = f"{agent.deployment}/{agent.name}/{agent.incarnation}/{last_heard}"
    return _alert(_About(AGENT_LOST, agent.deployment, agent.name, occasion), data=data, at=at)


def location_failed(placement: Placement, *, at: datetime) -> NewAlert:
    """Tell that a generation of a location does not load on an agent."""
    data = {
        "deployment": placement.deployment,
        "location": placement.location,
        "agent": placement.agent,
        "generation": placement.generation,
        "serving_generation": placement.serving_generation,
        "message": summary(Failure.FromString(placement.failure)),
    }
    occasion = f"{placement.deployment}/{placement.location}/{placement.agent}/{placement.generation}"
    return _alert(_About(LOCATION_FAILED, placement.deployment, placement.location, occasion), data=data, at=at)


@dataclass(frozen=True, slots=True)
class _About:
    """What an alert is about."""

    kind: str
    deployment: str
    subject: str
    #: The same occasion is told once.
    occasion: str


def _alert(about: _About, *, data: Mapping[str, object], at: datetime) -> NewAlert:
    payload = {"type": about.kind, "timestamp": at.isoformat(), "data": data}
    return NewAlert(
        id=str(uuid5(NAMESPACE_URL, f"isthmus:{about.kind}:{about.occasion}")),
        kind=about.kind,
        deployment=about.deployment,
        subject=about.subject,
        payload=json.dumps(payload, ensure_ascii=False),
        created_at=at,
    )
