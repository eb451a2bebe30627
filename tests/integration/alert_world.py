"""A deployment, a control plane that serves its alert policies, and real receivers: what tests of alerts have in hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import Event, RunSucceeded
from isthmus_control_plane import clock, history
from isthmus_control_plane.alerting.watcher import Watcher
from isthmus_control_plane.catalog.merging import CatalogMemory
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.alerts import AlertDesk as PolicyDesk
from isthmus_control_plane.desk.assets import AssetDesk
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.leadership.leader import LEASE, Leadership
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_monitor.delivery import AlertSender
from isthmus_store import agents, alerts, events, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted, Dispatched, LaunchExpired, LeaseExpired, Started, Succeeded
from isthmus_store.state import AgentState

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


class Plane:
    """One control plane, as far as alert policies go."""

    def __init__(self, database: Database) -> None:
        values = {"broker_url": "amqp://nowhere", "database_url": "sqlite:////nowhere"}
        core = Core(ControlPlaneSettings.model_validate(values), database=database, hub=WakeHub())
        self.leadership = Leadership(database, name=LEASE, duration_s=3600, monotonic=lambda: 0.0)
        self.watcher = Watcher(
            core, leadership=self.leadership, assets=AssetDesk(core, catalogs=CatalogMemory(core, memory=SyncMemory()))
        )
        self.desk = PolicyDesk(core)


@dataclass
class World:
    """A deployment, a control plane, and the time."""

    database: Database
    plane: Plane
    number: int = 0
    now: datetime = NOW

    async def sync(self, *policies: api.AlertPolicy, prune: bool = True) -> None:
        request = api.SyncAlertPoliciesRequest(deployment="prod", policies=policies, prune=prune)
        with clock.set_to(lambda: self.now):
            await self.plane.desk.sync(request)

    async def look(self, *, after_s: float = 0.0) -> None:
        """Have the control plane look, some time later."""
        self.now += timedelta(seconds=after_s)
        with clock.set_to(lambda: self.now):
            while not await self.plane.watcher.step():
                pass

    async def successor(self) -> None:
        """Have another control plane take over."""
        await self.plane.leadership.resign()
        self.plane = Plane(self.database)
        await self.plane.leadership.step()

    async def storm(self, number: int) -> None:
        """Have as many jobs fail at once: nobody takes their launches."""
        async with self.database.write() as tx:
            for job in range(number):
                self.number += 1
                run_id = f"00000000-0000-4000-8000-{self.number:012}"
                new = NewRun(
                    run_id=run_id,
                    deployment="prod",
                    location="etl",
                    job_name=f"job {job}",
                    request=b"",
                    queued_at=self.now,
                )
                await runs.insert(tx, new)
                await runs.signal(tx, run_id, Dispatched(attempt=1, agent="lab"), at=self.now)
                run = (await runs.signal(tx, run_id, LaunchExpired(attempt=1), at=self.now)).run
                await history.tell_end(tx, run, at=self.now)

    async def begun(self, job: str = "nightly") -> str:
        self.number += 1
        run_id = f"00000000-0000-4000-8000-{self.number:012}"
        new = NewRun(
            run_id=run_id, deployment="prod", location="etl", job_name=job, request=b"", queued_at=self.now,
            tags={"team": "data"},
        )  # fmt: skip
        async with self.database.write() as tx:
            await runs.insert(tx, new)
            for signal in (Dispatched(attempt=1, agent="lab"), Accepted(attempt=1), Started(attempt=1)):
                await runs.signal(tx, run_id, signal, at=self.now)
        return run_id

    async def failed(self, job: str = "nightly") -> str:
        run_id = await self.begun(job)
        async with self.database.write() as tx:
            run = (await runs.signal(tx, run_id, LeaseExpired(attempt=1), at=self.now)).run
            await history.tell_end(tx, run, at=self.now)
        return run_id

    async def succeeded(self, job: str = "nightly") -> str:
        run_id = await self.begun(job)
        said = events.new_event(Event(seq=1, run_succeeded=RunSucceeded(), occurred_at=clock.stamp(self.now)))
        async with self.database.write() as tx:
            await runs.signal(tx, run_id, Succeeded(attempt=1), at=self.now)
            await events.append(tx, run_id, attempt=1, events=[said], stored_at=self.now)
        return run_id

    async def told(self) -> list[NewAlert]:
        async with self.database.read() as tx:
            recent = await alerts.recent(tx, deployment="prod", limit=500)
        return [it for it in reversed(recent) if it.policy]

    async def set_agent(self, state: AgentState) -> None:
        async with self.database.write() as tx:
            await agents.set_state(tx, deployment="prod", name="lab", state=state)

    def monitor(self) -> AlertSender:
        return AlertSender(self.database, webhooks=(), clock=lambda: self.now)


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[World]:
    async with Database.open(database_url) as database:
        await database.migrate()
        async with database.write() as tx:
            new = NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=NOW)
            await agents.insert(tx, new)
        plane = Plane(database)
        await plane.leadership.step()
        yield World(database, plane)


def policy(*receivers: api.AlertReceiver, name: str = "p", **said: Any) -> api.AlertPolicy:
    nobody = api.AlertReceiver(webhook=api.WebhookReceiver(url="http://127.0.0.1:1/"))
    return api.AlertPolicy(**{"name": name, "on": ["run.failed"], "to": receivers or (nobody,), **said})


def texts(told: list[NewAlert]) -> list[tuple[str, int]]:
    return [(json.loads(it.payload)["title"], it.facts) for it in told]


@dataclass
class Sink:
    """A real HTTP receiver: it answers as it is told, and hangs when it is told to."""

    status: int = 200
    hangs: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[web.Request, bytes]] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((request, await request.read()))
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(status=self.status, headers=self.headers)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Sink"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    def hook(self, **said: Any) -> api.AlertReceiver:
        return api.AlertReceiver(webhook=api.WebhookReceiver(url=f"http://127.0.0.1:{self.port}/hook", **said))


@dataclass
class MailServer:
    """A real SMTP server."""

    letters: list[Envelope] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        self.letters.append(envelope)
        return "250 OK"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["MailServer"]:
        server = await asyncio.get_running_loop().create_server(lambda: SMTP(self), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


@asynccontextmanager
async def delivering(world: World) -> AsyncIterator[None]:
    """Have a monitor deliver."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(world.monitor().run())
        try:
            yield
        finally:
            running.cancel()


def all_done(world: World) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        async with world.database.read() as tx:
            sent = await alerts.deliveries_of(tx, [it.id for it in await world.told()])
        return all(it.delivered_at for some in sent.values() for it in some)

    return check
