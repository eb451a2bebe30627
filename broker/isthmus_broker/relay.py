"""Carries an attempt's journal to the broker: in order, each record until it is confirmed."""

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from isthmus_broker.backoff import Backoff
from isthmus_broker.errors import TransientBrokerError, UnroutableError
from isthmus_broker.journal import AttemptFolder, JournalReader, JournalSlice
from isthmus_broker.telemetry import TelemetryPublisher
from isthmus_broker.topology import TelemetryKind

log = structlog.get_logger(__name__)

#: How long events gather behind a batch, seconds. With 500 events to a batch still some 20,000 events/s for each run.
GATHER_S: Final = 0.02


class JournalRelay:
    """Publishes one journal while it grows.

    One batch is in flight at a time, so that a refusal never lets a later batch overtake; what piles up behind it makes
    the next batch larger. The first event goes at once; what follows is gathered for some milliseconds, because a batch
    costs the broker and the monitor about the same, whatever is in it.
    """

    def __init__(self, folder: AttemptFolder, publisher: TelemetryPublisher) -> None:
        """Prepare to publish what the broker has not confirmed yet."""
        self._folder = folder
        self._publisher = publisher
        offset, seq = folder.published()
        self._reader = JournalReader(folder.journal, offset=offset, seq=seq)
        self._bell = asyncio.Event()
        self._completed = asyncio.Event()

    def ring(self) -> None:
        """Say that the journal has grown."""
        self._bell.set()

    def finish(self) -> None:
        """Say that the journal will not grow any more: `run` returns when all of it is confirmed."""
        self._completed.set()
        self._bell.set()

    async def run(self) -> None:
        """Publish until the journal is complete and confirmed, then mark the attempt as done.

        Cancelling it loses nothing: the next relay goes on where the last confirm was.

        Raises:
            JournalError: the journal is damaged.
        """
        while True:
            self._bell.clear()
            # Read after this flag: what was appended before `finish` is seen.
            is_complete = self._completed.is_set()
            batch = self._reader.read()
            if batch.events:
                await self._publish(batch)
                self._reader.advance(batch)
                self._folder.mark_published(offset=batch.offset, seq=batch.seq)
                await self._gather()
            elif is_complete:
                self._folder.mark_done()
                return
            else:
                await self._bell.wait()

    async def _gather(self) -> None:
        """Let events gather, unless there will be no more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_S):
                await self._completed.wait()

    async def _publish(self, batch: JournalSlice) -> None:
        """Publish until confirmed, however long the broker is away."""
        backoff = Backoff(0.05, 3.0)
        while True:
            await self._publisher.wait_connected()
            try:
                return await self._publisher.publish(TelemetryKind.RUN, batch.events)
            except (TransientBrokerError, UnroutableError) as error:
                # Unroutable means that the monitor's queues are not declared yet: the events wait for them here.
                log.debug("events_wait", run_id=self._folder.run_id, seq=batch.seq, error=str(error))
            await asyncio.sleep(backoff.next_wait_s())
