"""Dagster's own servers on the same definitions: code server, webserver and, where the setup has a queue, the daemon."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from benchmarks import machine
from benchmarks.poll import poll
from benchmarks.stand import PROJECT, Servers, stamp_config

T = TypeVar("T")

PROGRAMS = Path(__file__).resolve().parents[2] / ".venv-peer/bin"
_START_TIMEOUT_S = 90.0
_RUN_TIMEOUT_S = 600.0
_POLL_S = 0.1

_LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
_STATUS = "query Status($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status endTime } } }"
_READY = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { name } } } }"


class PeerError(Exception):
    """Dagster did not do what was asked of it."""


@dataclass(frozen=True)
class DagsterSetup:
    """How an instance of Dagster is configured."""

    name: str
    #: Lines of dagster.yaml, beside the storage; "<home>" stands for the instance's folder.
    settings: str
    has_daemon: bool


#: Runs are launched by the webserver at once, past the queue.
TUNED = DagsterSetup(
    "tuned",
    "run_coordinator:\n  module: dagster._core.run_coordinator\n  class: DefaultRunCoordinator\n",
    has_daemon=False,
)
#: As it comes: runs are queued, and the daemon launches them.
DEFAULT = DagsterSetup("default", "", has_daemon=True)


@dataclass(frozen=True)
class Dagster:
    """A running instance."""

    folder: Path
    pids: dict[str, int]
    _session: aiohttp.ClientSession
    _url: str

    async def launch(self, job: str, *, stamp: Path | None = None) -> str:
        """Launch a run; returns its id."""
        selector = {"repositoryLocationName": "bench", "repositoryName": "__repository__", "pipelineName": job}
        config = json.loads(stamp_config(stamp) or "{}")
        answer = await self._ask(_LAUNCH, params={"selector": selector, "runConfigData": config, "mode": "default"})
        outcome = answer["launchRun"]
        if outcome["__typename"] != "LaunchRunSuccess":
            raise PeerError(f"{job} was not launched: {outcome}")
        return str(outcome["run"]["runId"])

    async def finish(self, run_id: str) -> float:
        """Wait until the run has succeeded; returns when that was, in seconds since 1970."""
        async with asyncio.timeout(_RUN_TIMEOUT_S):
            while True:
                run = (await self._ask(_STATUS, id=run_id))["runOrError"]
                if run["status"] in {"FAILURE", "CANCELED"}:
                    raise PeerError(f"run {run_id} did not succeed: {run}")
                if run["status"] == "SUCCESS":
                    return float(run["endTime"])
                await asyncio.sleep(_POLL_S)

    async def wait_ready(self) -> None:
        """Wait until the webserver knows the definitions."""
        async with asyncio.timeout(_START_TIMEOUT_S):
            await poll(self._has_definitions, every_s=_POLL_S)

    async def _has_definitions(self) -> bool:
        try:
            answer = await self._ask(_READY)
        except aiohttp.ClientError:
            return False
        return bool(answer["repositoriesOrError"].get("nodes"))

    async def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        async with self._session.post(self._url, json={"query": query, "variables": variables}) as response:
            response.raise_for_status()
            answer = await response.json()
        if answer.get("errors"):
            raise PeerError(str(answer["errors"]))
        data: dict[str, Any] = answer["data"]
        return data


def with_dagster(work: Callable[[Dagster], Coroutine[None, None, T]], *, servers: Servers, setup: DagsterSetup) -> T:
    """Run `work` on a fresh instance with the project loaded."""
    with instance(servers, setup=setup) as home:

        async def run() -> T:
            async with _serving(home, setup=setup) as dagster:
                with machine.watched(servers.loads, system=f"Dagster {setup.name}"):
                    return await work(dagster)

        return asyncio.run(run())


@contextmanager
def instance(servers: Servers, *, setup: DagsterSetup, is_sqlite: bool = False) -> Iterator[Path]:
    """Make a DAGSTER_HOME on an empty database."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="dagster-bench-", ignore_cleanup_errors=True)))
        storage = ""
        if not is_sqlite:
            url = servers.postgres.create_database()
            stack.callback(servers.postgres.drop_database, url)
            storage = f"storage:\n  postgres:\n    postgres_url: {_libpq(url)}\n"
        (home / "dagster.yaml").write_text(
            f"telemetry:\n  enabled: false\n{storage}{setup.settings.replace('<home>', str(home))}"
        )
        yield home


def environment(home: Path) -> dict[str, str]:
    """Return the environment of everything that works on an instance."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Dagster imports itself for every run: it must be allowed to find its bytecode.
        if name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**inherited, "DAGSTER_HOME": str(home), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}


@asynccontextmanager
async def _serving(home: Path, *, setup: DagsterSetup) -> AsyncIterator[Dagster]:
    code_port, web_port = _free_port(), _free_port()
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server:\n      host: 127.0.0.1\n      port: {code_port}\n      location_name: bench\n"
    )
    file = ["-f", str(PROJECT / "definitions.py"), "-d", str(PROJECT)]
    with ExitStack() as stack:
        start = ["code-server", "start", "-h", "127.0.0.1", "-p", str(code_port), *file]
        pids = {"code server": stack.enter_context(_process(home, "dagster", *start))}
        # The others ask it for the definitions as they start, and look again only much later.
        await _wait_listening(code_port)
        web = ["-h", "127.0.0.1", "-p", str(web_port), "-w", str(workspace)]
        pids["webserver"] = stack.enter_context(_process(home, "dagster-webserver", *web))
        if setup.has_daemon:
            pids["daemon"] = stack.enter_context(_process(home, "dagster-daemon", "run", "-w", str(workspace)))
        async with aiohttp.ClientSession() as session:
            dagster = Dagster(home, pids, session, f"http://127.0.0.1:{web_port}/graphql")
            await dagster.wait_ready()
            yield dagster


@contextmanager
def _process(home: Path, program: str, *arguments: str) -> Iterator[int]:
    with (home / f"{program}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / program), *arguments],
            env=environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process.pid
    finally:
        # With all that it started: they are of its session's group.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


async def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(_POLL_S)
        else:
            writer.close()
            return
    raise PeerError("Dagster's code server did not start")


def _libpq(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(scheme="postgresql").geturl()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
