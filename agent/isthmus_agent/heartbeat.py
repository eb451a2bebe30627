"""The agent's signs of life: at a steady pace, and at once when there is news."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.boundary import keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_agent import __version__
from isthmus_agent.attempts.ledger import AttemptLedger
from isthmus_agent.attempts.salvage import Salvage
from isthmus_agent.clock import now
from isthmus_agent.drain import DrainSwitch
from isthmus_agent.locations.registry import LocationRegistry
from isthmus_agent.run_key import RunKey

log = get_logger(__name__)

#: How long a code server may take to list its runs, seconds; after that its last answer counts.
_LIST_RUNS_TIMEOUT_S = 2.0


class Bell:
    """Rung by anyone, heard by one; several rings before it is heard are one."""

    def __init__(self) -> None:
        """Start silent."""
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Say that there is news."""
        self._event.set()

    async def wait(self, *, at_most_s: float) -> None:
        """Wait for a ring, or until the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._event.wait()
        self._event.clear()


@dataclass(frozen=True)
class LifeSigns:
    """Where the facts of a heartbeat come from."""

    registry: LocationRegistry
    ledger: AttemptLedger
    salvage: Salvage
    drain: DrainSwitch
    started_at: Timestamp
    #: Of the folder that remembers what was taken from the queue.
    folder_id: str
    #: How long an import may take where the location does not say so, seconds.
    load_timeout_s: float
    #: The branch deployments of which anything is kept.
    branches: Callable[[], Sequence[str]] = tuple

    async def active_runs(self) -> frozenset[RunKey]:
        """Return every attempt that this agent vouches for: those that live, and those whose end is on its way."""
        before = frozenset(self.ledger.all())
        servers = [held for held in self.registry.servers() if held.is_started]
        asked = [held.list_runs(timeout_s=_LIST_RUNS_TIMEOUT_S) for held in servers]
        told = await asyncio.gather(*asked)
        # A server that stands still lives, and what it was given does: nobody can say that it ended. One that answers
        # knows better, save about what it was given while it was asked.
        silent = {held.incarnation for held in servers if held.is_silent}
        lives = {held.incarnation for held in servers}
        given = {
            holding.key
            for holding in self.ledger.all()
            if holding.incarnation in silent or (holding.incarnation in lives and holding not in before)
        }
        return frozenset(given).union(self.salvage.open_attempts, *told)

    async def event(self) -> telemetry.Event:
        """Return the heartbeat of this moment."""
        runs = sorted(await self.active_runs())
        beat = telemetry.AgentHeartbeat(
            started_at=self.started_at,
            version=__version__,
            is_draining=self.drain.is_on,
            desired_revision=self.registry.revision,
            active_runs=[key.to_proto() for key in runs],
            folder_id=self.folder_id,
            load_timeout_s=self.load_timeout_s,
            branches=self.branches(),
        )
        for serving in self.registry.serving_generations():
            beat.locations.add(
                location=serving.location,
                serving_generation=serving.generation,
                standby_ready=serving.standby.ready,
                standby_wanted=serving.standby.wanted,
                standby_memory_bytes=serving.standby.memory_bytes,
            )
        event = telemetry.Event(agent_heartbeat=beat)
        event.occurred_at.CopyFrom(now())
        return event


async def beat(signs: LifeSigns, *, publisher: TelemetryPublisher, bell: Bell, interval_s: float) -> None:
    """Publish heartbeats until cancelled: the first as soon as there is a broker."""

    async def once() -> None:
        await publisher.wait_connected()
        try:
            await publisher.publish(TelemetryKind.HEARTBEAT, (await signs.event(),))
        except BrokerError as error:
            # The next one says the same, and is fresher.
            log.debug("heartbeat_lost", error=str(error))
        await bell.wait(at_most_s=interval_s)

    await keep_going(once, name="heartbeat")


async def say_stopped(publisher: TelemetryPublisher) -> None:
    """Say good-bye, if there is somebody to hear it."""
    event = telemetry.Event(agent_stopped=telemetry.AgentStopped())
    event.occurred_at.CopyFrom(now())
    try:
        await publisher.publish(TelemetryKind.HEARTBEAT, (event,))
    except BrokerError as error:
        log.info("goodbye_unheard", error=str(error))
