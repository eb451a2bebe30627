"""Who leads, on both databases: two processes are two `Database`s over one address."""

import asyncio
from datetime import timedelta

import pytest
from isthmus_store import leases
from isthmus_store.database import Database
from isthmus_store.errors import LeaseLostError, TransientStoreError
from isthmus_store.leases import Lease
from isthmus_store.table.leadership import LEASES
from sqlalchemy import update

LONG = timedelta(hours=1)


async def take(database: Database, holder: str) -> Lease | None:
    async with database.write() as tx:
        return await leases.acquire(tx, "work", holder=holder, duration=LONG)


async def let_end(database: Database) -> None:
    """Let the lease's time be over, as the database's clock sees it."""
    async with database.write() as tx:
        await tx.execute(update(LEASES).values(expires_at=await leases.now(tx)))


async def test_one_holds_it_and_the_next_has_a_larger_number(database: Database) -> None:
    first = await take(database, "a")
    assert first is not None
    assert await take(database, "b") is None
    await let_end(database)
    second = await take(database, "b")
    assert second is not None
    assert second.number > first.number


async def test_of_many_that_ask_at_once_one_gets_it(database: Database) -> None:
    taken = await asyncio.gather(*(take(database, str(number)) for number in range(6)))
    assert len([it for it in taken if it is not None]) == 1


async def test_whoever_was_replaced_can_neither_write_nor_renew_nor_release(database: Database) -> None:
    old = await take(database, "a")
    assert old is not None
    await let_end(database)
    new = await take(database, "b")
    assert new is not None
    for act in (leases.check, leases.release):
        with pytest.raises(LeaseLostError):
            async with database.write() as tx:
                await act(tx, old)
    with pytest.raises(LeaseLostError):
        async with database.write() as tx:
            await leases.renew(tx, old, duration=LONG)
    async with database.write() as tx:
        await leases.check(tx, new)


async def test_a_released_lease_is_free_at_once(database: Database) -> None:
    first = await take(database, "a")
    assert first is not None
    async with database.write() as tx:
        await leases.release(tx, first)
    assert await take(database, "b") is not None


async def test_a_lease_of_a_clock_that_was_ahead_ends_after_its_duration(database: Database) -> None:
    assert await take(database, "a") is not None
    async with database.write() as tx:
        await tx.execute(update(LEASES).values(expires_at=await leases.now(tx) + 1000 * LONG))
    assert await take(database, "b") is None
    async with database.read() as tx:
        held = await leases.get(tx, "work")
        assert held is not None
        assert held.expires_at <= await leases.now(tx) + LONG


async def test_nobody_takes_over_while_a_write_of_the_leader_is_under_way(
    database: Database, database_url: str
) -> None:
    lease = await take(database, "a")
    assert lease is not None
    await let_end(database)
    order: list[str] = []
    is_checked = asyncio.Event()

    async def write() -> None:
        async with database.write() as tx:
            await leases.check(tx, lease)
            is_checked.set()
            # The other is on its way meanwhile.
            await asyncio.sleep(0.3)
            order.append("written")

    async def take_over() -> None:
        await is_checked.wait()
        async with Database.open(database_url) as other:
            assert await take(other, "b") is not None
        order.append("taken over")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        tasks.create_task(take_over())
    assert order == ["written", "taken over"]


async def test_who_stands_still_in_the_midst_of_a_write_keeps_nobody_from_taking_over(postgres_url: str) -> None:
    async with Database.open(postgres_url) as first, Database.open(postgres_url) as second:
        await first.migrate()
        lease = await take(first, "a")
        assert lease is not None
        await let_end(first)

        async def stand_still() -> None:
            async with first.write() as tx:
                await leases.check(tx, lease)
                # Nothing more comes of the first one until the second has it.
                assert await take(second, "b") is not None

        with pytest.raises(TransientStoreError):
            await stand_still()
        async with second.read() as tx:
            held = await leases.get(tx, "work")
        assert held is not None
        assert (held.holder, held.number) == ("b", lease.number + 1)


async def test_renewals_do_not_wait_for_writes_of_the_leader(postgres_url: str) -> None:
    async with Database.open(postgres_url) as database, Database.open(postgres_url) as other:
        await database.migrate()
        lease = await take(database, "a")
        assert lease is not None
        async with database.write() as tx:
            await leases.check(tx, lease)
            async with other.write() as renewing:
                await leases.renew(renewing, lease, duration=LONG)
