"""The first hour at the command line: wrong words, short names, reading output, doing it again, tidying up."""

import json
import re

import pytest
from e2e.test_tooling import isthmus
from isthmus.v1.instruction_pb2 import CodeSource
from support.system import Operator, System

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def gated(operator: Operator, gated_source: CodeSource) -> Operator:
    await operator.apply("gated", gated_source)
    return operator


async def ids(system: System) -> list[str]:
    return (await isthmus(system, "run", "list", "-q"))[1].split()


async def test_what_is_wrong_with_a_launch_is_told_and_nothing_is_queued(gated: Operator, system: System) -> None:
    before = await ids(system)
    code, output = await isthmus(system, "run", "launch", "gated", "configured", "--set", "ops.limited.config.limt=5")
    assert code == 2, output
    assert "config ops.limited.config.limt" in output
    assert "Did you mean 'limit'?" in output
    code, output = await isthmus(system, "run", "launch", "gated", "quikc")
    assert code == 2, output
    assert "did you mean 'quick'?" in output
    code, output = await isthmus(system, "run", "launch", "gatde", "quick")
    assert code == 4, output
    assert "did you mean 'gated'?" in output
    assert await ids(system) == before


async def test_a_run_that_failed_is_found_read_done_again_and_deleted(gated: Operator, system: System) -> None:
    code, output = await isthmus(system, "run", "launch", "fails", "--watch")
    assert code == 1, output
    assert ": look_into_the_box: LookupError: there is no chain in the box" in output
    failed = (await ids(system))[0]
    code, output = await isthmus(system, "run", "list", "--limit", "1", "--no-headers")
    assert "look_into_the_box: LookupError: there is no chain in the box" in output
    for name in ("latest", "-1", failed[:13]):
        code, output = await isthmus(system, "run", "show", name, "--json")
        assert (code, json.loads(output)["request"]["run"]["run_id"]) == (0, failed), output
    code, output = await isthmus(system, "run", "rerun", "latest", "--from-failure", "--watch")
    assert code == 1, output
    assert (await ids(system))[1] == failed
    code, output = await isthmus(system, "run", "delete", "-2", "--yes")
    assert code == 0, output
    code, output = await isthmus(system, "run", "show", failed)
    assert code == 4, output


async def test_output_is_read_in_the_order_of_time_and_a_stack_once(gated: Operator, system: System) -> None:
    await isthmus(system, "run", "launch", "fails", "--watch")
    code, output = await isthmus(system, "run", "logs", "latest", "--level", "info")
    assert code == 0, output
    assert re.search(r"look_into_the_box │ looking$", output, re.MULTILINE)
    assert output.count("LookupError: there is no chain in the box") == 1
    assert "STEP_START" not in output
    assert "STEP_START" in (await isthmus(system, "run", "logs", "latest", "--level", "debug"))[1]
