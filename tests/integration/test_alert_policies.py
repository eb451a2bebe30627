"""Alert policies on both databases, against real receivers: each fact once, whoever dies or hangs on the way."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session
from isthmus.v1 import control_plane_pb2 as api
from isthmus.v1.telemetry_pb2 import Event, RunSucceeded
from isthmus_control_plane import clock, history
from isthmus_control_plane.alerting.watcher import Watcher
from isthmus_control_plane.core import Core
from isthmus_control_plane.desk.alerts import AlertDesk as PolicyDesk
from isthmus_control_plane.desk.assets import AssetDesk
from isthmus_control_plane.fleet.world import SyncMemory
from isthmus_control_plane.leadership.leader import LEASE, Leadership
from isthmus_control_plane.settings import ControlPlaneSettings
from isthmus_control_plane.wake import WakeHub
from isthmus_monitor.delivery import AlertDesk
from isthmus_store import agents, alerts, events, runs
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.run import NewRun
from isthmus_store.signal import Accepted, Dispatched, LaunchExpired, LeaseExpired, Started, Succeeded
from isthmus_store.state import AgentState
from support.eventually import eventually, patiently

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)


class Plane:
    """One control plane, as far as alert policies go."""

    def __init__(self, database: Database) -> None:
        values = {"broker_url": "amqp://nowhere", "database_url": "sqlite:////nowhere"}
        core = Core(ControlPlaneSettings.model_validate(values), database=database, hub=WakeHub())
        self.leadership = Leadership(database, name=LEASE, duration_s=3600, monotonic=lambda: 0.0)
        self.watcher = Watcher(core, leadership=self.leadership, assets=AssetDesk(core, memory=SyncMemory()))
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

    def monitor(self) -> AlertDesk:
        return AlertDesk(self.database, webhooks=(), clock=lambda: self.now)


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
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


# ---------------------------------------------------------------------------------------------- what policies take in


async def test_a_failure_is_told_once_whoever_looks_and_however_often(world: World) -> None:
    await world.sync(policy(), policy(name="other", jobs=["weekly"]))
    run_id = await world.failed()
    await world.look()
    await world.successor()
    await world.look(after_s=1)
    await world.look(after_s=9)
    await world.successor()
    await world.look(after_s=600)
    (told,) = await world.told()
    said = json.loads(told.payload)
    assert (said["type"], said["title"], said["action"], said["count"]) == (
        "run.failed", "Job nightly of etl failed", "trigger", 1,
    )  # fmt: skip
    assert said["data"]["run_id"] == run_id


async def test_what_happened_before_the_first_policy_is_no_news(world: World) -> None:
    await world.failed()
    await world.sync(policy())
    await world.look()
    await world.look(after_s=60)
    assert await world.told() == []


async def test_a_storm_of_a_thousand_failures_is_at_most_five_messages(world: World) -> None:
    await world.sync(policy())
    for _ in range(4):
        await world.storm(250)
        await world.look(after_s=6)
    for _ in range(4):
        await world.look(after_s=300)
    told = await world.told()
    assert len(told) <= 5
    assert sum(it.facts for it in told) == 1_000


async def test_a_job_that_succeeds_again_ends_what_was_told_of_its_failure(world: World) -> None:
    await world.sync(policy(recovery=True), policy(name="quietly"))
    await world.failed()
    await world.look()
    await world.look(after_s=10)
    await world.succeeded()
    await world.succeeded()
    await world.look()
    await world.look(after_s=10)
    told = [it for it in await world.told() if it.policy == "p"]
    assert [json.loads(it.payload)["action"] for it in told] == ["trigger", "resolve"]
    assert len({it.dedup for it in told}) == 1
    assert len(await world.told()) == 3


async def test_what_lasts_is_told_at_its_begin_again_after_a_while_and_at_its_end(world: World) -> None:
    await world.sync(policy(on=["agent.lost"], renotify_s=3600, wait_s=0))
    await world.set_agent(AgentState.LOST)
    # Each look is a control plane's first: none waits for its next round.
    for after_s in (0, 60, 3600, 60):
        await world.successor()
        await world.look(after_s=after_s)
    await world.set_agent(AgentState.ONLINE)
    await world.successor()
    await world.look(after_s=1)
    await world.look(after_s=1)
    assert texts(await world.told()) == [
        ("Agent lab is lost", 1),
        ("Agent lab is lost", 1),
        ("Over: agent.lost of lab", 1),
    ]


async def test_a_run_that_takes_long_is_told_once(world: World) -> None:
    await world.sync(policy(on=["run.long"], longer_than_s=600, wait_s=0))
    await world.begun()
    for after_s in (300, 301, 60, 60):
        await world.successor()
        await world.look(after_s=after_s)
    assert texts(await world.told()) == [("Job nightly of etl runs for long", 1)]


async def test_quiet_hours_keep_messages_until_they_are_over_and_a_mute_for_ever(world: World) -> None:
    hours = api.QuietHours(until="14:00", **{"from": "12:00"})
    await world.sync(policy(quiet=hours), policy(name="muted"))
    with clock.set_to(lambda: world.now):
        await world.plane.desk.mute(api.MuteAlertPolicyRequest(deployment="prod", name="muted", why="moving"))
    await world.failed()
    await world.look()
    await world.look(after_s=60)
    await world.failed()
    await world.look()
    await world.look(after_s=60)
    assert {it.policy for it in await world.told()} == {"muted"}
    async with world.database.read() as tx:
        assert await alerts.next_due_at(tx) is None
    await world.look(after_s=2 * 3600)
    (told,) = [it for it in await world.told() if it.policy == "p"]
    assert texts([told]) == [("Job nightly of etl failed (2 times)", 2)]


# --------------------------------------------------------------------------------------------------------- receivers


@dataclass
class Sink:
    """A real HTTP receiver: it answers as it is told, and hangs when it is told to."""

    status: int = 200
    hangs: bool = False
    received: list[tuple[web.Request, bytes]] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((request, await request.read()))
        if self.hangs:
            await asyncio.Event().wait()
        return web.Response(status=self.status)

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


async def test_one_failure_reaches_a_webhook_a_mail_server_and_apprise(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISTHMUS_ALERT_KEY", "s3cret")
    async with Sink().serving() as hook, Sink().serving() as sink, MailServer().serving() as mail:
        body = '{"event_action": "{{action}}", "dedup_key": "{{dedup}}", "summary": "{{title}}", "n": {{count}}}'
        letters = api.EmailReceiver(
            to=["a@b.example"], server=f"smtp://127.0.0.1:{mail.port}", **{"from": "i@b.example"}
        )
        address = f"json://127.0.0.1:{sink.port}/${{ISTHMUS_ALERT_KEY}}"
        await world.sync(
            policy(
                hook.hook(secret="${ISTHMUS_ALERT_KEY}", body=body, headers={"X-Key": "${ISTHMUS_ALERT_KEY}"}),
                api.AlertReceiver(email=letters),
                api.AlertReceiver(apprise=address),
            )
        )
        await world.failed('say "hi"')
        await world.look()
        await world.look(after_s=10)
        async with patiently(60), delivering(world):
            await eventually(all_done(world), within=60)
    ((request, said),) = hook.received
    assert json.loads(said)["summary"] == 'Job say "hi" of etl failed'
    assert (json.loads(said)["event_action"], json.loads(said)["n"]) == ("trigger", 1)
    assert request.headers["x-key"] == "s3cret"
    assert request.headers["webhook-signature"].startswith("v1,")
    (letter,) = mail.letters
    assert message_from_bytes(letter.content or b"")["subject"] == 'Job say "hi" of etl failed'
    ((pushed, told),) = sink.received
    assert pushed.path == "/s3cret"
    assert json.loads(told)["title"] == 'Job say "hi" of etl failed'
    async with world.database.read() as tx:
        kept = [it.payload for it in await alerts.recent(tx, deployment="prod")]
    assert "s3cret" not in "".join(kept)


async def test_a_receiver_that_hangs_delays_nobody_else(world: World) -> None:
    async with Sink(hangs=True).serving() as hanging, Sink().serving() as sound:
        await world.sync(policy(hanging.hook()), policy(sound.hook(), name="sound", every_s=0))
        async with delivering(world):
            for number in range(2):
                await world.failed(f"job {number}")
                await world.look()
                await world.look(after_s=40)
                # A try may take 15 seconds; the loop looks every 5.
                async with patiently(12):
                    await eventually(lambda: len(sound.received) > number, within=12)  # noqa: B023 - awaited here
            assert hanging.received


async def test_an_outage_and_a_new_monitor_leave_each_fact_told_once(world: World) -> None:
    async with Sink(status=503).serving() as sink:
        await world.sync(policy(sink.hook()))
        await world.failed()
        await world.look()
        await world.look(after_s=10)
        async with delivering(world):
            await eventually(lambda: len(sink.received) == 1, within=15)
            await eventually(lambda: _tries(world, 1), within=15)
        sink.status = 200
        # Minutes later.
        world.now += timedelta(minutes=10)
        async with delivering(world):
            await eventually(all_done(world), within=15)
        async with delivering(world):
            await world.look(after_s=600)
    ids = [request.headers["webhook-id"] for request, _ in sink.received]
    assert (len(ids), len(set(ids))) == (2, 1)


async def _tries(world: World, number: int) -> bool:
    async with world.database.read() as tx:
        sent = await alerts.deliveries_of(tx, [it.id for it in await world.told()])
    return all(it.tries == number for some in sent.values() for it in some)


async def test_two_monitors_send_each_message_once(world: World) -> None:
    async with Sink().serving() as sink:
        await world.sync(policy(sink.hook(), every_s=0))
        for number in range(3):
            await world.failed(f"job {number}")
        await world.look()
        await world.look(after_s=40)
        async with delivering(world), delivering(world):
            await eventually(all_done(world), within=20)
    assert len(sink.received) == len(await world.told()) == 3


async def test_the_example_of_a_policy_says_that_it_is_one_and_goes_past_a_mute(world: World) -> None:
    async with Sink().serving() as sink:
        await world.sync(policy(sink.hook()))
        await world.plane.desk.mute(api.MuteAlertPolicyRequest(deployment="prod", name="p"))
        request = api.TestAlertPolicyRequest(deployment="prod", name="p", requested_by="ada")
        with clock.set_to(lambda: world.now):
            await world.plane.desk.test(request)
        async with delivering(world):
            await eventually(all_done(world), within=15)
    ((_, body),) = sink.received
    assert json.loads(body)["test"] is True
    assert json.loads(body)["title"].startswith("[Test]")
