"""How records read at the edge."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1 import telemetry_pb2
from isthmus.v1.instruction_pb2 import RunRequest
from isthmus_control_plane import message
from isthmus_control_plane.message import Surroundings
from isthmus_store import wire
from isthmus_store.record.location import Location, Placement
from isthmus_store.record.run import Run
from isthmus_store.state import AgentState, LocationPhase, RunReason, RunState

AT = datetime(2026, 1, 1, tzinfo=UTC)


def placement(agent: str, phase: LocationPhase, *, generation: int = 2) -> Placement:
    return Placement(
        deployment="default",
        location="sales",
        agent=agent,
        placed_at=AT,
        generation=generation,
        phase=phase,
        serving_generation=0,
        failure=b"",
        snapshot_hash="",
        framework="",
        python_version="",
        reported_at=None,
    )


@pytest.mark.parametrize(
    ("placements", "phase"),
    [
        ([], LocationPhase.PENDING),
        ([placement("a", LocationPhase.SERVING)], LocationPhase.SERVING),
        ([placement("a", LocationPhase.SERVING, generation=1)], LocationPhase.PENDING),
        ([placement("a", LocationPhase.SERVING), placement("b", LocationPhase.IMPORTING)], LocationPhase.IMPORTING),
        ([placement("a", LocationPhase.FAILED), placement("b", LocationPhase.SERVING)], LocationPhase.FAILED),
        ([placement("a", LocationPhase.FAILED, generation=1)], LocationPhase.PENDING),
    ],
)
def test_a_location_is_as_well_as_its_worst_placement_of_the_wanted_generation(
    placements: list[Placement], phase: LocationPhase
) -> None:
    assert message.phase(2, placements=placements) is phase


@pytest.mark.parametrize(
    ("state_of_b", "phase"),
    [
        (AgentState.LOST, telemetry_pb2.LOCATION_PHASE_SERVING),
        (AgentState.ONLINE, telemetry_pb2.LOCATION_PHASE_IMPORTING),
    ],
)
def test_a_location_serves_that_an_agent_serves_while_another_one_is_gone(
    state_of_b: AgentState, phase: "telemetry_pb2.LocationPhase.ValueType"
) -> None:
    location = Location(
        deployment="default", name="sales", pool="default", generation=2, settings=b"", applied_at=AT, removed_at=None
    )
    told = message.location(
        location,
        placements=[placement("a", LocationPhase.SERVING), placement("b", LocationPhase.IMPORTING)],
        surroundings={"a": Surroundings(AgentState.ONLINE, None), "b": Surroundings(state_of_b, None)},
        snapshot=None,
    )
    assert told.phase == phase
    assert [(it.agent, it.agent_state) for it in told.placements] == [
        ("a", api.AGENT_STATE_ONLINE),
        ("b", wire.AGENT_STATES.to_wire(state_of_b)),
    ]


RUN = Run(
    run_id="6f1c7a52-3c1b-4a57-9d70-0d9c1f2a4b11",
    deployment="default",
    location="sales",
    job_name="nightly",
    request=RunRequest(location="sales", job_name="nightly", run_config_json="{}").SerializeToString(),
    state=RunState.FAILED,
    attempt=3,
    reason=RunReason.OUT_OF_MEMORY,
    message="killed",
    agent="alpha",
    requested_by="ada",
    queued_at=AT,
    dispatched_at=AT,
    accepted_at=AT,
    started_at=None,
    ended_at=AT,
    last_position=7,
    failure=b"",
    violations=(),
)


def test_a_run_is_described_with_the_attempt_that_counts() -> None:
    described = message.run(RUN)
    assert (described.request.run.run_id, described.request.run.attempt) == (RUN.run_id, 3)
    assert described.state == api.RUN_STATE_FAILED
    assert not described.HasField("started_at")
    assert not described.HasField("failure")
    assert message.listed_run(RUN).request.run_config_json == ""
    assert described.request.run_config_json == "{}"


@pytest.mark.parametrize("state", RunState)
@pytest.mark.parametrize("reason", RunReason)
def test_every_state_and_reason_has_its_number(state: RunState, reason: RunReason) -> None:
    described = message.run(replace(RUN, state=state, reason=reason))
    assert api.RunState.Name(described.state) == f"RUN_STATE_{state.value}"
    assert described.reason > 0 or reason is RunReason.UNSPECIFIED
