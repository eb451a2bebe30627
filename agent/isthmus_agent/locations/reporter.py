"""Sends location reports: each until it is confirmed, and of several that wait for one location the newest alone."""

import asyncio

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger

log = get_logger(__name__)


class LocationReporter:
    """The way of reports to the control plane's side. While the broker is away, what is outdated is not kept."""

    def __init__(self, publisher: TelemetryPublisher) -> None:
        """Publish over `publisher`."""
        self._publisher = publisher
        self._waiting: dict[str, telemetry.Event] = {}
        self._bell = asyncio.Event()

    def report(self, location: str, event: telemetry.Event) -> None:
        """Send a report, in place of one of the same location that still waits."""
        self._waiting[location] = event
        self._bell.set()

    async def run(self) -> None:
        """Send what waits, until cancelled."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            while self._waiting:
                location = next(iter(self._waiting))
                await self._send(location)

    async def _send(self, location: str) -> None:
        backoff = Backoff(0.05, 3.0)
        while True:
            await self._publisher.wait_connected()
            event = self._waiting[location]
            try:
                await self._publisher.publish(TelemetryKind.LOCATION, (event,))
            except BrokerError as error:
                log.debug("report_waits", location=location, error=str(error))
                await asyncio.sleep(backoff.next_wait_s())
                continue
            if self._waiting[location] is event:
                del self._waiting[location]
                return
