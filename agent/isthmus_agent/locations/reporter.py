"""Sends location reports: each until it is confirmed, and of several that wait for one location the newest alone."""

import asyncio

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import TransientBrokerError, UnroutableError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary, keep_going
from isthmus_lifecycle.log import get_logger

log = get_logger(__name__)


class LocationReporter:
    """The way of reports to the control plane's side. While the broker is away, what is outdated is not kept."""

    def __init__(self, publisher: TelemetryPublisher) -> None:
        """Publish over `publisher`."""
        self._publisher = publisher
        self._waiting: dict[str, telemetry.Event] = {}
        self._bell = asyncio.Event()
        self._boundary = Boundary("location report")

    def report(self, location: str, event: telemetry.Event) -> None:
        """Send a report, in place of one of the same location that still waits."""
        self._waiting[location] = event
        self._bell.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        await keep_going(self._send_waiting, name="location reports")

    async def _send_waiting(self) -> None:
        await self._bell.wait()
        self._bell.clear()
        backoff = Backoff(0.05, 3.0)
        while self._waiting:
            await self._publisher.wait_connected()
            # In turn: a report that cannot be sent now keeps no other location's waiting.
            sent = [await self._try_to_send(location) for location in tuple(self._waiting)]
            if any(sent):
                backoff.reset()
            else:
                await asyncio.sleep(backoff.next_wait_s())

    async def _try_to_send(self, location: str) -> bool:
        event = self._waiting[location]
        with self._boundary.guard(location=location) as fate:
            try:
                await self._publisher.publish(TelemetryKind.LOCATION, (event,))
            except (TransientBrokerError, UnroutableError) as error:
                log.debug("report_waits", location=location, error=str(error))
                return False
        if fate.error is not None:
            # It would fail again: the location's next report has another chance.
            log.error("report_given_up", location=location, problem=str(fate.error))
        if self._waiting[location] is event:
            del self._waiting[location]
        return True
