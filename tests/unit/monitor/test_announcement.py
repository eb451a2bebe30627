"""Notices do not keep the writer waiting, and gather while one is on its way."""

import asyncio

from isthmus_broker.errors import BrokerUnavailableError
from isthmus_broker.notices import Notice
from isthmus_monitor.announcement import Announcer
from support.eventually import eventually, patiently


class SlowBoard:
    """Takes notices one at a time, each when it is let through."""

    def __init__(self) -> None:
        self.told: list[Notice] = []
        self.is_away = False
        self.arrived = asyncio.Event()
        self.passage = asyncio.Event()

    async def publish(self, notice: Notice) -> None:
        self.arrived.set()
        await self.passage.wait()
        if self.is_away:
            raise BrokerUnavailableError(purpose="test")
        self.told.append(notice)
        self.arrived.clear()


async def test_notices_that_come_while_one_is_told_are_told_together() -> None:
    board = SlowBoard()
    announcer = Announcer(board)
    async with patiently(5), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(announcer.run())
        await announcer.publish(Notice(runs=frozenset({"one"})))
        await board.arrived.wait()
        await announcer.publish(Notice(runs=frozenset({"two"})))
        await announcer.publish(Notice(runs=frozenset({"three"}), agents=frozenset({"prod/lab"})))
        board.passage.set()
        await eventually(lambda: len(board.told) == 2, within=2)
        telling.cancel()
    assert board.told == [
        Notice(runs=frozenset({"one"})),
        Notice(runs=frozenset({"two", "three"}), agents=frozenset({"prod/lab"})),
    ]


async def test_a_notice_that_cannot_be_told_is_dropped_and_the_next_one_told() -> None:
    board = SlowBoard()
    board.is_away = True
    board.passage.set()
    announcer = Announcer(board)
    async with patiently(5), asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(announcer.run())
        await announcer.publish(Notice(runs=frozenset({"lost"})))
        await board.arrived.wait()
        board.is_away = False
        await announcer.publish(Notice(runs=frozenset({"told"})))
        await eventually(lambda: bool(board.told), within=2)
        telling.cancel()
    assert board.told == [Notice(runs=frozenset({"told"}))]
