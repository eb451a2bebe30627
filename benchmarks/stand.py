"""The system under measurement: real servers, and Isthmus as its operator runs it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from isthmus.v1.control_plane_pb2 import RUN_STATE_SUCCEEDED, Run
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus_client.client import ControlPlaneClient
from support.postgres import Postgres, private_postgres
from support.rabbitmq import Rabbit, private_rabbitmq
from support.system import Operator, Service, System

from benchmarks import machine

T = TypeVar("T")

PROJECT = Path(__file__).resolve().parent / "project"
LOCATION = "bench"
#: Longest wait for one run, seconds.
RUN_TIMEOUT_S = 300.0


class RunFailedError(Exception):
    """A run that was to be measured did not succeed."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.request.run.run_id} of {run.request.job_name} did not succeed: {run.message}")


@dataclass(frozen=True)
class Servers:
    """A broker and a database server, both as durable as in production."""

    rabbitmq: Rabbit
    postgres: Postgres
    #: How busy the machine was during each measurement so far.
    loads: list[machine.Load] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Addresses and a folder that nobody else uses."""

    broker_url: str
    database_url: str
    folder: Path
    loads: list[machine.Load]


@dataclass(frozen=True)
class Stand:
    """A running system with the project loaded."""

    system: System
    client: ControlPlaneClient
    operator: Operator
    folder: Path

    async def load(self, name: str = LOCATION) -> None:
        """Apply the project as a location and wait until it serves."""
        source = CodeSource(python_file=str(PROJECT / "definitions.py"), working_directory=str(PROJECT))
        await self.operator.apply(name, source)

    async def launch(self, job: str, *, stamp: Path | None = None) -> str:
        """Launch a run of the project; the stamp's job writes its time there."""
        return await self.operator.launch(LOCATION, job, run_config_json=stamp_config(stamp))

    async def finish(self, run_id: str) -> Run:
        """Wait until the run has succeeded."""
        run, _ = await self.operator.history(run_id, within=RUN_TIMEOUT_S)
        if run.state != RUN_STATE_SUCCEEDED:
            raise RunFailedError(run)
        return run


@contextmanager
def servers() -> Iterator[Servers]:
    """Start RabbitMQ and PostgreSQL."""
    with private_rabbitmq() as rabbitmq, private_postgres(is_durable=True) as postgres:
        yield Servers(rabbitmq, postgres)


@contextmanager
def place(given: Servers, *, is_sqlite: bool = False) -> Iterator[Place]:
    """Make an empty virtual host, database and folder. Not to be called from a running loop."""
    with TemporaryDirectory(prefix="isthmus-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if is_sqlite:
            yield Place(given.rabbitmq.take_url(), f"sqlite:///{folder}/isthmus.db", folder, given.loads)
            return
        url = given.postgres.create_database()
        try:
            yield Place(given.rabbitmq.take_url(), url, folder, given.loads)
        finally:
            given.postgres.drop_database(url)


def measured(work: Callable[[Stand], Coroutine[None, None, T]], *, at: Place, probe: Path | None = None) -> T:
    """Run `work` on a fresh system with the project loaded, from start to end."""

    async def run() -> T:
        async with running(at, probe=probe) as stand:
            await stand.load()
            with machine.watched(at.loads, system="Isthmus"):
                return await work(stand)

    return asyncio.run(run())


@asynccontextmanager
async def running(
    at: Place, *, probe: Path | None = None, agent_environment: Mapping[str, str] | None = None
) -> AsyncIterator[Stand]:
    """Start the system and enroll its agent; with `probe`, its services note there when a run passes them."""
    system = System(at.broker_url, at.database_url, at.folder, agent_environment=dict(agent_environment or {}))
    if probe is not None:
        system.services = {name: ProbedService.of(one, probe) for name, one in system.services.items()}
    # As after an installation: nobody compiles the same modules at every start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    system.start()
    try:
        async with system.client() as client:
            operator = Operator(system, client)
            await operator.enroll_agent()
            yield Stand(system, client, operator, at.folder)
    except BaseException:
        sys.stderr.write(f"{system.report()}\n")
        raise
    finally:
        system.stop()


@dataclass
class ProbedService(Service):
    """A service started by way of the probe."""

    @classmethod
    def of(cls, service: Service, probe: Path) -> "ProbedService":
        """Give a service the probe's file."""
        environment = {**service.environment, "BENCH_PROBE": str(probe)}
        return cls(service.name, environment, service.log)

    @property
    def command(self) -> list[str]:
        python, *_ = super().command
        return [python, "-m", "benchmarks.probe", self.name]


def stamp_config(stamp: Path | None) -> str:
    """Return the run config that tells the stamp's op where to write."""
    return json.dumps({"ops": {"stamp": {"config": {"path": str(stamp)}}}}) if stamp is not None else ""
