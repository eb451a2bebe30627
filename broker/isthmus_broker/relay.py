"""Carries an attempt's events to the broker: in order, each until it is confirmed."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from isthmus.v1.telemetry_pb2 import Event
from isthmus_lifecycle.backoff import Backoff
from isthmus_lifecycle.log import get_logger

from isthmus_broker.errors import PublishRefusedError, TransientBrokerError, UnroutableError
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind

log = get_logger(__name__)

#: How long events gather behind a batch, seconds. With 500 events to a batch still some 20,000 events/s for each run.
GATHER_S: Final = 0.02


class Backlog(Protocol):
    """Events that wait for their confirm, in order."""

    @property
    def label(self) -> str:
        """Whose events they are, for logs."""

    def take(self) -> Sequence[Event]:
        """Return the next ones, none if there is nothing more now; the same ones again until they are confirmed."""

    @property
    def is_ending(self) -> bool:
        """Whether behind what `take` returned last stands the end, which is kept back for a moment."""

    def replacement(self, event: Event, *, problem: str) -> Event:
        """Return a small event that stands in the place of one that no broker takes, and says why."""

    def confirm(self) -> None:
        """Remember that the broker has what `take` returned last."""

    def complete(self) -> None:
        """Remember that nothing is left, and nothing will come."""


class Relay:
    """Publishes one backlog while it grows.

    One batch is in flight at a time, so that a refusal never lets a later batch overtake; what piles up behind it makes
    the next batch larger. The first event goes at once; what follows is gathered for some milliseconds, because a batch
    costs the broker and the monitor about the same, whatever is in it.
    """

    def __init__(self, backlog: Backlog, publisher: TelemetryPublisher) -> None:
        """Prepare to publish what the broker has not confirmed yet."""
        self._backlog = backlog
        self._publisher = publisher
        self._bell = asyncio.Event()
        self._completed = asyncio.Event()
        self._hurried = asyncio.Event()

    def ring(self) -> None:
        """Say that the backlog has grown."""
        self._bell.set()

    def hurry(self) -> None:
        """Say that the end is there: what waits goes at once. The backlog may grow yet."""
        self._hurried.set()
        self._bell.set()

    def finish(self) -> None:
        """Say that the backlog will not grow any more: `run` returns when all of it is confirmed."""
        self._completed.set()
        self.hurry()

    async def run(self) -> None:
        """Publish until the backlog is complete and confirmed, then say so to it.

        Cancelling it loses nothing: the next relay goes on where the last confirm was. What the backlog raises ends it.

        Raises:
            PublishRefusedError: The broker takes not even what says that it did not take an event.
        """
        while True:
            self._bell.clear()
            # Read after this flag: what was appended before `finish` is seen.
            is_complete = self._completed.is_set()
            events = self._backlog.take()
            if events and self._backlog.is_ending and not self._hurried.is_set():
                # A message less, if the end comes in time: the monitor would write these first, and the end after them.
                await self._gather()
                events = self._backlog.take()
            if events:
                await self._publish(events)
                self._backlog.confirm()
                await self._gather()
            elif is_complete:
                self._backlog.complete()
                return
            else:
                await self._bell.wait()

    async def _gather(self) -> None:
        """Let events gather, unless the end is there."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                await self._hurried.wait()

    async def _publish(self, events: Sequence[Event]) -> None:
        """Publish until confirmed, in as many messages as the broker's limit asks for."""
        try:
            await self._insist(events)
        except PublishRefusedError as error:
            if len(events) > 1:
                middle = len(events) // 2
                await self._publish(events[:middle])
                await self._publish(events[middle:])
                return
            log.error("event_refused", attempt=self._backlog.label, seq=events[0].seq, error=str(error))  # noqa: TRY400
            await self._insist([self._backlog.replacement(events[0], problem=str(error))])

    async def _insist(self, events: Sequence[Event]) -> None:
        """Publish one message until it is confirmed, however long the broker is away."""
        backoff = Backoff(0.05, 3.0)
        while True:
            await self._publisher.wait_connected()
            try:
                return await self._publisher.publish(TelemetryKind.RUN, events)
            except (TransientBrokerError, UnroutableError) as error:
                # Unroutable means that the monitor's queues are not declared yet: the events wait for them here.
                log.debug("events_wait", attempt=self._backlog.label, count=len(events), error=str(error))
            await asyncio.sleep(backoff.next_wait_s())
