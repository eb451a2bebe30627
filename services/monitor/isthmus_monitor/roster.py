"""Knows which agents there are, so that what each of them says is read from its own queue."""

import asyncio
from collections.abc import Collection
from typing import Final, Protocol

from isthmus_broker.notices import Notice
from isthmus_broker.telemetry_consumer import AgentPlace
from isthmus_lifecycle.boundary import keep_going
from isthmus_lifecycle.log import get_logger
from isthmus_lifecycle.waiting import wait_for
from isthmus_store import agents
from isthmus_store.database import Database
from isthmus_store.errors import TransientStoreError

_log = get_logger(__name__)

#: How often it is looked which agents there are when nobody tells of one, and while a queue could not be had, seconds.
_LOOK_EVERY_S: Final = 10.0
_LOOK_AGAIN_S: Final = 1.0


class Follower(Protocol):
    """Who reads the queues of agents."""

    async def follow(self, places: Collection[AgentPlace]) -> bool:
        """Read what these agents say, and no others; returns whether all of them are read."""


class Roster:
    """Tells one reader of telemetry whose queues there are."""

    def __init__(self, database: Database, *, follower: Follower) -> None:
        self._database = database
        self._follower = follower
        self._known: frozenset[str] = frozenset()
        self._wake = asyncio.Event()

    def look(self) -> None:
        """Look soon, as after the connection to the broker was built anew."""
        self._wake.set()

    def on_notice(self, notice: Notice) -> None:
        """Look soon if a notice names an agent that is not known, or may have been missed."""
        if not notice or not notice.agents <= self._known:
            self.look()

    async def run(self) -> None:
        """Tell until cancelled."""
        await keep_going(self._step, name="roster")

    async def _step(self) -> None:
        self._wake.clear()
        try:
            async with self._database.read() as tx:
                found = await agents.all_of(tx)
        except TransientStoreError as error:
            _log.warning("roster_delayed", problem=str(error))
            is_complete = False
        else:
            self._known = frozenset(f"{agent.deployment}/{agent.name}" for agent in found)
            places = [AgentPlace(agent.deployment, agent.name, agent.created_at.timestamp()) for agent in found]
            is_complete = await self._follower.follow(places)
        await wait_for(self._wake, at_most_s=_LOOK_EVERY_S if is_complete else _LOOK_AGAIN_S)
