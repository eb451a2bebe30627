"""Projects as users have them are loaded and run by Isthmus as they are by Dagster, and none of their runs hangs."""

import asyncio
import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conformance.isthmus_facts import facts
from google.protobuf.message import Message
from isthmus.v1.control_plane_pb2 import RUN_STATE_FAILED, RUN_STATE_SUCCEEDED
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_SERVING
from isthmus_code_server.definitions.instance_client import OPTIONAL_TIMEOUT_VARIABLE
from isthmus_dev.python.find import find_python
from isthmus_dev.target import TargetOptions, resolve_targets
from projects.environments import python_of
from projects.project import Launch, Project, projects
from support.eventually import PATIENCE
from support.rabbitmq import Rabbit
from support.system import Operator, System, running_system

#: Making an environment is the first test's to wait for.
pytestmark = pytest.mark.timeout(300)

#: How often each launch that repeats is executed again; said by `make projects`.
_SAID = os.environ.get("ISTHMUS_PROJECT_REPETITIONS", "")
REPETITIONS = int(_SAID or "2")
#: How long a run may take, seconds.
_RUN_TIMEOUT_S = 60.0
_TESTS = Path(__file__).parents[1]
#: What is another on each side, and what it is called in both.
_MASKS = ((re.compile(r"at 0x[0-9a-f]+"), "at <address>"), (re.compile(r"/[^ \"]*/storage/"), "<storage>/"))
_OUTCOMES = {"succeeded": RUN_STATE_SUCCEEDED, "failed": RUN_STATE_FAILED}
Fact = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one side told of a run."""

    run_id: str
    facts: list[Fact]

    def lines(self, project: Project, folder: Path) -> Counter[str]:
        """Write each fact as a line, without what cannot be the same on both sides."""
        return Counter(project.masked(_line(fact, run_id=self.run_id, folder=folder)) for fact in self.facts)


@pytest.fixture(scope="module")
def system(rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    database_url = f"sqlite+aiosqlite:///{folder}/isthmus.db"
    with running_system(broker_url=rabbitmq.take_url(), database_url=database_url, folder=folder) as system:
        asyncio.run(_enroll(system))
        yield system


async def _enroll(system: System) -> None:
    async with system.client() as client:
        await Operator(system, client).enroll_agent()


@pytest.mark.parametrize(
    "project", [pytest.param(project, id=project.name) for project in projects(with_heavy=bool(_SAID))]
)
async def test_a_project_does_under_isthmus_what_it_does_under_dagster(
    system: System, project: Project, tmp_path: Path
) -> None:
    python = python_of(project.folder)
    ours, theirs = project.copy_to(tmp_path / "isthmus"), project.copy_to(tmp_path / "dagster")
    for folder in (ours, theirs):
        await asyncio.to_thread(_set_up, project, folder, python=python)
    by_dagster = await asyncio.to_thread(_run_by_dagster, project, theirs, python=python)
    async with system.client() as client:
        operator = Operator(system, client)
        locations = await _apply(operator, project, ours, python=python)
        differences: list[str] = []
        for launch, expected in zip(project.launches, by_dagster, strict=True):
            # Of one id, because the versions of data are derived from it.
            told = await _run(operator, project, launch, run_id=expected.run_id)
            mine, other = told.lines(project, ours), expected.lines(project, theirs)
            differences += [f"{launch.job}, only Dagster: {line}" for line in (other - mine).elements()]
            differences += [f"{launch.job}, only Isthmus: {line}" for line in (mine - other).elements()]
            for _ in range(REPETITIONS if launch.repeats else 0):
                await _run(operator, project, launch)
        for name in locations:
            await client.remove_location(name)
    assert not differences, "\n".join(["", *differences])


def _set_up(project: Project, folder: Path, *, python: Path) -> None:
    if project.has_venv:
        (folder / ".venv").symlink_to(python.parents[1])
    if project.setup:
        command = [str(python) if word == "python" else word for word in project.setup]
        subprocess.run(command, cwd=folder, env={**os.environ, **project.env}, check=True)


async def _apply(operator: Operator, project: Project, folder: Path, *, python: Path) -> list[str]:
    """Load the project's locations; returns their names."""
    warnings: list[str] = []
    names = []
    for name, source in _sources(project, folder, python=python):
        # On a busy machine a version may come later than steps wait for it, who can do without.
        location = await operator.apply(name, source, env={**project.env, OPTIONAL_TIMEOUT_VARIABLE: "10"})
        assert location.phase == LOCATION_PHASE_SERVING, location
        _assert_kept(project, location.snapshot)
        warnings += location.snapshot.warnings
        names.append(name)
    assert all(any(word in warning for warning in warnings) for word in project.warnings), warnings
    assert project.warnings or not warnings, warnings
    is_spawned = any("`start: spawn`" in warning for warning in warnings)
    assert not project.start or is_spawned == (project.start == "spawn"), warnings
    return names


def _sources(project: Project, folder: Path, *, python: Path) -> list[tuple[str, CodeSource]]:
    if not project.is_found:
        file = str(folder / "definitions.py")
        source = CodeSource(python_file=file, working_directory=str(folder), python_executable=str(python))
        return [(_location(project), source)]
    found = resolve_targets(TargetOptions(), folder=folder).locations
    own = find_python("" if project.has_venv else str(python), folder=folder)
    for settings in found:
        settings.source.python_executable = settings.source.python_executable or str(own.path)
    return [(settings.name, settings.source) for settings in found]


def _assert_kept(project: Project, *messages: Message) -> None:
    """No secret is in what left the user's environment, not even as a part of something."""
    for message in messages:
        raw = message.SerializeToString()
        assert not [secret for secret in project.secrets if secret.encode() in raw], message


def _location(project: Project) -> str:
    return project.name.replace("_", "-")


async def _run(operator: Operator, project: Project, launch: Launch, *, run_id: str = "") -> Told:
    config = json.dumps(launch.config) if launch.config else ""
    fields = {"run_id": run_id, "run_config_json": config, "tags": dict(launch.tags)}
    run_id = await operator.launch(launch.location or _location(project), launch.job, **fields)
    run, updates = await operator.history(run_id, within=_RUN_TIMEOUT_S)
    assert run.state == _OUTCOMES[launch.outcome], run
    _assert_kept(project, run, *updates)
    return Told(run_id=run_id, facts=facts([update.event for update in updates]))


def _run_by_dagster(project: Project, folder: Path, *, python: Path) -> list[Told]:
    """Execute every launch; returns what each told."""
    home = folder.parent / "home"
    home.mkdir()
    own = folder / "dagster.yaml"
    (home / "dagster.yaml").write_text(own.read_text() if own.exists() else "telemetry: {enabled: false}\n")
    launches = [
        {"target": it.dagster, "job": it.dagster_job or it.job, "config": it.config, "tags": it.tags}
        for it in project.launches
    ]
    done = subprocess.run(
        [str(python), "-m", "projects.dagster_side", json.dumps(launches)],
        cwd=folder,
        env={**_activated(python), **project.env, "DAGSTER_HOME": str(home), "PYTHONPATH": str(_TESTS)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S * PATIENCE * len(launches),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [Told(**told) for told in json.loads(done.stdout.splitlines()[-1])]


def _activated(python: Path) -> dict[str, str]:
    """Have the environment's commands come first, as they do where it is activated."""
    return {**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}


def _line(fact: Fact, *, run_id: str, folder: Path) -> str:
    told = {key: value for key, value in fact.items() if value not in ("", [], {}, None)}
    if told["event"] == "PIPELINE_START":
        # The command names no steps.
        told.pop("steps", None)
    text = json.dumps(told, sort_keys=True, default=str).replace(run_id, "<run>").replace(str(folder), "<project>")
    for mask, name in _MASKS:
        text = mask.sub(name, text)
    return text
