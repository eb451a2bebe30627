"""Gives up commands whose result does not come: the net below the broker's own expiry and the agents' words."""

from datetime import datetime, timedelta

from isthmus_broker.publisher import Publisher
from isthmus_lifecycle.log import get_logger
from isthmus_store import agents, outbox
from isthmus_store.record.agent import Agent
from isthmus_store.record.instruction import OutboxInstruction

from isthmus_control_plane import clock
from isthmus_control_plane.commands import settlement
from isthmus_control_plane.commands.expiry import Hearing, Patience, is_overdue
from isthmus_control_plane.core import Core
from isthmus_control_plane.key import AgentKey

log = get_logger(__name__)


class Expirer:
    """Settles overdue commands, and fails the runs that they should have launched."""

    def __init__(self, core: Core, *, publisher: Publisher) -> None:
        self._core = core
        self._publisher = publisher
        self._connected_since: datetime | None = None
        settings = core.settings
        self._patience = Patience(
            grace=timedelta(seconds=settings.expiry_grace_s),
            silence_limit=timedelta(seconds=settings.silence_limit_s),
        )

    async def step(self) -> None:
        """Settle what is overdue now."""
        self._note_connection()
        at = clock.now()
        async with self._core.database.read() as tx:
            rows = await outbox.expired(tx, before=at - self._patience.grace)
            if not rows:
                return
            known = {AgentKey(agent.deployment, agent.name): agent for agent in await agents.all_of(tx)}
        overdue = [row for row in rows if self._is_overdue(row, at=at, known=known)]
        if not overdue:
            return
        async with self._core.database.write() as tx:
            for row in overdue:
                await settlement.settle(tx, row, loss=settlement.expired(row), at=at)
        for row in overdue:
            self._core.hub.run_ended(row.run_id)

    def _is_overdue(self, row: OutboxInstruction, *, at: datetime, known: dict[AgentKey, Agent]) -> bool:
        agent = known.get(AgentKey(row.deployment, row.agent))
        hearing = Hearing(
            connected_since=self._connected_since,
            state=agent.state if agent else None,
            last_heard_at=agent.last_heard_at if agent else None,
        )
        return is_overdue(row.not_after, now=at, patience=self._patience, hearing=hearing)

    def _note_connection(self) -> None:
        """Date the connection; a loss shorter than a round is too short to have kept a result away."""
        if not self._publisher.is_connected:
            self._connected_since = None
        elif self._connected_since is None:
            self._connected_since = clock.now()
