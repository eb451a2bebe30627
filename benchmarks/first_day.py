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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Better, Figure, Measure, Result
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
_QUERY = b'{"query": "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"}'


def measure(servers: Servers, options: Options) -> Result:
    """Measure `isthmus dev` on a small project and on the example, then `dagster dev` on the small one."""
    del servers  # A first day begins with its own.
    with _project() as folder:
        ours = _isthmus(folder, options=options)
    with _example() as folder:
        on_example = [_start_isthmus(folder) for _ in range(2)]
    theirs = _dagster() if options.has_peer else {}
    figures = (
        _figure("first start to serving", ours["first"], peer=theirs.get("first")),
        _figure("second start to serving", ours["second"], peer=theirs.get("second")),
        _figure("example: first start to serving", Measure(value=on_example[0])),
        _figure("example: second start to serving", Measure(value=on_example[1]), budget=_BUDGET_SECOND_S),
        _figure("file saved to new code serving", ours["save"]),
        _figure("a command with a call", ours["command"], budget=_BUDGET_COMMAND_S),
    )
    notes = (
        "`dagster dev` serves once its webserver answers with the repository; it does not load a saved file by itself.",
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
    first = _start_isthmus(folder)
    second = 0.0
    saves, commands = [], []
    with _running(folder) as (process, took):
        second = took
        for number in range(1, options.scaled(10) + 1):
            saved = time.monotonic()
            (folder / "definitions.py").write_text(_DEFINITIONS.format(number=number))
            _until(process, "reloaded")
            saves.append(time.monotonic() - saved)
        for _ in range(options.scaled(20)):
            began = time.monotonic()
            subprocess.run([*_ISTHMUS, "run", "list"], cwd=folder, check=True, capture_output=True)
            commands.append(time.monotonic() - began)
    return {
        "first": Measure(value=first),
        "second": Measure(value=second),
        "save": Measure.of(saves),
        "command": Measure.of(commands),
    }


def _start_isthmus(folder: Path) -> float:
    with _running(folder) as (_, took):
        return took


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
        yield process, time.monotonic() - began
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


def _dagster() -> dict[str, Measure]:
    with _project() as folder:
        home = folder / "home"
        home.mkdir()
        return {name: Measure(value=_start_dagster(folder, home=home)) for name in ("first", "second")}


def _start_dagster(folder: Path, *, home: Path) -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    process = subprocess.Popen(
        [_PEER / "dagster", "dev", "-p", str(port)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "DAGSTER_HOME": str(home), "PATH": f"{_PEER}:{os.environ['PATH']}"},
    )
    try:
        _wait(lambda: _has_repository(port))
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_TIMEOUT_S)


def _has_repository(port: int) -> bool:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", data=_QUERY, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(json.load(answer)["data"]["repositoriesOrError"].get("nodes"))
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _wait(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise TimeoutError("dagster dev did not serve")
        time.sleep(0.05)
