"""Vouches for the runs that live here, from the supervisor: a run that holds the GIL for an hour is alive all the same."""

import asyncio
from dataclasses import dataclass

from isthmus.v1.telemetry_pb2 import Event, RunHeartbeat
from isthmus_broker.errors import BrokerError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.boundary import keep_going
from isthmus_lifecycle.log import get_logger

from isthmus_code_server.definitions.clock import now
from isthmus_code_server.runs.supervisor import Supervisor

log = get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Publishes a RunHeartbeat each interval while runs are active."""

    supervisor: Supervisor
    telemetry: TelemetryPublisher
    interval_s: float

    async def run(self) -> None:
        """Beat until cancelled."""
        await keep_going(self._beat, name="heartbeat")

    async def _beat(self) -> None:
        """Wait for an interval and beat. A beat that cannot be published is left out: the next one says the same."""
        await asyncio.sleep(self.interval_s)
        self.supervisor.memory.sample()
        active = [run.run for run in self.supervisor.active_runs()]
        if not active:
            return
        event = Event(occurred_at=now(), run_heartbeat=RunHeartbeat(active_runs=active))
        try:
            await self.telemetry.publish(TelemetryKind.RUN, [event])
        except BrokerError as error:
            log.debug("heartbeat_left_out", error=str(error))
