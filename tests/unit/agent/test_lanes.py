"""Lanes: none waits behind what another waits for, and each in its order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from isthmus.v1.instruction_pb2 import Instruction
from isthmus_agent.instructions.lanes import Lanes, Taken
from isthmus_agent.intake.journal import Entry
from isthmus_agent.run_key import RunKey
from support.eventually import eventually


class Work:
    """Work that ends when its gate opens."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        #: Whether each came with its body.
        self.whole: dict[str, bool] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def do(self, taken: Taken) -> None:
        name = taken.entry.instruction_id
        self.begun.append(name)
        self.whole[name] = taken.message is not None
        if name.startswith("broken"):
            raise ValueError(name)
        await self.gates.setdefault(name, asyncio.Event()).wait()

    def open(self, *names: str) -> None:
        for name in names:
            self.gates.setdefault(name, asyncio.Event()).set()


@asynccontextmanager
async def working(work: Work) -> AsyncIterator[Lanes]:
    async with asyncio.TaskGroup() as tasks:
        it = Lanes(work.do, tasks=tasks, most_in_hand=1)
        running = tasks.create_task(it.run())
        yield it
        running.cancel()
        await it.drain(deadline_s=0)
        work.open(*work.begun)


def taken(number: int, name: str, *, location: str = "sales", in_s: float | None = None) -> Taken:
    message = Instruction(id=name)
    message.launch_run.request.run.run_id = name
    message.launch_run.request.location = location
    if in_s is not None:
        message.not_after.GetCurrentTime()
        message.not_after.seconds += int(in_s)
    return Taken.of(Entry(number, name, 0), message)


async def test_a_lane_keeps_its_order_and_delays_no_other() -> None:
    work = Work()
    async with working(work) as it:
        for number, name in enumerate(("a", "b", "c")):
            it.add(taken(number, name))
        it.add(taken(9, "other", location="elsewhere"))
        await eventually(lambda: work.begun == ["a", "other"], within=5)
        work.open("a")
        await eventually(lambda: work.begun == ["a", "other", "b"], within=5)


async def test_what_waits_is_not_held_in_memory_and_what_begins_at_once_is_not_read_again() -> None:
    work = Work()
    async with working(work) as it:
        it.add(taken(1, "a"))
        it.add(taken(2, "b"))
        work.open("a")
        await eventually(lambda: work.whole == {"a": True, "b": False}, within=5)


async def test_what_breaks_ends_and_the_next_has_its_turn() -> None:
    work = Work()
    async with working(work) as it:
        it.add(taken(1, "broken"))
        it.add(taken(2, "b"))
        await eventually(lambda: work.begun == ["broken", "b"], within=5)


async def test_a_run_that_is_ended_has_its_turn_at_once() -> None:
    work = Work()
    async with working(work) as it:
        for number, name in enumerate(("a", "b", "c")):
            it.add(taken(number, name))
        it.end(RunKey("c", 0))
        await eventually(lambda: work.begun == ["a", "c"], within=5)


async def test_what_passed_its_deadline_has_its_turn_at_once() -> None:
    work = Work()
    async with working(work) as it:
        it.add(taken(1, "a"))
        it.add(taken(2, "b", in_s=3600))
        it.add(taken(3, "late", in_s=-1))
        await eventually(lambda: work.begun == ["a", "late"], within=10)


async def test_nothing_begins_once_the_agent_drains() -> None:
    work = Work()
    async with working(work) as it:
        it.add(taken(1, "a"))
        it.add(taken(2, "b"))
        await eventually(lambda: work.begun == ["a"], within=5)
        await it.drain(deadline_s=0)
        work.open("a")
        await asyncio.sleep(0)
        assert work.begun == ["a"]
