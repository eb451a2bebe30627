"""Schedules and their ticks, on both databases."""

from datetime import datetime, timedelta

import pytest
from isthmus_store import instigators, ticks
from isthmus_store.database import Database
from isthmus_store.record.automation import Defined, Instigator, InstigatorKey, Tick, TickEnd
from isthmus_store.state import InstigatorKind, InstigatorStatus, TickStatus

KEY = InstigatorKey("default", "etl", InstigatorKind.SCHEDULE, "nightly")
HOUR = timedelta(hours=1)


async def define(
    database: Database, *, at: datetime, definition: str = "0 0 * * *", is_running_by_default: bool = True
) -> Instigator:
    defined = Defined(key=KEY, definition=definition, is_running_by_default=is_running_by_default)
    async with database.write() as tx:
        await instigators.define(tx, [defined], at=at)
        found = await instigators.get(tx, KEY)
    assert found is not None
    return found


async def begin(database: Database, it: Instigator, *, at: datetime) -> list[Tick]:
    async with database.write() as tx:
        return await ticks.begin(tx, {it.id: at}, at=at + HOUR)


async def decide(database: Database, decided: InstigatorStatus, *, at: datetime) -> Instigator:
    async with database.write() as tx:
        found = await instigators.decide(tx, KEY, decided, by="ada", at=at)
    assert found is not None
    return found


async def test_time_has_one_tick_however_often_it_is_begun(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    (tick,) = await begin(database, it, at=now + HOUR)
    assert (tick.status, tick.attempts, tick.at) == (TickStatus.STARTED, 1, now + HOUR)
    assert await begin(database, it, at=now + HOUR) == []
    async with database.read() as tx:
        assert await ticks.started(tx, InstigatorKind.SCHEDULE) == [tick]
        known = await instigators.get(tx, KEY)
    assert known is not None
    assert known.last_tick_at == now + HOUR


async def test_tick_of_an_earlier_time_takes_nothing_back(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    await begin(database, it, at=now + HOUR)
    await begin(database, it, at=now)
    async with database.read() as tx:
        known = await instigators.get(tx, KEY)
    assert known is not None
    assert known.last_tick_at == now + HOUR


async def test_tick_ends_once_and_leaves_what_is_to_be_remembered(database: Database, now: datetime) -> None:
    (tick,) = await begin(database, await define(database, at=now), at=now)
    first = TickEnd(status=TickStatus.SUCCESS, run_ids=("a", "b"), cursor="7", last_run_key="b", evaluation=b"log")
    async with database.write() as tx:
        assert await ticks.end(tx, tick, first, at=now)
        assert not await ticks.end(tx, tick, TickEnd(status=TickStatus.FAILED), at=now + HOUR)
        stored, known = await ticks.get(tx, tick.id), await instigators.get(tx, KEY)
    assert stored is not None
    assert known is not None
    assert (stored.status, stored.run_ids, stored.ended_at) == (TickStatus.SUCCESS, ("a", "b"), now)
    assert (known.cursor, known.last_run_key) == ("7", "b")


async def test_those_that_have_ended_are_told_apart_from_those_that_end_now(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    (first,) = await begin(database, it, at=now)
    (second,) = await begin(database, it, at=now + HOUR)
    async with database.write() as tx:
        await ticks.end(tx, first, TickEnd(status=TickStatus.SKIPPED, skip_reason="-"), at=now)
        late = TickEnd(status=TickStatus.SUCCESS, cursor="8")
        assert await ticks.end_many(tx, [(first, late), (second, late)], at=now) == {second.id}
        assert await ticks.end_many(tx, [], at=now) == set()
        kept, known = await ticks.get(tx, first.id), await instigators.get(tx, KEY)
    assert kept is not None
    assert known is not None
    assert (kept.status, kept.skip_reason, kept.cursor) == (TickStatus.SKIPPED, "-", "")
    assert known.cursor == "8"


async def test_several_begin_each_for_its_own_time(database: Database, now: datetime) -> None:
    async with database.write() as tx:
        keys = [KEY._replace(name=f"schedule_{number}") for number in range(3)]
        await instigators.define(
            tx, [Defined(key=key, definition="-", is_running_by_default=True) for key in keys], at=now
        )
        ids = [it.id for it in await instigators.all_of(tx)]
        times = dict(zip(ids, (now + HOUR, now, now + HOUR), strict=True))
        begun = await ticks.begin(tx, times, at=now)
    assert [(tick.instigator_id, tick.at) for tick in begun] == sorted(times.items())
    async with database.read() as tx:
        assert {it.id: it.last_tick_at for it in await instigators.all_of(tx)} == times


async def test_tick_without_a_word_on_the_cursor_leaves_it(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    for number, end in enumerate(
        (TickEnd(status=TickStatus.SUCCESS, cursor="7", last_run_key="b"), TickEnd(status=TickStatus.FAILED))
    ):
        (tick,) = await begin(database, it, at=now + number * HOUR)
        async with database.write() as tx:
            await ticks.end(tx, tick, end, at=now)
    async with database.read() as tx:
        known = await instigators.get(tx, KEY)
    assert known is not None
    assert (known.cursor, known.last_run_key) == ("7", "b")


@pytest.mark.parametrize("decided", list(InstigatorStatus))
async def test_decision_holds_whatever_the_code_says(
    database: Database, now: datetime, decided: InstigatorStatus
) -> None:
    await define(database, at=now)
    await decide(database, decided, at=now)
    for default in (True, False):
        it = await define(database, at=now + HOUR, is_running_by_default=default)
        assert it.is_running is (decided is InstigatorStatus.RUNNING)
        assert (it.decided_by, it.decided_at) == ("ada", now)


async def test_codes_default_holds_until_somebody_decides(database: Database, now: datetime) -> None:
    for default in (False, True, False):
        assert (await define(database, at=now, is_running_by_default=default)).is_running is default


async def test_times_count_from_the_start_and_from_each_change_of_the_definition(
    database: Database, now: datetime
) -> None:
    assert (await define(database, at=now)).since == now
    assert (await define(database, at=now + HOUR)).since == now
    assert (await define(database, at=now + 2 * HOUR, definition="0 1 * * *")).since == now + 2 * HOUR
    await decide(database, InstigatorStatus.STOPPED, at=now + 3 * HOUR)
    assert (await decide(database, InstigatorStatus.RUNNING, at=now + 4 * HOUR)).since == now + 4 * HOUR
    assert (await decide(database, InstigatorStatus.RUNNING, at=now + 5 * HOUR)).since == now + 4 * HOUR


async def test_what_left_the_code_does_not_run_and_keeps_its_decision(database: Database, now: datetime) -> None:
    it = await define(database, at=now, is_running_by_default=False)
    await decide(database, InstigatorStatus.RUNNING, at=now)
    async with database.write() as tx:
        await instigators.mark_gone(tx, [it.id], at=now + HOUR)
        gone = await instigators.get(tx, KEY)
    assert gone is not None
    assert (gone.is_running, gone.gone_at) == (False, now + HOUR)
    back = await define(database, at=now + 2 * HOUR, is_running_by_default=False)
    assert (back.is_running, back.gone_at, back.since) == (True, None, now + 2 * HOUR)


async def test_old_ticks_go_by_their_kind_and_then_what_is_gone(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    for number, status in enumerate((TickStatus.SKIPPED, TickStatus.SUCCESS, TickStatus.FAILED)):
        (tick,) = await begin(database, it, at=now + number * HOUR)
        async with database.write() as tx:
            await ticks.end(tx, tick, TickEnd(status=status), at=now)
    await begin(database, it, at=now + 4 * HOUR)
    async with database.write() as tx:
        assert await ticks.old(tx, 10, ended_before=None, skipped_before=None) == []
        skipped = await ticks.old(tx, 10, ended_before=None, skipped_before=now + HOUR)
        assert len(skipped) == 1
        ended = await ticks.old(tx, 10, ended_before=now + HOUR, skipped_before=None)
        assert len(ended) == 2
        await ticks.remove(tx, [*skipped, *ended])
        assert [tick.status for tick in await ticks.page(tx, it.id, limit=10)] == [TickStatus.STARTED]
        await instigators.mark_gone(tx, [it.id], at=now)
        assert await instigators.removable(tx, 10, gone_before=now + HOUR) == []
        await ticks.remove(tx, [tick.id for tick in await ticks.started(tx, InstigatorKind.SCHEDULE)])
        assert await instigators.removable(tx, 10, gone_before=now + HOUR) == [it.id]
        await instigators.remove(tx, [it.id])
        assert await instigators.get(tx, KEY) is None


async def test_page_goes_from_the_newest_back(database: Database, now: datetime) -> None:
    it = await define(database, at=now)
    for number in range(3):
        await begin(database, it, at=now + number * HOUR)
    async with database.read() as tx:
        first = await ticks.page(tx, it.id, limit=2)
        rest = await ticks.page(tx, it.id, limit=2, before=first[-1].at)
        newest = await ticks.newest(tx, [it.id])
    assert [tick.at for tick in (*first, *rest)] == [now + 2 * HOUR, now + HOUR, now]
    assert newest == {it.id: first[0]}
