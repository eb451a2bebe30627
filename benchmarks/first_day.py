"""The first day: from nothing to a system that takes launches, again, from a saved file to the new code, and the command line."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figure import Better, Figure, Measure, Result
from benchmarks.machine import cpu_s
from benchmarks.option import Options
from benchmarks.stand import Servers

_ROOT = Path(__file__).resolve().parent.parent
_ISTHMUS = [sys.executable, "-m", "isthmus_cli"]
_PEER = _ROOT / ".venv-peer" / "bin"
_TIMEOUT_S = 240.0
_BUDGET_SECOND_S = 4.0
_BUDGET_COMMAND_S = 0.25
_DEFINITIONS = """
import dagster as dg

@dg.op
def greet():
    return {number}

@dg.job
def greeting_{number}():
    greet()

defs = dg.Definitions(jobs=[greeting_{number}])
"""
_REPOSITORIES = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
_LAUNCH = """
mutation Launch($job: String!) {
  launchRun(executionParams: {mode: "default", selector: {
    jobName: $job, repositoryName: "__repository__", repositoryLocationName: "definitions"
  }}) {... on LaunchRunSuccess {run {runId}} ... on PythonError {message}}
}
"""
_STATUS = "query Status($id: ID!) {runOrError(runId: $id) {... on Run {status}}}"
_RELOAD = """
mutation Reload($name: String!) {
  reloadRepositoryLocation(repositoryLocationName: $name) {... on WorkspaceLocationEntry {loadStatus}}
}
"""


@dataclass(frozen=True, kw_only=True)
class _Start:
    """A start, up to the word that runs can be launched."""

    taken_s: float
    #: Of all its processes together.
    processor_s: float


def measure(servers: Servers, options: Options) -> Result:
    """Measure `isthmus dev` on a small project and on the example, then `dagster dev` on the small one."""
    del servers  # A first day begins with its own.
    with _project() as folder:
        ours = _isthmus(folder, options=options)
    with _example() as folder:
        fresh, again = _start_isthmus(folder), [_start_isthmus(folder) for _ in range(options.scaled(5))]
    theirs = _dagster(options) if options.has_peer else {}
    figures = (
        _figure("fresh: from the start to a run that succeeded", ours["fresh"], peer=theirs.get("fresh")),
        _figure("again: from the start to a run that succeeded", ours["again"], peer=theirs.get("again")),
        _figure("example, fresh: from the start to serving", Measure(value=fresh.taken_s)),
        _figure(
            "example, again: from the start to serving",
            Measure.of([start.taken_s for start in again]),
            budget=_BUDGET_SECOND_S,
        ),
        _figure("example, again: its processor time", Measure.of([start.processor_s for start in again])),
        _figure("save → served: from a saved file to its code", ours["save"], peer=theirs.get("save")),
        _figure("CLI start: a command with a call", ours["command"], peer=theirs.get("command")),
        _figure(
            "CLI start: its processor time", ours["processor"], budget=_BUDGET_COMMAND_S, peer=theirs.get("processor")
        ),
    )
    notes = (
        (
            "`dagster dev` serves once its webserver answers with the repository, and is asked over GraphQL: for a run, and to load the"
            " saved file, which it does not do by itself. Its command is `dagster run list`, which reads its own database."
        ),
    )
    return Result(benchmark="first_day", figures=figures, notes=notes)


def _figure(name: str, value: Measure, *, budget: float | None = None, peer: Measure | None = None) -> Figure:
    return Figure(name=name, unit="s", better=Better.LOWER, isthmus=value, budget=budget, dagster_default=peer)


@contextmanager
def _project() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="isthmus-first-day-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the broker runs under an account of its own, and has its folder in here
        (folder / "definitions.py").write_text(_DEFINITIONS.format(number=0))
        (folder / "pyproject.toml").write_text('[tool.dagster]\nmodule_name = "definitions"\n')
        yield folder


@contextmanager
def _example() -> Iterator[Path]:
    with _project() as folder:
        shutil.copytree(_ROOT / "examples" / "bike_share", folder / "bike_share")
        yield folder / "bike_share"


def _isthmus(folder: Path, *, options: Options) -> dict[str, Measure]:
    launch = [*_ISTHMUS, "run", "launch", "greeting_0", "--watch"]
    with _running(folder) as (_, began):
        subprocess.run(launch, cwd=folder, check=True, capture_output=True)
        fresh = time.monotonic() - began
    saves = []
    with _running(folder) as (process, began):
        subprocess.run(launch, cwd=folder, check=True, capture_output=True)
        again = time.monotonic() - began
        for number in range(1, options.scaled(10) + 1):
            saved = time.monotonic()
            (folder / "definitions.py").write_text(_DEFINITIONS.format(number=number))
            _until(process, "reloaded")
            saves.append(time.monotonic() - saved)
        taken, processor = _command([*_ISTHMUS, "run", "list"], folder=folder, times=options.scaled(20))
    return {
        "fresh": Measure(value=fresh),
        "again": Measure(value=again),
        "save": Measure.of(saves),
        "command": taken,
        "processor": processor,
    }


def _command(command: Sequence[str | Path], *, folder: Path, times: int) -> tuple[Measure, Measure]:
    """Return how long a command takes, and how much of the processor."""
    taken, processor = [], []
    for _ in range(times):
        began, used = time.monotonic(), os.times()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        taken.append(time.monotonic() - began)
        now = os.times()
        processor.append(now.children_user + now.children_system - used.children_user - used.children_system)
    return Measure.of(taken), Measure.of(processor)


def _start_isthmus(folder: Path) -> _Start:
    with _running(folder) as (process, began):
        return _Start(taken_s=time.monotonic() - began, processor_s=cpu_s([process.pid]))


@contextmanager
def _running(folder: Path) -> "Iterator[tuple[subprocess.Popen[str], float]]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    began = time.monotonic()
    process = subprocess.Popen(
        [*_ISTHMUS, "dev", "--port", "0", "--python", sys.executable],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
    )
    try:
        _until(process, "Isthmus is ready")
        yield process, began
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_TIMEOUT_S)


def _until(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return
    raise RuntimeError(f"isthmus dev ended without a word of {word!r}:\n{seen}")


def _dagster(options: Options) -> dict[str, Measure]:
    with _project() as folder:
        home = folder / "home"
        home.mkdir()
        environment = {**os.environ, "DAGSTER_HOME": str(home), "PATH": f"{_PEER}:{os.environ['PATH']}"}
        with _dagster_running(folder, environment=environment) as (port, began):
            _run_of_dagster(port)
            fresh = time.monotonic() - began
        saves = []
        with _dagster_running(folder, environment=environment) as (port, began):
            _run_of_dagster(port)
            again = time.monotonic() - began
            for number in range(1, options.scaled(10) + 1):
                saved = time.monotonic()
                (folder / "definitions.py").write_text(_DEFINITIONS.format(number=number))
                _ask(port, _RELOAD, {"name": "definitions"})
                saves.append(time.monotonic() - saved)
        command: list[str | Path] = ["env", f"DAGSTER_HOME={home}", _PEER / "dagster", "run", "list"]
        taken, processor = _command(command, folder=folder, times=options.scaled(5))
    return {
        "fresh": Measure(value=fresh),
        "again": Measure(value=again),
        "save": Measure.of(saves),
        "command": taken,
        "processor": processor,
    }


@contextmanager
def _dagster_running(folder: Path, *, environment: Mapping[str, str]) -> Iterator[tuple[int, float]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    process = subprocess.Popen(
        [_PEER / "dagster", "dev", "-p", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(environment),
    )
    try:
        _wait(lambda: _has_repository(port))
        yield port, began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_TIMEOUT_S)


def _has_repository(port: int) -> bool:
    try:
        return bool(_ask(port, _REPOSITORIES, {})["repositoriesOrError"].get("nodes"))
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _run_of_dagster(port: int) -> None:
    run_id = _ask(port, _LAUNCH, {"job": "greeting_0"})["launchRun"]["run"]["runId"]
    _wait(lambda: _ask(port, _STATUS, {"id": run_id})["runOrError"]["status"] == "SUCCESS")


def _ask(port: int, query: str, variables: Mapping[str, str]) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", data=body, headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer)["data"])


def _wait(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise TimeoutError("dagster dev did not serve")
        time.sleep(0.05)
