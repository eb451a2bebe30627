"""Sends location reports: each until it is confirmed, and of several that wait for one location the newest alone."""

import asyncio

from isthmus.v1 import telemetry_pb2 as telemetry
from isthmus_broker.errors import BrokerError, PublishRefusedError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.boundary import Boundary, keep_going
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
        """Send the newest report of a location; False when it is to be tried again, be it that another took its place."""
        event, is_sent = self._waiting[location], True
        with self._boundary.guard(location=location):
            # What nobody foresaw would come again: the location's next report has another chance.
            is_sent = await self._send(event, location=location)
        if is_sent and self._waiting[location] is event:
            del self._waiting[location]
        return is_sent

    async def _send(self, event: telemetry.Event, *, location: str) -> bool:
        for message in in_pieces(event):
            try:
                await self._publisher.publish(TelemetryKind.LOCATION, (message,))
            except PublishRefusedError as error:
                log.error("report_refused", location=location, error=str(error))  # noqa: TRY400 (the message says it all)
            except BrokerError as error:
                log.debug("report_waits", location=location, error=str(error))
                return False
            if self._waiting[location] is not event:
                return True
        return True
