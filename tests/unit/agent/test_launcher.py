"""What nobody foresaw ends one server, or one location, with a reason; the agent and all others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from isthmus.v1 import instruction_pb2 as instruction
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_agent.desired.container import Limits
from isthmus_agent.hosts.host import OnStep, Server, ServerSpec
from isthmus_agent.hosts.naming import server_name
from isthmus_agent.hosts.process.host import ProcessHost
from isthmus_agent.locations.listeners import Listeners
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.locations.settings import RegistrySettings
from isthmus_agent.policy.judge import Policy
from isthmus_agent.servers.held import HeldServer
from isthmus_agent.servers.phase import ServerPhase
from isthmus_agent.servers.wanted import KeeperTiming
from support.eventually import eventually


class _Over(Exception):  # noqa: N818 (ends the task group, as the end of an agent does)
    """The test is over."""


class FaultyHost(ProcessHost):
    """A host that fails at the servers of one location as nobody foresaw, and starts nothing for the others."""

    def __init__(self, folder: Path) -> None:
        super().__init__(servers_dir=folder / "servers", runtime_dir=folder / "run", deployment="test", agent="edge")
        self.failing: set[str] = set()
        self.stop_faults = 0
        self.stopped: list[str] = []

    async def start(self, spec: ServerSpec, *, on_step: OnStep = lambda _step, _progress: None) -> Server:
        if spec.location in self.failing:
            raise ZeroDivisionError("a fault of the host")
        return Server(server_name(spec), spec.location, spec.generation, "1", "unix:/nowhere/sock", spec.slot)

    async def stop(self, server: Server, *, grace_s: float) -> None:
        if self.stop_faults:
            self.stop_faults -= 1
            raise ZeroDivisionError("a fault of the host")
        self.stopped.append(server.location)

    async def set_limits(self, server: Server, limits: Limits) -> bool:
        return False


@dataclass
class Stand:
    host: FaultyHost
    registry: LocationRegistry
    reports: list[telemetry.LocationReport]
    attending: set[str] = field(default_factory=set)

    def want(self, *locations: instruction.LocationSpec) -> tuple[str, ...]:
        return self.registry.sync(instruction.SyncLocations(revision=self.registry.revision + 1, locations=locations))

    def last(self, location: str) -> telemetry.LocationReport:
        found = [report for report in self.reports if report.location == location]
        return found[-1] if found else telemetry.LocationReport()

    async def reported(self, location: str, phase: "telemetry.LocationPhase.ValueType") -> telemetry.LocationReport:
        await eventually(lambda: self.last(location).phase == phase, within=5)
        return self.last(location)


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[Stand]:
    host = FaultyHost(folder)
    settings = RegistrySettings(
        deployment="test",
        agent="edge",
        data_dir=folder,
        broker_url="amqp://localhost",
        heartbeat_interval_s=5,
        cancel_grace_s=5,
        load_timeout_s=60,
        policy=Policy(),
        timing=KeeperTiming(reload_min_s=0.05),
    )
    reports: list[telemetry.LocationReport] = []

    def attend(held: HeldServer, location: str) -> None:
        if location == "unattended":
            raise ZeroDivisionError("a fault of the relay")

    def on_serving_change() -> None:
        raise AssertionError

    listeners = Listeners(lambda _, event: reports.append(event.location_report), on_serving_change, attend)
    try:
        async with host, asyncio.TaskGroup() as tasks:
            registry = LocationRegistry(settings, host=host, tasks=tasks, listeners=listeners)
            yield Stand(host, registry, reports)
            await registry.close()
            _end()
    except* _Over:
        pass


def _end() -> NoReturn:
    raise _Over


def wanted(name: str, *, generation: int = 1) -> instruction.LocationSpec:
    return instruction.LocationSpec(name=name, generation=generation, source=instruction.CodeSource(module=name))


async def test_a_start_that_fails_as_nobody_foresaw_fails_its_location_alone(tmp_path: Path) -> None:
    async with standing(tmp_path) as it:
        it.host.failing = {"bad"}
        it.want(wanted("bad"), wanted("good"))
        report = await it.reported("bad", telemetry.LOCATION_PHASE_FAILED)
        assert report.failure.error_class == "ServerFaultError"
        assert "ZeroDivisionError: a fault of the host" in report.failure.message
        await it.reported("good", telemetry.LOCATION_PHASE_IMPORTING)
        # It is tried again, and comes up when the fault is gone.
        it.host.failing = set()
        await eventually(lambda: any(held.is_started for held in it.registry.servers() if "bad" in held.name), within=5)


async def test_a_server_that_cannot_be_attended_is_broken_and_ended(tmp_path: Path) -> None:
    async with standing(tmp_path) as it:
        it.want(wanted("unattended"), wanted("good"))
        report = await it.reported("unattended", telemetry.LOCATION_PHASE_FAILED)
        assert "a fault of the relay" in report.failure.message
        await eventually(lambda: "unattended" in it.host.stopped, within=5)
        await it.reported("good", telemetry.LOCATION_PHASE_IMPORTING)


async def test_a_server_whose_end_fails_is_ended_again_until_it_is_gone(tmp_path: Path) -> None:
    async with standing(tmp_path) as it:
        it.want(wanted("sales"))
        await it.reported("sales", telemetry.LOCATION_PHASE_IMPORTING)
        it.host.stop_faults = 2
        it.want()
        await eventually(lambda: it.host.stopped == ["sales"], within=10)
        await eventually(lambda: not list(it.registry.servers()), within=5)


async def test_a_location_that_cannot_be_read_is_refused_alone(tmp_path: Path) -> None:
    async with standing(tmp_path) as it:
        assert it.want(wanted("Not/a/name"), wanted("good")) == ("Not/a/name",)
        await it.reported("good", telemetry.LOCATION_PHASE_IMPORTING)


async def test_a_location_whose_listener_fails_is_told_as_failed_and_tried_again(tmp_path: Path) -> None:
    async with standing(tmp_path) as it:
        it.want(wanted("sales"))
        await it.reported("sales", telemetry.LOCATION_PHASE_IMPORTING)
        (held,) = it.registry.servers()
        # It comes to serve, and whoever is told of that fails.
        assert held.cancel_load is not None
        held.cancel_load()
        await held.load_over.wait()
        held.phase = ServerPhase.READY
        it.want(wanted("sales"))
        report = await it.reported("sales", telemetry.LOCATION_PHASE_FAILED)
        assert report.failure.error_class == "LocationFaultError"
