"""The whole system as its operator runs it: control plane, monitor and agent, each a process of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from isthmus.v1.control_plane_pb2 import (
    AGENT_STATE_ONLINE,
    Agent,
    LaunchRunRequest,
    Location,
    LocationSettings,
    Run,
    RunState,
    RunUpdate,
)
from isthmus.v1.instruction_pb2 import CodeSource
from isthmus.v1.telemetry_pb2 import LOCATION_PHASE_FAILED, LOCATION_PHASE_SERVING
from isthmus_client.client import ControlPlaneClient

from support.eventually import PATIENCE, eventually

T = TypeVar("T")

AGENT = "agent-one"
SERVICES = ("control_plane", "monitor", "agent")


@dataclass
class Service:
    """One of the system's processes."""

    name: str
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", f"isthmus_{self.name}.main"]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def end(self, how: signal.Signals = signal.SIGTERM, *, within: float = 20) -> int:
        """Signal the process and wait for its end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(within)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


@dataclass
class System:
    """Control plane, monitor and agent on one broker and one database."""

    broker_url: str
    database_url: str
    folder: Path
    monitor_environment: dict[str, str] = field(default_factory=dict)
    agent_environment: dict[str, str] = field(default_factory=dict)
    control_plane_environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        shared = {"ISTHMUS_BROKER_URL": self.broker_url, "ISTHMUS_DATABASE_URL": self.database_url}
        agent = {
            "ISTHMUS_BROKER_URL": self.broker_url,
            "ISTHMUS_AGENT_NAME": AGENT,
            "ISTHMUS_AGENT_DATA_DIR": str(self.folder / "agent"),
            **self.agent_environment,
        }
        environments = {
            "control_plane": {
                **shared,
                "ISTHMUS_CONTROL_PLANE_LISTEN": self.address,
                **self.control_plane_environment,
            },
            "monitor": {**shared, **self.monitor_environment},
            "agent": agent,
        }
        self.services = {name: Service(name, environments[name], self.folder / f"{name}.log") for name in SERVICES}

    def start(self) -> None:
        for service in self.services.values():
            service.start()

    def stop(self) -> None:
        """End the services, and the code servers that an agent leaves running."""
        for service in self.services.values():
            if service.is_alive:
                service.end(signal.SIGKILL)
        for pid in self.code_server_pids():
            os.kill(pid, signal.SIGKILL)

    def code_server_pids(self) -> list[int]:
        """The supervisors that were started with a configuration below this system's folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "serve" in words and any(word.startswith(str(self.folder)) for word in words):
                found.append(int(entry.name))
        return found

    def report(self) -> str:
        return "\n".join(f"--- {name}\n{service.tail()}" for name, service in self.services.items())

    def client(self) -> ControlPlaneClient:
        return ControlPlaneClient(self.address, connect_timeout_s=20 * PATIENCE)


@contextmanager
def running_system(
    *,
    broker_url: str,
    database_url: str,
    folder: Path,
    monitor_environment: dict[str, str] | None = None,
    agent_environment: dict[str, str] | None = None,
    control_plane_environment: dict[str, str] | None = None,
) -> Iterator[System]:
    system = System(
        broker_url,
        database_url,
        folder,
        monitor_environment or {},
        agent_environment or {},
        control_plane_environment or {},
    )
    system.start()
    try:
        yield system
    finally:
        system.stop()


class Operator:
    """What a person does with the system, and waits for."""

    def __init__(self, system: System, client: ControlPlaneClient) -> None:
        self.system = system
        self.client = client

    async def enroll_agent(self) -> Agent:
        await self.client.create_agent(AGENT)

        async def online() -> Agent | None:
            agent = await self.client.get_agent(AGENT)
            return agent if agent.state == AGENT_STATE_ONLINE else None

        return await self._waiting(eventually(online, within=30))

    async def apply(
        self, name: str, source: CodeSource, *, env: Mapping[str, str] | None = None, reload: bool = False
    ) -> Location:
        """Apply a location and wait until its newest generation serves, or has failed."""
        settings = LocationSettings(name=name, source=source, env=env or {})
        applied = await self.client.apply_location(settings, reload=reload)

        async def settled() -> Location:
            async for location in self.client.watch_location(name):
                is_newest = any(one.report.generation == applied.generation for one in location.placements)
                if is_newest and location.phase in {LOCATION_PHASE_SERVING, LOCATION_PHASE_FAILED}:
                    return location
            raise AssertionError(name)

        return await self._waiting(asyncio.wait_for(settled(), 40 * PATIENCE))

    async def launch(self, location: str, job: str, **fields: object) -> str:
        request = LaunchRunRequest(location=location, job_name=job, **fields)  # type: ignore[arg-type]
        return (await self.client.launch_run(request)).request.run.run_id

    async def history(self, run_id: str, *, within: float = 40) -> tuple[Run, list[RunUpdate]]:
        """Wait for the end of a run; returns it, and everything that was ever told of it."""

        async def watch() -> tuple[Run, list[RunUpdate]]:
            updates = [update async for update in self.client.watch_run(run_id)]
            return updates[-1].run, [update for update in updates if update.position]

        return await self._waiting(asyncio.wait_for(watch(), within * PATIENCE))

    async def in_state(self, run_id: str, states: "Sequence[RunState.ValueType]", *, within: float = 30) -> Run:
        async def there() -> Run | None:
            run = await self.client.get_run(run_id)
            return run if run.state in states else None

        return await self._waiting(eventually(there, within=within))

    async def _waiting(self, awaitable: Awaitable[T]) -> T:
        try:
            return await awaitable
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error}\n{self.system.report()}") from error
