"""Makes changes known without keeping the writer waiting for the broker's confirm."""

import asyncio
from typing import Protocol

from isthmus_broker.errors import BrokerError
from isthmus_broker.notices import Notice
from isthmus_lifecycle.boundary import keep_going
from isthmus_lifecycle.log import get_logger

_log = get_logger(__name__)


class Board(Protocol):
    """Where notices are told."""

    async def publish(self, notice: Notice) -> None:
        """Tell one, and return when that is done; raises a BrokerError otherwise."""


class Announcer:
    """Publishes notices one after another; those that come meanwhile are told together."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._pending = Notice()
        self._has_news = asyncio.Event()

    async def publish(self, notice: Notice) -> None:
        """Have a notice told soon; returns at once."""
        self._pending |= notice
        self._has_news.set()

    async def run(self) -> None:
        """Tell until cancelled. A notice is only a wake-up: one that cannot be sent is dropped."""
        await keep_going(self._tell, name="notices")

    async def _tell(self) -> None:
        await self._has_news.wait()
        self._has_news.clear()
        notice, self._pending = self._pending, Notice()
        try:
            await self._board.publish(notice)
        except BrokerError as error:
            _log.debug("notice_dropped", problem=str(error))
