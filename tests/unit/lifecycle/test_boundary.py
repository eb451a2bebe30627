"""An error that nobody foresaw ends one thing, and is told; what must end everything passes."""

import asyncio

import pytest
from isthmus_lifecycle.boundary import Boundary, keep_going, keep_going_until


def fail(error: BaseException) -> None:
    raise error


def test_an_error_stops_here_and_is_counted() -> None:
    boundary = Boundary("attempt")
    with boundary.guard(run_id="r1") as fate:
        fail(ValueError("bytes"))
    assert isinstance(fate.error, ValueError)
    with boundary.guard(run_id="r2") as fate:
        pass
    assert (fate.error, boundary.caught) == (None, 1)


def test_groups_of_errors_stop_here_too() -> None:
    with Boundary("attempt").guard() as fate:
        fail(ExceptionGroup("two", [OSError(), ValueError()]))
    assert isinstance(fate.error, ExceptionGroup)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(1)])
def test_what_ends_the_task_or_the_process_passes(error: BaseException) -> None:
    with pytest.raises(type(error)), Boundary("attempt").guard():
        fail(error)


async def test_a_loop_goes_on_after_a_step_that_failed() -> None:
    steps: list[int] = []
    is_enough = asyncio.Event()

    async def step() -> None:
        steps.append(len(steps))
        if len(steps) == 2:
            raise OSError("the disk is full")
        if len(steps) == 4:
            is_enough.set()
        await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(keep_going(step, name="upkeep"))
        await is_enough.wait()
        loop.cancel()
    assert steps[:4] == [0, 1, 2, 3]


async def test_a_loop_that_is_told_to_stop_finishes_its_step() -> None:
    stopping, finished = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        stopping.set()
        await asyncio.sleep(0)
        finished.set()

    await keep_going_until(stopping, step=step, name="upkeep")
    assert finished.is_set()


async def test_a_loop_that_pauses_after_a_failure_stops_at_once() -> None:
    stopping = asyncio.Event()

    async def step() -> None:
        stopping.set()
        raise OSError("the disk is full")

    async with asyncio.timeout(5):
        await keep_going_until(stopping, step=step, name="upkeep")


async def test_what_must_come_about_is_tried_again() -> None:
    boundary, tries = Boundary("server"), iter([OSError(), ValueError(), None])

    async def end() -> str:
        if (error := next(tries)) is not None:
            raise error
        return "gone"

    assert await boundary.persist(end, server="a") == "gone"
    assert boundary.caught == 2


async def test_a_loop_ends_though_a_library_made_another_error_of_its_cancellation() -> None:
    began = asyncio.Event()

    async def step() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(keep_going(step, name="upkeep"))
        await began.wait()
        loop.cancel()
    assert loop.cancelled()


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_loop_goes_on_after_a_group_of_tasks_failed_in_its_step(*, is_told: bool) -> None:
    steps: list[int] = []
    is_enough = asyncio.Event()

    async def failing() -> None:
        raise OSError("the database is away")

    async def step() -> None:
        steps.append(len(steps))
        if len(steps) == 3:
            is_enough.set()
            await asyncio.Event().wait()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
        except* OSError:
            if is_told:
                raise

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(keep_going(step, name="upkeep"))
        await is_enough.wait()
        loop.cancel()
    assert steps[:3] == [0, 1, 2]
