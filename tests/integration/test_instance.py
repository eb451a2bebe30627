"""What user code asks of its instance, on the whole system, against the answers of Dagster's own instance."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED, Run
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.errors import InvalidRequestError
from isthmus_code_server.errors import InstanceUnavailableError, UnsupportedInstanceCallError
from support.eventually import eventually
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

if TYPE_CHECKING:
    from support.postgres import Postgres

T = TypeVar("T")

PROJECT = Path(__file__).parent / "instance_project"
SOURCE = CodeSource(python_file=str(PROJECT / "facts.py"), working_directory=str(PROJECT))
LOCATION = "facts"

pytestmark = pytest.mark.timeout(240)


def in_project(code: str, **environment: str) -> str:
    """Run code in the project's folder, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


_TELLS = "import facts, inquiry, json; print(json.dumps([facts.HISTORY, [it.__name__ for it in inquiry.QUESTIONS]]))"
_TOLD = json.loads(in_project(_TELLS))
HISTORY: list[dict[str, Any]] = _TOLD[0]
QUESTIONS: list[str] = _TOLD[1]


@pytest.fixture(scope="module")
def dagsters_answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Dagster's own instance answers after the same history."""
    home = tmp_path_factory.mktemp("dagster")
    in_project("import facts; facts.main()", DAGSTER_HOME=str(home), ANSWERS=str(home / "answers.json"))
    answers: dict[str, Any] = json.loads((home / "answers.json").read_text())
    return answers


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def system(
    request: pytest.FixtureRequest, rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """The system with the location and the history, once on each kind of database."""
    folder = tmp_path_factory.mktemp("instance")
    if request.param == "sqlite":
        database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        database_url = postgres.create_database()
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=folder) as system:
        operate(system, make_history)
        yield system


def operate(system: System, act: Callable[[Operator], Awaitable[T]]) -> T:
    async def acting() -> T:
        async with system.client() as client:
            return await act(Operator(system, client))

    return asyncio.run(acting())


async def make_history(operator: Operator) -> None:
    await operator.enroll_agent()
    await operator.apply(LOCATION, SOURCE)
    for it in HISTORY:
        await run(operator, **it)


async def run(operator: Operator, job_name: str, *, run_config: Any = None, **fields: Any) -> Run:
    """Launch a run and wait for its end."""
    config = json.dumps(run_config) if run_config else ""
    run_id = await operator.launch(LOCATION, job_name, run_config_json=config, **fields)
    ended, _ = await operator.history(run_id)
    return ended


def written_by(system: System, job_name: str, op: str, path: Path, **fields: Any) -> Any:
    """Run a job whose only op writes what it saw."""
    config = {"ops": {op: {"config": {"path": str(path)}}}}
    ended = operate(system, lambda operator: run(operator, job_name, run_config=config, **fields))
    assert ended.state == RUN_STATE_SUCCEEDED, f"{ended}\n{system.report()}"
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def answers(system: System, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an op is answered after the history."""
    found: dict[str, Any] = written_by(
        system, "inquiry_job", "ask", tmp_path_factory.mktemp("answers") / "answers.json"
    )
    return found


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_op_is_answered_as_by_dagsters_own_instance(
    question: str, answers: dict[str, Any], dagsters_answers: dict[str, Any]
) -> None:
    assert answers[question] == dagsters_answers[question]


def test_a_key_of_dynamic_partitions_that_nobody_added_is_refused(system: System) -> None:
    with pytest.raises(InvalidRequestError, match="unknown partition of 'tenants' 'acmee'; did you mean 'acme'"):
        operate(system, lambda operator: operator.launch(LOCATION, "make_tenant", partition_key="acmee"))


@pytest.mark.parametrize("isolation", ["shared", "dedicated"])
@pytest.mark.parametrize("job", ["own_writes", "own_writes_in_step_processes"])
def test_a_run_reads_what_it_wrote_a_moment_ago(system: System, tmp_path: Path, job: str, isolation: str) -> None:
    tags = {"isthmus/isolation": isolation}
    seen = written_by(system, job, "read_own_writes", tmp_path / "seen.json", tags=tags)
    assert seen == [0, ["p0"], 1, ["p0", "p1"], 2, ["p0", "p1", "p2"], ["by the op", "STARTED"]]


def test_what_is_not_kept_is_refused_and_says_so(system: System, tmp_path: Path) -> None:
    said = written_by(system, "unanswerable", "ask_the_unanswerable", tmp_path / "said.json")
    for answer in said.values():
        assert answer.startswith(f"{UnsupportedInstanceCallError.__name__}: "), answer
        assert "docs/instance.md" in answer


def test_an_outage_fails_what_user_code_asks_and_nothing_else(system: System, tmp_path: Path) -> None:
    """While the control plane is away, assets are made, and a question of user code is an error that says why."""

    async def act(operator: Operator) -> list[Run]:
        gates = [tmp_path / "gated", tmp_path / "asking"]
        gated = await operator.launch(
            LOCATION, "make_gated", run_config_json=json.dumps({"ops": {"gated": {"config": {"gate": str(gates[0])}}}})
        )
        ops = {
            "pass_gate": {"config": {"gate": str(gates[1])}},
            "ask_after_gate": {"config": {"path": str(tmp_path / "asked.json")}},
        }
        asking = await operator.launch(LOCATION, "ask_in_vain", run_config_json=json.dumps({"ops": ops}))
        await eventually_all(gate.with_suffix(".waiting") for gate in gates)
        system.services["control_plane"].end(signal.SIGKILL)
        for gate in gates:
            gate.touch()
        await eventually_all([tmp_path / "asked.json"])
        system.services["control_plane"].start()
        async with system.client() as client:
            again = Operator(system, client)
            return [(await again.history(run_id))[0] for run_id in (gated, asking)]

    ended = operate(system, act)
    assert [one.state for one in ended] == [RUN_STATE_SUCCEEDED, RUN_STATE_SUCCEEDED]
    said, asked_for_s = json.loads((tmp_path / "asked.json").read_text())
    assert said.startswith(f"{InstanceUnavailableError.__name__}: ")
    assert "'raw'" in said
    assert "did not answer" in said
    assert asked_for_s < 12
    took = {one.request.job_name: one.ended_at.ToMicroseconds() - one.started_at.ToMicroseconds() for one in ended}
    # Two look-ups of data versions, of which the second knows that the first was in vain.
    assert took["make_gated"] < took["ask_in_vain"]


async def eventually_all(paths: Iterable[Path]) -> None:
    wanted = list(paths)

    async def there() -> bool:
        return all(path.exists() for path in wanted)

    await eventually(there, within=30)
