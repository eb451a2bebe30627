"""Alerts reach real receivers, on both databases: each once, whoever dies or hangs on the way."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes

import pytest
from integration.alert_world import MailServer, Sink, World, all_done, delivering, opened, policy
from isthmus.v1 import control_plane_pb2 as api
from isthmus_control_plane import clock
from isthmus_store import alerts
from support.eventually import eventually, patiently


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    async with opened(database_url) as world:
        yield world


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
    assert message_from_bytes(bytes(letter.original_content or b""))["subject"] == 'Job say "hi" of etl failed'
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
