"""Alerts reach a real HTTP receiver."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from integration.monitor.world import SECRET, World, event, monitor, now
from isthmus.v1 import telemetry_pb2 as wire
from isthmus_store import alerts, runs
from isthmus_store.signal import LaunchExpired
from support.eventually import eventually


@dataclass
class Receiver:
    """A real HTTP receiver that answers as it is told, and 200 after that."""

    answers: list[int] = field(default_factory=list)
    received: list[tuple[web.Request, bytes]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.received.append((request, await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Receiver"]:
        app = web.Application()
        app.router.add_post("/hook", self.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        try:
            yield self
        finally:
            await runner.cleanup()


async def test_a_failed_run_is_told_once_by_a_signed_webhook(world: World) -> None:
    run = await world.dispatched()
    failed = event(run, 1, run_failed=wire.RunFailed(reason=wire.RUN_REASON_USER_ERROR), message="boom")
    async with Receiver().serving() as receiver, Receiver().serving() as uninterested:
        webhooks = [
            {"url": receiver.url, "secret": SECRET, "kinds": ["run.failed"]},
            {"url": uninterested.url, "secret": "plain", "kinds": ["agent.lost"]},
        ]
        async with monitor(world.settings(webhooks=webhooks)):
            await world.publish(failed)
            await world.publish(failed)
            await eventually(lambda: receiver.received, within=10)
            await eventually(lambda: _all_delivered(world), within=10)
    ((request, body),) = receiver.received
    assert uninterested.received == []
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.digest(b"k" * 24, signed, "sha256")).decode()
    assert request.headers["webhook-signature"] == f"v1,{digest}"
    told = json.loads(body)
    assert told["type"] == "run.failed"
    assert (told["data"]["run_id"], told["data"]["reason"], told["data"]["message"]) == (
        run.run_id,
        "USER_ERROR",
        "boom",
    )


async def test_an_alert_leaves_by_the_proxy_of_the_environment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await world.dispatched()
    async with Receiver().serving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/hook"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        webhooks = [{"url": "http://outside.example/hook", "secret": SECRET, "kinds": ["run.failed"]}]
        async with monitor(world.settings(webhooks=webhooks)):
            await world.publish(event(run, 1, run_failed=wire.RunFailed(reason=wire.RUN_REASON_USER_ERROR)))
            await eventually(lambda: proxy.received, within=10)
            await eventually(lambda: _all_delivered(world), within=10)
    ((request, _),) = proxy.received
    assert request.host == "outside.example"


async def _all_delivered(world: World) -> bool:
    async with world.database.read() as tx:
        (told,) = await alerts.recent(tx, deployment="prod")
        return all(delivery.delivered_at for delivery in await alerts.deliveries(tx, told.id))


async def test_a_receiver_that_fails_is_asked_again_and_one_that_is_gone_is_not(world: World) -> None:
    run = await world.dispatched()
    async with Receiver(answers=[500]).serving() as failing, Receiver(answers=[410]).serving() as gone:
        webhooks = [{"url": receiver.url, "secret": SECRET} for receiver in (failing, gone)]
        async with monitor(world.settings(webhooks=webhooks)):
            await world.publish(event(run, 1, run_failed=wire.RunFailed()))
            await eventually(lambda: len(failing.received) == 2, within=20)
        assert len(gone.received) == 1
    ids = {request.headers["webhook-id"] for request, _ in failing.received}
    assert len(ids) == 1


async def test_a_run_that_the_control_plane_gives_up_is_told_too(world: World) -> None:
    run = await world.dispatched()
    receiver = Receiver()
    async with (
        receiver.serving(),
        monitor(world.settings(webhooks=[{"url": receiver.url, "secret": SECRET}])),
    ):
        async with world.database.write() as tx:
            await runs.signal(tx, run.run_id, LaunchExpired(attempt=1), at=now())
        await eventually(lambda: receiver.received, within=15)
        await eventually(lambda: _all_delivered(world), within=10)
    ((_, body),) = receiver.received
    assert json.loads(body)["data"]["reason"] == "START_TIMEOUT"
