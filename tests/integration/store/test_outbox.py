"""Commands and alerts on their way, on both databases."""

from dataclasses import replace
from datetime import datetime, timedelta

from isthmus_store import alerts, outbox
from isthmus_store.database import Database
from isthmus_store.outbox import Lane
from isthmus_store.record.alert import NewAlert
from isthmus_store.record.instruction import NewInstruction, OutboxInstruction
from isthmus_store.state import InstructionOutcome

LAB = Lane("prod", "lab", is_control=False)


def command(now: datetime, instruction_id: str, **changes: object) -> NewInstruction:
    values = NewInstruction(
        id=instruction_id,
        deployment="prod",
        agent="lab",
        is_control=False,
        kind="launch_run",
        body=b"body " + instruction_id.encode(),
        created_at=now,
        not_after=now + timedelta(minutes=5),
        run_id="r1",
        attempt=1,
    )
    return replace(values, **changes)  # type: ignore[arg-type]


async def add(database: Database, *commands: NewInstruction) -> None:
    async with database.write() as tx:
        for one in commands:
            await outbox.add(tx, one)


def ids(commands: list[OutboxInstruction]) -> list[str]:
    return [one.id for one in commands]


async def test_commands_are_sent_in_the_order_of_writing_and_once(database: Database, now: datetime) -> None:
    await add(database, *(command(now, name) for name in ("c", "a", "b", "a")))
    async with database.read() as tx:
        waiting = await outbox.unsent(tx, LAB, limit=100)
        assert ids(await outbox.unsent(tx, LAB, limit=1)) == ["c"]
    assert ids(waiting) == ["c", "a", "b"]
    assert (waiting[0].body, waiting[0].run_id, waiting[0].not_after) == (b"body c", "r1", now + timedelta(minutes=5))
    async with database.write() as tx:
        await outbox.mark_sent(tx, ["c", "b"], at=now)
        assert ids(await outbox.unsent(tx, LAB, limit=100)) == ["a"]
        assert ids(await outbox.of_run(tx, "r1")) == ["c", "a", "b"]


async def test_the_first_result_settles_a_command(database: Database, now: datetime) -> None:
    await add(database, command(now, "a"))
    later = now + timedelta(seconds=3)
    async with database.write() as tx:
        settled = await outbox.settle(tx, "a", outcome=InstructionOutcome.FAILED, at=later)
        assert settled is not None
        assert await outbox.settle(tx, "a", outcome=InstructionOutcome.SUCCEEDED, at=later) is None
        assert await outbox.settle(tx, "nope", outcome=InstructionOutcome.SUCCEEDED, at=later) is None
        read = await outbox.get(tx, "a")
        assert await outbox.unsent(tx, LAB, limit=100) == []
    assert read is not None
    # A result proves the sending.
    assert (read.outcome, read.settled_at, read.sent_at) == (InstructionOutcome.FAILED, later, later)


async def test_commands_past_their_deadline_are_found_until_they_are_settled(database: Database, now: datetime) -> None:
    await add(
        database,
        command(now, "young"),
        command(now, "old", not_after=now - timedelta(minutes=1)),
        command(now, "oldest", not_after=now - timedelta(hours=1)),
    )
    async with database.write() as tx:
        assert ids(await outbox.expired(tx, before=now)) == ["oldest", "old"]
        await outbox.settle(tx, "oldest", outcome=InstructionOutcome.EXPIRED, at=now)
        assert ids(await outbox.expired(tx, before=now)) == ["old"]


async def test_a_removed_agent_s_commands_are_settled(database: Database, now: datetime) -> None:
    await add(database, command(now, "a"), command(now, "b", agent="barn"), command(now, "c", kind="drain_agent"))
    async with database.write() as tx:
        assert ids(await outbox.drop_agent(tx, deployment="prod", agent="lab", at=now)) == ["a", "c"]
        assert await outbox.lanes(tx) == [LAB._replace(agent="barn")]


def news(now: datetime, alert_id: str = "a1") -> NewAlert:
    return NewAlert(id=alert_id, kind="run.failed", deployment="prod", subject="r1", payload='{"é": 1}', created_at=now)


async def test_an_alert_is_written_once_with_a_delivery_for_each_receiver(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        assert await alerts.add(tx, news(now), endpoints=["hook-b", "hook-a"])
        assert not await alerts.add(tx, news(now), endpoints=["hook-c"])
        assert await alerts.recent(tx, deployment="prod") == [news(now)]
        assert sorted(await alerts.due_endpoints(tx, now=now, limit=9)) == ["hook-a", "hook-b"]
        assert await alerts.due_endpoints(tx, now=now, limit=9, besides=["hook-a"]) == ["hook-b"]
        (due,) = await alerts.of_lane(tx, "hook-a", now=now, limit=9)
    assert (due.endpoint, due.payload) == ("hook-a", '{"é": 1}')


async def test_a_failed_delivery_waits_its_turn_and_others_do_not_wait_for_it(
    database: Database, now: datetime
) -> None:
    later = now + timedelta(minutes=1)
    async with database.write() as tx:
        await alerts.add(tx, news(now), endpoints=["hook-a", "hook-b", "hook-c"])
        first, second, third = await alerts.deliveries(tx, "a1")
        await alerts.mark_failed(tx, first, error="it answered 500", next_attempt_at=later, at=now)
        await alerts.mark_delivered(tx, second, at=now)
        await alerts.mark_failed(tx, third, error="gone", next_attempt_at=None, at=now)
    async with database.read() as tx:
        assert await alerts.due_endpoints(tx, now=now, limit=9) == []
        assert await alerts.next_due_at(tx) == later
        assert await alerts.due_endpoints(tx, now=later, limit=9) == ["hook-a"]
        (again,) = await alerts.of_lane(tx, "hook-a", now=later, limit=9)
        states = await alerts.deliveries(tx, "a1")
    assert (again.endpoint, again.tries, again.last_error) == ("hook-a", 1, "it answered 500")
    assert [(it.delivered_at, it.gave_up_at) for it in states] == [(None, None), (now, None), (None, now)]


async def test_of_two_who_want_to_send_one_does(database: Database, now: datetime) -> None:
    later = now + timedelta(minutes=1)
    async with database.write() as tx:
        await alerts.add(tx, news(now), endpoints=["hook-a"])
        (seen,) = await alerts.deliveries(tx, "a1")
        assert await alerts.claim(tx, seen, until=later)
        assert not await alerts.claim(tx, seen, until=later)
        assert await alerts.due_endpoints(tx, now=now, limit=9) == []


async def test_nothing_is_due_when_nothing_waits(database: Database) -> None:
    async with database.read() as tx:
        assert await alerts.next_due_at(tx) is None
