"""What hands expect of `isthmus run …`: names for runs, a question before deleting, checks before launching."""

import pytest
from contract.cli.conftest import Isthmus
from isthmus.v1.control_plane_pb2 import RunState
from support.canned import CannedServer, a_location, a_run

FAILED, CANCELED = RunState.RUN_STATE_FAILED, RunState.RUN_STATE_CANCELED


@pytest.mark.parametrize("name", ["latest", "-1", "-12", "5d34c8"])
async def test_a_run_is_named_by_its_place_or_the_beginning_of_its_id(
    canned: CannedServer, isthmus: Isthmus, name: str
) -> None:
    outcome = await isthmus("run", "show", name, "--json")
    assert outcome.code == 0, outcome.err
    assert [request.name for request in canned.plane.asked] == [name]  # type: ignore[attr-defined]


async def test_a_whole_id_needs_no_question(canned: CannedServer, isthmus: Isthmus) -> None:
    run_id = "0f6b3c1e-8c1e-4f43-a4a8-6f4f5f3c9d11"
    canned.plane.runs[run_id] = a_run(run_id)
    outcome = await isthmus("run", "terminate", run_id)
    assert outcome.code == 0, outcome.err
    assert [type(request).__name__ for request in canned.plane.asked] == ["TerminateRunRequest"]


async def test_a_launch_that_the_definitions_refuse_starts_nothing(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.verdict.violations.add(field="run_config.ops.load.config.limt", description="no such entry")
    outcome = await isthmus("run", "launch", "etl", "nightly")
    assert (outcome.code, outcome.out) == (2, "")
    assert "config ops.load.config.limt: no such entry" in outcome.err
    assert not canned.plane.runs


async def test_a_launch_is_not_validated_when_nobody_wants_it(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.verdict.violations.add(field="job_name", description="no such job")
    outcome = await isthmus("run", "launch", "etl", "nightly", "--no-validate")
    assert outcome.code == 0, outcome.err
    assert list(canned.plane.runs) == [outcome.out.strip()]


async def test_the_location_that_alone_has_the_job_is_found(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.locations = {"a": a_location("a", jobs=["x"]), "b": a_location("b", jobs=["nightly"])}
    outcome = await isthmus("run", "launch", "nightly", "--no-validate")
    assert outcome.code == 0, outcome.err
    assert canned.plane.asked[-1].location == "b"  # type: ignore[attr-defined]
    outcome = await isthmus("run", "launch", "nigthly")
    assert (outcome.code, outcome.err) == (2, "Error: There is no job or location 'nigthly'. Did you mean 'nightly'?\n")


async def test_runs_are_deleted_only_when_somebody_says_so(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.runs = {name: a_run(name, state=FAILED) for name in ("r1", "r2", "r3")}
    outcome = await isthmus("run", "delete", "r1")
    assert (outcome.code, len(canned.plane.runs)) == (2, 3)
    assert "--yes" in outcome.err
    outcome = await isthmus("run", "delete", "r1", "r2", "--yes")
    assert outcome.code == 0, outcome.err
    assert list(canned.plane.runs) == ["r3"]


async def test_a_list_of_ids_alone_can_be_handed_on(canned: CannedServer, isthmus: Isthmus) -> None:
    canned.plane.runs = {name: a_run(name, state=FAILED) for name in ("r1", "r2")}
    assert (await isthmus("run", "list", "-q")).out.split() == ["r1", "r2"]


@pytest.mark.parametrize("verb", ["cancel", "terminate"])
async def test_cancelling_has_two_names(canned: CannedServer, isthmus: Isthmus, verb: str) -> None:
    canned.plane.runs["r1"] = a_run("r1", state=CANCELED)
    assert (await isthmus("run", verb, "r1")).out == "CANCELED\n"
