"""Launches that wait: let go when their run is ended, and when the agent stops."""

import asyncio

import pytest
from isthmus_agent.errors import RunEndedError
from isthmus_agent.instructions.waiting import WaitingLaunches
from isthmus_agent.run_key import RunKey
from support.eventually import eventually, patiently

RUN = RunKey("a-run", 1)


async def test_an_agent_that_stops_lets_go_what_only_waits_and_nothing_that_came() -> None:
    waiting, gate, has_come = WaitingLaunches(), asyncio.Event(), asyncio.Event()
    begun, ended = list[str](), list[str]()

    async def wait_for_ever(name: str) -> None:
        begun.append(name)
        async with waiting.until_ended(RUN):
            with waiting.resting():
                await asyncio.Event().wait()

    async def start() -> None:
        with waiting.resting() as is_over:
            is_over()
            has_come.set()
            await gate.wait()
            ended.append("started")

    async with patiently(10), asyncio.TaskGroup() as tasks:
        before = tasks.create_task(wait_for_ever("before"))
        starting = tasks.create_task(start())
        await has_come.wait()
        await eventually(lambda: "before" in begun, within=5)
        waiting.leave()
        after = tasks.create_task(wait_for_ever("after"))
        await asyncio.wait([before, after])
        assert (before.cancelled(), after.cancelled(), starting.done()) == (True, True, False)
        gate.set()
    assert ended == ["started"]


async def test_the_end_of_a_run_calls_off_its_waits_alone() -> None:
    waiting, told = WaitingLaunches(), list[RunKey]()
    waiting.on_end = told.append

    async def wait_for_ever() -> None:
        async with waiting.until_ended(RUN):
            with waiting.resting():
                begun.set()
                await asyncio.Event().wait()

    async def until_ended() -> None:
        with pytest.raises(RunEndedError):
            await wait_for_ever()

    begun = asyncio.Event()
    async with patiently(10), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(until_ended())
        await begun.wait()
        waiting.end(RunKey("another", 1))
        assert not task.done()
        waiting.end(RUN)
    assert told == [RunKey("another", 1), RUN]
