"""From the exchange into the event log: order, duplicates, foreigners, garbage, outages."""

import asyncio
from collections.abc import Awaitable, Sequence
from urllib.parse import urlsplit
from uuid import uuid4

from integration.monitor.world import CODE_SERVER, OWN_QUEUE, World, beat, event, life, monitor, now
from isthmus.v1 import telemetry_pb2 as wire
from isthmus.v1.telemetry_pb2 import Event, RunRef, Source
from isthmus_broker.declaring import declare, declare_agent
from isthmus_broker.notices import Notice, NoticeListener
from isthmus_broker.settings import BrokerSettings
from isthmus_broker.topology import DEAD
from isthmus_store import agents, run_search, runs, slot_claims
from isthmus_store.database import Database
from isthmus_store.record.agent import NewAgent
from isthmus_store.record.queue import SlotClaim
from isthmus_store.record.run import NewRun
from isthmus_store.state import RunState
from sqlalchemy import text
from support.eventually import eventually
from support.tcp_proxy import TcpProxy


async def test_a_run_s_events_are_stored_in_order_and_end_it(world: World) -> None:
    run = await world.dispatched()
    async with monitor(world.settings()):
        await world.publish(*life(run))
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    history = await world.history(run)
    assert [stored.seq for stored in history] == [1, 2, 3, 4, 5]
    assert [stored.position for stored in history] == [1, 2, 3, 4, 5]
    assert [stored.kind for stored in history] == ["run_started", *["step_started"] * 3, "run_succeeded"]
    ended = await world.run(run)
    assert ended.last_position == 5
    assert ended.started_at == history[0].occurred_at


async def test_a_run_gets_the_tags_that_its_start_tells_under_those_that_it_has(world: World) -> None:
    run = await world.dispatched()
    async with world.database.write() as tx:
        await run_search.add_tags(tx, run.run_id, {"team": "given since"})
    course = life(run)
    course[0].run_started.tags.update({"team": "of the job", "dagster/partition/day": "2030-01-31"})
    async with monitor(world.settings()):
        await world.publish(*course)
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    async with world.database.read() as tx:
        tags = await runs.tags(tx, [run.run_id])
    assert tags[run.run_id] == {"team": "given since", "dagster/partition/day": "2030-01-31"}


async def test_redelivered_and_overlapping_batches_are_stored_once(world: World) -> None:
    run = await world.dispatched()
    course = life(run)
    async with monitor(world.settings()):
        await world.publish(*course[:3])
        await world.publish(*course[:3])
        await world.publish(*course[1:])
        await world.publish(*course)
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
        await eventually(lambda: _is_zero(world.waiting(OWN_QUEUE)), within=5)
    assert [stored.seq for stored in await world.history(run)] == [1, 2, 3, 4, 5]


async def _is_zero(count: Awaitable[int]) -> bool:
    return await count == 0


async def test_what_waited_while_no_monitor_was_there_is_taken_later(world: World) -> None:
    run = await world.dispatched()
    await world.publish(*life(run, steps=600))
    async with monitor(world.settings()):
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    assert (await world.run(run)).last_position == 602


async def test_a_restarted_monitor_goes_on_where_the_last_one_stopped(world: World) -> None:
    run = await world.dispatched()
    course = life(run)
    async with monitor(world.settings()):
        await world.publish(*course[:2])
        await eventually(world.until_state(run, RunState.RUNNING), within=10)
    async with monitor(world.settings()):
        await world.publish(*course)
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    assert [stored.seq for stored in await world.history(run)] == [1, 2, 3, 4, 5]


async def test_garbage_is_set_aside_and_nothing_behind_it_is_lost(world: World) -> None:
    run = await world.dispatched()
    async with monitor(world.settings()):
        await world.publish_raw(b"\xff\xfe garbage", key="prod.lab.run")
        await world.publish(*life(run))
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    assert await world.waiting(DEAD) == 1


async def test_a_body_of_a_newer_release_is_kept_as_it_came(world: World) -> None:
    run = await world.dispatched()
    newer = event(run, 1).SerializeToString() + b"\xfa\x3f\x05hello"
    async with monitor(world.settings()):
        await world.publish(Event.FromString(newer))
        await eventually(lambda: world.history(run), within=10)
    (stored,) = await world.history(run)
    assert stored.kind == "unknown"
    assert stored.body.endswith(b"\xfa\x3f\x05hello")


async def test_events_nobody_can_own_are_dropped_and_the_rest_is_stored(world: World) -> None:
    run, foreign = await world.dispatched(), await world.dispatched(agent="other")
    unknown = NewRun(run_id=str(uuid4()), deployment="", location="", job_name="", request=b"", queued_at=now())
    async with monitor(world.settings()):
        await world.publish(
            Event(run=RunRef(run_id=unknown.run_id, attempt=1), seq=1, run_succeeded=wire.RunSucceeded()),
            event(foreign, 1, run_succeeded=wire.RunSucceeded()),
            Event(run=RunRef(run_id=run.run_id, attempt=2), seq=1, run_failed=wire.RunFailed()),
            event(run, 0, run_failed=wire.RunFailed()),
            event(run, 2**63, run_failed=wire.RunFailed()),
            Event(log_message=wire.LogMessage()),
            *life(run),
        )
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=10)
    assert len(await world.history(run)) == 5
    assert (await world.run(foreign)).state is RunState.DISPATCHED


async def test_only_the_agent_s_own_account_and_key_are_believed(world: World) -> None:
    run = await world.dispatched()
    async with world.database.write() as tx:
        for name, account in (("lab", "somebody-else"), ("proof", "")):
            agent = NewAgent(deployment="prod", name=name, pool="default", broker_user=account, created_at=now())
            await agents.insert(tx, agent)
    seen = await world.dispatched(agent="proof")
    batch = wire.TelemetryBatch(source=CODE_SERVER, events=life(run))
    async with monitor(world.settings()):
        await world.publish(*life(run))
        await world.publish_raw(batch.SerializeToString(), key="prod.proof.run")
        await world.publish(*life(run), source=Source(deployment="prod", agent="nobody", location="etl"))
        await world.publish(*life(seen), source=Source(deployment="prod", agent="proof", location="etl"))
        await eventually(world.until_state(seen, RunState.SUCCEEDED), within=10)
    assert await world.history(run) == []
    assert await world.waiting(OWN_QUEUE) == 0


async def test_what_the_database_refuses_for_good_is_poison_alone(world: World) -> None:
    bad, good = await world.dispatched(), await world.dispatched()
    async with world.database.write() as tx:
        for statement in _refusing_trigger(is_postgresql=world.database.is_postgresql):
            await tx.execute(text(statement))
    # Published before the monitor is there, so that all three make one group.
    await world.publish(*life(good)[:2])
    await world.publish(event(bad, 1, step_started=wire.StepStarted(), step_key="refused"))
    await world.publish(*life(good)[2:])
    async with monitor(world.settings()):
        await eventually(world.until_state(good, RunState.SUCCEEDED), within=10)
        await eventually(lambda: world.waiting(DEAD), within=10)
    assert await world.history(bad) == []
    assert [stored.seq for stored in await world.history(good)] == [1, 2, 3, 4, 5]


def _refusing_trigger(*, is_postgresql: bool) -> Sequence[str]:
    before_refused = "CREATE TRIGGER refuse BEFORE INSERT ON events {} WHEN (NEW.step_key = 'refused') {}"
    if not is_postgresql:
        return [before_refused.format("", "BEGIN SELECT RAISE(ABORT, 'refused'); END")]
    return [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE check_violation; END $$",
        before_refused.format("FOR EACH ROW", "EXECUTE FUNCTION refuse()"),
    ]


async def test_nothing_is_acknowledged_before_a_broken_database_took_it(broker_url: str, postgres_url: str) -> None:
    broker = BrokerSettings(url=broker_url)
    await declare(broker, monitor_shards=1)
    await declare_agent(broker, deployment="prod", agent="lab")
    parts = urlsplit(postgres_url)
    async with (
        Database.open(postgres_url) as database,
        TcpProxy.to(parts.hostname or "", parts.port or 0) as proxy,
    ):
        await database.migrate()
        async with database.write() as tx:
            await agents.insert(
                tx, NewAgent(deployment="prod", name="lab", pool="default", broker_user="", created_at=now())
            )
        world = World(broker=broker, database=database, database_url=proxy.url_for(postgres_url))
        run = await world.dispatched()
        async with monitor(world.settings()):
            await world.publish(*life(run)[:2])
            await eventually(world.until_state(run, RunState.RUNNING), within=10)
            proxy.refuse()
            tried = proxy.accepted
            await world.publish(*life(run)[2:4])
            await eventually(lambda: proxy.accepted >= tried + 2, within=15)
            # Told twice meanwhile, as a publisher does that saw no confirm.
            await world.publish(*life(run)[2:])
            assert len(await world.history(run)) == 2
            proxy.resume()
            await eventually(world.until_state(run, RunState.SUCCEEDED), within=15)
        assert [stored.seq for stored in await world.history(run)] == [1, 2, 3, 4, 5]
        assert await world.waiting(OWN_QUEUE) == 0


async def test_a_monitor_whose_broker_connection_breaks_loses_nothing(world: World) -> None:
    run = await world.dispatched()
    parts = urlsplit(world.broker.url)
    async with (
        TcpProxy.to(parts.hostname or "", parts.port or 5672) as proxy,
        monitor(world.settings(broker_url=proxy.url_for(world.broker.url))),
    ):
        await world.publish(*life(run)[:2])
        await eventually(world.until_state(run, RunState.RUNNING), within=10)
        proxy.cut()
        await world.publish(*life(run)[2:])
        await eventually(world.until_state(run, RunState.SUCCEEDED), within=20)
    assert [stored.seq for stored in await world.history(run)] == [1, 2, 3, 4, 5]


async def test_a_notice_names_what_changed(world: World) -> None:
    run = await world.dispatched()
    heard: list[Notice] = []
    listener = NoticeListener(world.broker, on_notice=heard.append)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listener.run())
        await listener.wait_listening()
        async with monitor(world.settings()):
            await world.publish(*life(run))
            await beat(world)
            await eventually(lambda: any(run.run_id in notice.runs for notice in heard), within=10)
            await eventually(lambda: any("prod/lab" in notice.agents for notice in heard), within=10)
        listening.cancel()


async def test_a_step_that_is_through_gives_back_its_slot_with_its_end(world: World) -> None:
    run = await world.dispatched()
    ended, other = (
        SlotClaim(
            run_id=run.run_id,
            attempt=1,
            step_key=name,
            retry_number=2,
            deployment="prod",
            pool="db",
            priority=0,
            wanted_at=now(),
            room=1,
            granted_at=now(),
        )
        for name in ("load", "other")
    )
    async with world.database.write() as tx:
        await slot_claims.want(tx, [ended, other])
    heard: list[Notice] = []
    listener = NoticeListener(world.broker, on_notice=heard.append)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listener.run())
        await listener.wait_listening()
        async with monitor(world.settings()):
            again = event(run, 2, step_key="other", step_up_for_retry=wire.StepUpForRetry())
            through = event(run, 3, step_key="load", step_succeeded=wire.StepSucceeded())
            await world.publish(event(run, 1, run_started=wire.RunStarted()), again, through)
            await eventually(lambda: any("prod" in notice.freed for notice in heard), within=10)
        listening.cancel()
    async with world.database.read() as tx:
        assert [it.step_key for it in await slot_claims.live(tx, "prod")] == ["other"]
