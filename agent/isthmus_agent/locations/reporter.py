"""Sends location reports: each until it is confirmed, and of several that wait for one location the newest alone."""

import asyncio

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError, PublishRefusedError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger

from isthmus_agent.locations.pieces import in_pieces

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
        """Send the newest report of a location; one that comes meanwhile takes its place."""
        event = self._waiting[location]
        for message in in_pieces(event):
            await self._insist(message, location=location)
            if self._waiting[location] is not event:
                return
        del self._waiting[location]

    async def _insist(self, message: telemetry.Event, *, location: str) -> None:
        """Publish until confirmed, however long the broker is away; what it will never take is left out."""
        backoff = Backoff(0.05, 3.0)
        while True:
            await self._publisher.wait_connected()
            try:
                return await self._publisher.publish(TelemetryKind.LOCATION, (message,))
            except PublishRefusedError as error:
                log.error("report_refused", location=location, error=str(error))  # noqa: TRY400 (the message says it all)
                return None
            except BrokerError as error:
                log.debug("report_waits", location=location, error=str(error))
            await asyncio.sleep(backoff.next_wait_s())
