"""Who asks much waits behind himself."""

import asyncio

import pytest
from isthmus_control_plane.errors import TooManyQueriesError
from isthmus_control_plane.instance.shares import Shares


async def test_one_that_floods_does_not_keep_another_waiting() -> None:
    shares, served = Shares(places=2, most_each=1000), list[str]()

    async def ask(asker: str) -> None:
        async with shares.place(asker):
            served.append(asker)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(500):
            tasks.create_task(ask("flood"))
        await asyncio.sleep(0)
        tasks.create_task(ask("calm"))
        tasks.create_task(ask("calm"))
    assert len(served) == 502
    first = served.index("calm")
    # Both come in the turns right after they were asked, and not behind 500 others.
    assert served.index("calm", first + 1) < 20


async def test_no_more_than_the_places_are_taken_at_once() -> None:
    shares = Shares(places=3, most_each=100)
    inside = most = 0

    async def ask(asker: int) -> None:
        nonlocal inside, most
        async with shares.place(asker):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(60):
            tasks.create_task(ask(number % 7))
    assert most == 3


async def test_who_has_too_many_under_way_is_refused_and_only_he() -> None:
    shares = Shares(places=1, most_each=2)
    with shares.admitted("flood"), shares.admitted("flood"):
        with pytest.raises(TooManyQueriesError), shares.admitted("flood"):
            pytest.fail("it was admitted")
        with shares.admitted("calm"):
            pass
    with shares.admitted("flood"):
        pass


async def test_one_that_gives_up_waiting_loses_no_place() -> None:
    shares = Shares(places=1, most_each=10)

    async def ask() -> None:
        async with shares.place("impatient"):
            pytest.fail("it was its turn")

    async with asyncio.TaskGroup() as tasks:
        async with shares.place("first"):
            waiting = [tasks.create_task(ask()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in waiting:
                task.cancel()
        async with asyncio.timeout(5), shares.place("second"):
            pass


async def test_a_place_that_comes_as_its_asker_gives_up_goes_to_the_next() -> None:
    shares = Shares(places=1, most_each=10)
    got = asyncio.Event()

    async def ask(done: asyncio.Event) -> None:
        async with shares.place("asker"):
            done.set()

    async with asyncio.TaskGroup() as tasks:
        async with shares.place("first"):
            impatient = tasks.create_task(ask(asyncio.Event()))
            await asyncio.sleep(0)
            tasks.create_task(ask(got))
            await asyncio.sleep(0)
        # The place was handed over this instant, and nobody has taken it up yet.
        impatient.cancel()
        async with asyncio.timeout(5):
            await got.wait()
