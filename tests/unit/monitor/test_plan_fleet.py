"""Who may say what; agents, results, locations."""

from contextlib import suppress
from datetime import timedelta

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, RunRef
from isthmus_monitor.news import Bulletin
from isthmus_monitor.plan import Known, Wanted
from isthmus_monitor.planner import MAX_FORMER
from isthmus_monitor.reading import MAX_ATTEMPTS, MAX_LOAD_TIMEOUT_S
from isthmus_store.record.run import AttemptRef
from isthmus_store.state import AgentState, InstructionOutcome, LocationPhase, RunState
from unit.monitor.rows import LAB, NOW, agent, bulletin, instruction, known, placement, planned, run, said, seqs


@pytest.mark.parametrize(
    ("one", "rows", "why"),
    [
        (bulletin(said(1), key="prod.barn.run"), known(), "wrong_key"),
        (bulletin(said(1), key="staging.lab.run"), known(), "wrong_key"),
        (bulletin(said(1), key=""), known(), "wrong_key"),
        (bulletin(said(1)), known(agents=[]), "unknown_agent"),
        (bulletin(said(1), sender="agent-barn"), known(), "wrong_sender"),
        (bulletin(said(1), sender=None), known(), "wrong_sender"),
        (bulletin(said(1)), known(agents=[agent(broker_user="")]), "wrong_sender"),
    ],
)
def test_a_doubtful_batch_is_dropped_whole(one: Bulletin, rows: Known, why: str) -> None:
    plan = planned(rows, one)
    assert plan.tally == {why: 1}
    assert plan.events == []


TWO_ACCOUNTS = agent(code_server_broker_user="runs-of-lab")


def test_the_account_of_code_servers_says_what_runs_do_and_that_they_live() -> None:
    vouching = Event(run_heartbeat=wire.RunHeartbeat(active_runs=[RunRef(run_id="r1", attempt=1)]))
    plan = planned(known(agents=[TWO_ACCOUNTS]), bulletin(said(1), vouching, sender="runs-of-lab", location="etl"))
    assert seqs(plan) == [1]
    assert plan.vouched == {AttemptRef("r1", 1)}
    assert plan.tally == {}


@pytest.mark.parametrize("location", ["", "etl"])
def test_the_account_of_code_servers_says_nothing_else_whoever_it_claims_to_be(location: str) -> None:
    rows = known(agents=[TWO_ACCOUNTS], instructions=[instruction()], placements=[placement()])
    claims = (
        heartbeat(revision=9),
        Event(agent_stopped=wire.AgentStopped()),
        report(wire.LOCATION_PHASE_FAILED),
        result(wire.InstructionResult.OUTCOME_SUCCEEDED),
    )
    plan = planned(rows, bulletin(*claims, sender="runs-of-lab", location=location))
    assert (plan.heard, plan.stopped, plan.placements, plan.outcomes, plan.runs) == ({}, set(), {}, {}, [])
    assert plan.speakers == set()
    assert plan.tally == {"not_allowed": 4}


def test_the_agent_s_own_account_may_say_everything_beside_a_second_one() -> None:
    assert planned(known(agents=[TWO_ACCOUNTS]), bulletin(heartbeat())).heard.keys() == {LAB}
    shared = agent(code_server_broker_user="agent-lab")
    assert planned(known(agents=[shared]), bulletin(heartbeat())).heard.keys() == {LAB}


def test_an_agent_without_an_account_shares_the_monitor_s() -> None:
    plan = planned(known(agents=[agent(broker_user="")]), bulletin(said(1), sender="isthmus"))
    assert seqs(plan) == [1]


def heartbeat(*, is_draining: bool = False, revision: int = 1) -> Event:
    return Event(
        agent_heartbeat=wire.AgentHeartbeat(version="0.1.0", is_draining=is_draining, desired_revision=revision)
    )


@pytest.mark.parametrize(
    ("before", "incarnation", "is_draining", "after"),
    [
        (AgentState.NEW, "life-1", False, AgentState.ONLINE),
        (AgentState.ONLINE, "life-1", True, AgentState.DRAINING),
        (AgentState.LOST, "life-1", False, AgentState.ONLINE),
        (AgentState.STOPPED, "life-2", False, AgentState.ONLINE),
        (AgentState.DRAINING, "life-1", False, AgentState.DRAINING),
        (AgentState.DRAINING, "life-2", False, AgentState.ONLINE),
        (AgentState.DRAINING, "life-2", True, AgentState.DRAINING),
    ],
)
def test_a_heartbeat_makes_the_agent_s_state(
    *, before: AgentState, incarnation: str, is_draining: bool, after: AgentState
) -> None:
    plan = planned(
        known(agents=[agent(state=before)]), bulletin(heartbeat(is_draining=is_draining), incarnation=incarnation)
    )
    assert plan.heard[LAB].state is after
    assert plan.speakers == {LAB}


def test_a_heartbeat_of_odd_numbers_leaves_room_to_calculate() -> None:
    beat = heartbeat(revision=2**64 - 1)
    beat.agent_heartbeat.started_at.seconds = 2**62
    beat.agent_heartbeat.locations.add(location="etl", standby_ready=1, standby_memory_bytes=2**64 - 1)
    heard = planned(known(), bulletin(beat)).heard[LAB]
    assert heard.desired_revision + 1 < 2**63
    assert heard.standbys[0].memory_bytes + 1 < 2**63
    assert heard.started_at is not None
    assert heard.started_at + timedelta(days=366) > heard.started_at


def test_a_heartbeat_is_heard_up_to_a_bound() -> None:
    refs = [RunRef(run_id=f"r{number}", attempt=1) for number in range(MAX_ATTEMPTS + 5)]
    beat = heartbeat()
    beat.agent_heartbeat.active_runs.extend(refs)
    plan = planned(known(), bulletin(beat, Event(run_heartbeat=wire.RunHeartbeat(active_runs=refs))))
    assert len(plan.heard[LAB].active_runs) == MAX_ATTEMPTS
    assert len(plan.vouched) == MAX_ATTEMPTS


def test_a_heartbeat_that_says_nothing_new_is_no_news_to_others() -> None:
    assert planned(known(), bulletin(heartbeat())).changed_agents == set()
    assert planned(known(), bulletin(heartbeat(revision=2))).changed_agents == {LAB}


def test_a_code_server_s_word_does_not_show_that_its_agent_lives() -> None:
    vouching = Event(run_heartbeat=wire.RunHeartbeat(active_runs=[RunRef(run_id="r1", attempt=1)]))
    plan = planned(known(), bulletin(vouching, location="etl"))
    assert plan.speakers == set()
    assert plan.vouched == {AttemptRef("r1", 1)}


def test_a_good_bye_counts_unless_a_later_life_was_heard() -> None:
    stop = Event(agent_stopped=wire.AgentStopped())
    assert planned(known(), bulletin(heartbeat(), stop)).stopped == {LAB}
    assert planned(known(), bulletin(stop, incarnation="life-0")).stopped == set()
    again = planned(known(), bulletin(stop), bulletin(heartbeat(), incarnation="life-2"))
    assert again.stopped == set()
    assert again.heard[LAB].state is AgentState.ONLINE


# ------------------------------------------------------------------------------------------------ results, locations


def test_a_life_that_is_heard_supersedes_the_one_before() -> None:
    heard = planned(known(), bulletin(heartbeat(), incarnation="life-2")).heard[LAB]
    assert (heard.incarnation, heard.former_incarnations) == ("life-2", ("life-1",))


def test_a_superseded_life_changes_nothing_of_its_agent() -> None:
    rows = known(agents=[agent(incarnation="life-2", former_incarnations=("life-1",))], placements=[placement()])
    beat = heartbeat(revision=9)
    beat.agent_heartbeat.active_runs.add(run_id="r1", attempt=1)
    said_late = (beat, report(wire.LOCATION_PHASE_FAILED, 3), Event(agent_stopped=wire.AgentStopped()))
    plan = planned(rows, bulletin(*said_late, incarnation="life-1"))
    assert (plan.heard, plan.placements, plan.stopped, plan.speakers, plan.vouched) == ({}, {}, set(), set(), set())
    assert plan.alerts == []
    assert plan.tally == {"superseded": 3}


def test_a_life_is_superseded_within_one_group_too() -> None:
    plan = planned(
        known(),
        bulletin(heartbeat(revision=2), incarnation="life-2"),
        bulletin(heartbeat(revision=1), incarnation="life-1"),
    )
    assert (plan.heard[LAB].incarnation, plan.heard[LAB].desired_revision) == ("life-2", 2)


def test_a_result_of_a_superseded_life_settles_its_instruction() -> None:
    successor = agent(incarnation="life-2", former_incarnations=("life-1",))
    rows = known(agents=[successor], instructions=[instruction()])
    plan = planned(rows, bulletin(result(wire.InstructionResult.OUTCOME_SUCCEEDED), incarnation="life-1"))
    assert list(plan.outcomes.values()) == [InstructionOutcome.SUCCEEDED]


def test_the_other_of_two_lives_comes_back_once_the_later_one_is_lost() -> None:
    lost = agent(incarnation="life-2", former_incarnations=("life-1",), state=AgentState.LOST)
    heard = planned(known(agents=[lost]), bulletin(heartbeat(), incarnation="life-1")).heard[LAB]
    assert (heard.incarnation, heard.former_incarnations) == ("life-1", ("life-2",))


def test_former_lives_are_remembered_up_to_a_bound() -> None:
    rows = known(agents=[agent(incarnation="")])
    beats = [bulletin(heartbeat(), incarnation=f"life-{number}") for number in range(MAX_FORMER + 9)]
    former = planned(rows, *beats).heard[LAB].former_incarnations
    assert former == tuple(f"life-{number}" for number in range(8, MAX_FORMER + 8))


def result(outcome: wire.InstructionResult.Outcome.ValueType, **rest: object) -> Event:
    body = wire.InstructionResult(instruction_id="i1", outcome=outcome, **rest)  # type: ignore[arg-type]
    return Event(instruction_result=body)


def test_a_result_from_another_agent_settles_nothing() -> None:
    rows = known(instructions=[instruction(agent="barn")])
    plan = planned(rows, bulletin(result(wire.InstructionResult.OUTCOME_FAILED)))
    assert plan.outcomes == {}
    assert plan.runs == []
    assert plan.tally == {"unknown_instruction": 1}


def test_the_first_of_two_results_settles() -> None:
    rows = known(instructions=[instruction()])
    plan = planned(
        rows, bulletin(result(wire.InstructionResult.OUTCOME_SUCCEEDED), result(wire.InstructionResult.OUTCOME_EXPIRED))
    )
    assert plan.outcomes == {"i1": InstructionOutcome.SUCCEEDED}
    assert [after.state for after in plan.runs] == [RunState.STARTING]


def test_a_result_of_a_settled_launch_still_tells_of_the_run() -> None:
    settled = instruction(settled_at=NOW, outcome=InstructionOutcome.SUCCEEDED)
    plan = planned(known(instructions=[settled]), bulletin(result(wire.InstructionResult.OUTCOME_SUCCEEDED)))
    assert plan.outcomes == {}
    assert [after.state for after in plan.runs] == [RunState.STARTING]


def test_a_termination_that_worked_waits_for_the_run_s_own_word() -> None:
    rows = known(runs=[run(state=RunState.CANCELING)], instructions=[instruction("terminate_run")])
    plan = planned(rows, bulletin(result(wire.InstructionResult.OUTCOME_SUCCEEDED, terminate=wire.TerminateAnswer())))
    assert plan.outcomes == {"i1": InstructionOutcome.SUCCEEDED}
    assert plan.runs == []


def report(phase: wire.LocationPhase.ValueType, generation: int = 1) -> Event:
    return Event(location_report=wire.LocationReport(location="etl", generation=generation, phase=phase))


def test_a_location_s_error_is_told_when_it_begins() -> None:
    failed = report(wire.LOCATION_PHASE_FAILED)
    rows = known(placements=[placement()])
    assert [told.kind for told in planned(rows, bulletin(failed, failed)).alerts] == ["location.failed"]
    already = known(placements=[placement(phase=LocationPhase.FAILED, generation=1)])
    assert planned(already, bulletin(failed)).alerts == []
    assert len(planned(already, bulletin(report(wire.LOCATION_PHASE_FAILED, 2))).alerts) == 1


def test_a_snapshot_is_stored_under_its_own_hash_whatever_the_agent_says() -> None:
    lie = wire.LocationReport(
        location="etl",
        generation=1,
        phase=wire.LOCATION_PHASE_SERVING,
        snapshot_hash="0" * 64,
        snapshot=wire.LocationSnapshot(jobs=[wire.JobSnapshot(name="j")]),
    )
    plan = planned(known(placements=[placement()]), bulletin(Event(location_report=lie)))
    ((digest, _),) = plan.snapshots.items()
    assert digest != "0" * 64
    assert plan.placements["prod", "etl", "lab"].snapshot_hash == digest


def test_wanted_names_every_row_that_a_group_is_about() -> None:
    events = [
        said(1),
        said(1, run_id="r2"),
        result(wire.InstructionResult.OUTCOME_FAILED),
        report(wire.LOCATION_PHASE_SERVING),
    ]
    wanted = Wanted.by([bulletin(*events)])
    assert wanted == Wanted(
        agents=frozenset({LAB}),
        runs=frozenset({"r1", "r2"}),
        instructions=frozenset({"i1"}),
        placements=frozenset({("prod", "etl", "lab")}),
    )


@given(st.binary(max_size=200))
def test_no_bytes_that_parse_can_stop_the_planner(noise: bytes) -> None:
    event = said(1, run_failed=wire.RunFailed(), message="\x00" + "x" * 2_000)
    with suppress(DecodeError):
        event.MergeFromString(noise)
    plan = planned(known(placements=[placement()], instructions=[instruction()]), bulletin(event))
    assert all("\x00" not in after.message for after in plan.runs)


def test_an_agent_is_dated_that_is_heard_from_another_folder() -> None:
    def beat(folder: str) -> Event:
        return Event(agent_heartbeat=wire.AgentHeartbeat(folder_id=folder, load_timeout_s=1e12))

    first = planned(known(), bulletin(beat("one"))).heard[LAB]
    assert (first.folder_id, first.folder_since, first.load_timeout_s) == ("one", None, MAX_LOAD_TIMEOUT_S)
    rows = known(agents=[agent(folder_id="one")])
    assert planned(rows, bulletin(beat("one"))).heard[LAB].folder_since is None
    # An older release says nothing of it.
    silent = planned(rows, bulletin(heartbeat())).heard[LAB]
    assert (silent.folder_id, silent.folder_since) == ("one", None)
    other = planned(rows, bulletin(beat("two"))).heard[LAB]
    assert (other.folder_id, other.folder_since) == ("two", NOW)
